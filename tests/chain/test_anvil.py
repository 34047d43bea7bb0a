from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from web3 import Web3

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, _wait_until_listening, find_anvil, fund
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import transfer
from pot_chain.chain.errors import AnvilError, PortBusy, RpcDown
from pot_chain.chain.sender import TransactionSender

ACCOUNT = "0x" + "11" * 20
DEV_ACCOUNT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_nobody_knows_a_key_of_the_chain(web3: Web3) -> None:
    assert rpc(web3, "eth_accounts") == []
    assert rpc(web3, "eth_getBalance", [DEV_ACCOUNT, "latest"]) == "0x0"


def test_funding_adds(web3: Web3) -> None:
    before = int(rpc(web3, "eth_getBalance", [ACCOUNT, "latest"]), 16)
    fund(web3, ACCOUNT, 5)
    fund(web3, ACCOUNT, 7)
    assert int(rpc(web3, "eth_getBalance", [ACCOUNT, "latest"]), 16) == before + 12


def test_state_survives_a_restart(tmp_path: Path) -> None:
    config = AnvilConfig(log=tmp_path / "anvil.log", state=tmp_path / "state.json", chain_id=777)
    with AnvilProcess.start(config) as chain:
        web3 = chain.web3()
        fund(web3, ACCOUNT, 12345)
        rpc(web3, "anvil_mine", ["0x3"])
        head = rpc(web3, "eth_getBlockByNumber", ["latest", False])["hash"]
    assert not chain.is_running
    with pytest.raises(RpcDown):
        connect(chain.rpc_url, attempts=1)
    with AnvilProcess.start(replace(config, port=chain.port)) as again:
        web3 = again.web3()
        assert rpc(web3, "eth_chainId") == hex(777)
        assert int(rpc(web3, "eth_getBalance", [ACCOUNT, "latest"]), 16) == 12345
        assert rpc(web3, "eth_getBlockByNumber", ["0x3", False])["hash"] == head


def test_blocks_come_by_time(tmp_path: Path, wait_until: Callable[[Callable[[], object]], None]) -> None:
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log", block_time=1)) as chain:
        web3 = chain.web3()
        wait_until(lambda: int(rpc(web3, "eth_blockNumber"), 16) >= 1)


def test_with_mixed_mining_a_transaction_does_not_wait(
    tmp_path: Path, new_sender: Callable[..., TransactionSender]
) -> None:
    config = AnvilConfig(log=tmp_path / "anvil.log", block_time=3600, mixed_mining=True)
    with AnvilProcess.start(config) as chain:
        assert new_sender(chain.web3()).send(transfer(ACCOUNT, 1)).block_number == 1


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=f"port {port} on 127.0.0.1 is in use") as caught:
            AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log", port=port))
    assert "pot status" in caught.value.hint


def test_a_port_taken_at_the_last_moment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("pot_chain.chain.anvil._port_is_free", lambda port: True)
        with pytest.raises(PortBusy, match=f"port {port}"):
            AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log", port=port))


def test_a_half_written_port_is_not_taken(tmp_path: Path) -> None:
    config = AnvilConfig(log=tmp_path / "anvil.log")
    script = "printf 'Listening on 127.0.0.1:12'; sleep 0.2; echo 345; exec sleep 20"
    with config.log.open("wb") as log, subprocess.Popen(["sh", "-c", script], stdout=log) as process:
        assert _wait_until_listening(process, config, begin=0) == 12345
        process.kill()


def test_a_damaged_state_file_is_reported_with_the_log(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(AnvilError, match="anvil ended with status") as caught:
        AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log", state=tmp_path / "state.json"))
    assert str(tmp_path / "anvil.log") in caught.value.hint


def test_a_missing_binary_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnvilError, match="does not run"):
        AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log"), binary=tmp_path / "nothing")
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnvilError, match="is not installed") as caught:
        find_anvil()
    assert "make setup" in caught.value.hint


def test_the_log_does_not_grow_with_requests(tmp_path: Path) -> None:
    config = AnvilConfig(log=tmp_path / "anvil.log")
    with AnvilProcess.start(config) as chain:
        size = config.log.stat().st_size
        for _ in range(50):
            rpc(chain.web3(), "eth_blockNumber")
        assert config.log.stat().st_size == size


def test_stopping_twice_and_killing_are_fine(tmp_path: Path) -> None:
    chain = AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log"))
    assert chain.is_running
    chain.kill()
    assert not chain.is_running
    chain.stop()
    chain.stop()
