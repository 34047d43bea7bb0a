"""Local networks on real processes: start, resume, stop, failures, several at once."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ipfs import open_store
from ipfs.kubo_binary import find_kubo
from pot_chain.chain.connection import connect
from pot_chain.chain.errors import PortBusy
from pot_chain.chain.network import ChainClient
from pot_chain.chain.wallet import balances
from pot_chain.localnet import storage
from pot_chain.localnet.description import Description
from pot_chain.localnet.errors import (
    NetworkBusy,
    NetworkError,
    NetworkRunning,
    NetworkStopped,
    NoNetwork,
    StartFailed,
)
from pot_chain.localnet.launch import StartOptions
from pot_chain.localnet.network import Network
from pot_chain.localnet.ports import free_port
from pot_chain.localnet.processes import ProcessRecord, terminate
from pot_chain.localnet.status import State
from pot_chain.owner.nodes import Registered, register_validator
from pot_chain.owner.tasks import synced

ETHER = 10**18
BARE = StartOptions(use_kubo=False, run_validators=False)


@pytest.fixture
def new_network(tmp_path: Path) -> Iterator[Callable[[str], Network]]:
    """``new_network(name)``: a network in a folder of the test, stopped at its end."""
    made: list[Network] = []

    def make(name: str) -> Network:
        made.append(Network(tmp_path / name))
        return made[-1]

    yield make
    for network in made:
        if network.paths.description.exists():
            network.stop()


def processes_of(description: Description) -> list[psutil.Process]:
    found = [process.record.find() for process in description.processes.values()]
    assert all(found)
    return [process for process in found if process is not None]


def test_a_new_network_has_contracts_an_owner_and_a_validator_epoch(new_network: Callable[[str], Network]) -> None:
    network = new_network("one")
    said: list[str] = []
    description = network.start(BARE, say=said.append)
    assert description == network.description() == network.running_description()
    assert description.ready
    assert description.ipfs.backend == "embedded"
    assert "content store: embedded (the embedded store was asked for)" in said

    client = synced(ChainClient(description.rpc_url, network.paths.deployment))
    addresses = {validator.address for validator in description.validators}
    assert len(addresses) == 4
    assert set(client.registry.epoch_validators(client.registry.current_epoch())) == addresses
    for validator in description.validators:
        assert client.registry.endpoint_of(validator.address) == validator.endpoint
        assert network.account(validator.name).address == validator.address
    assert network.owner.address == description.owner
    assert balances(client.web3, [network.owner.address])[network.owner.address] == 1000 * ETHER


def test_no_key_and_no_password_is_on_a_command_line_or_readable_by_others(
    new_network: Callable[[str], Network],
) -> None:
    network = new_network("secret")
    description = network.start(BARE)
    password = network.paths.password.read_text().strip()
    secrets = [password, *(bytes(network.account(v.name).key).hex() for v in description.validators)]
    command_lines = " ".join(" ".join(process.cmdline()) for process in processes_of(description))
    files = [path for path in network.paths.root.rglob("*") if path.is_file() and path != network.paths.password]
    contents = b"".join(path.read_bytes() for path in files)
    for secret in secrets:
        assert secret not in command_lines
        assert secret.encode() not in contents
    assert "test test test" not in command_lines
    assert stat.S_IMODE(network.paths.password.stat().st_mode) == 0o600
    assert stat.S_IMODE(network.paths.wallets.stat().st_mode) == 0o700
    assert stat.S_IMODE(network.paths.root.stat().st_mode) == 0o700


def test_what_was_stopped_goes_on_where_it_was(new_network: Callable[[str], Network]) -> None:
    network = new_network("resumed")
    first = network.start(BARE)
    wallet = network.wallet("alice", 7 * ETHER)
    with open_store(first.ipfs.address) as store:
        cid = store.add(b"kept")
    assert network.stop() == ()
    assert network.status().state is State.STOPPED
    with pytest.raises(NetworkStopped, match="does not run") as caught:
        network.running_description()
    assert "pot up --name resumed" in caught.value.hint

    second = network.start(BARE)
    assert (second.owner, second.validators, second.rpc_port) == (first.owner, first.validators, first.rpc_port)
    assert balances(connect(second.rpc_url), [wallet.address])[wallet.address] == 7 * ETHER
    ChainClient(second.rpc_url, network.paths.deployment)  # the contracts are where they were
    with open_store(second.ipfs.address) as store:
        assert store.get(cid, max_bytes=10) == b"kept"


def test_fresh_forgets_everything(new_network: Callable[[str], Network]) -> None:
    network = new_network("fresh")
    first = network.start(BARE)
    network.wallet("alice")
    network.stop()
    stray = network.paths.root / "notes.txt"
    stray.write_text("mine")
    second = network.start(BARE, fresh=True)
    assert second.owner != first.owner
    assert not network.paths.wallet("alice").exists()
    assert stray.read_text() == "mine", "only what a network makes is removed"


def test_a_running_network_is_neither_started_again_nor_wiped(new_network: Callable[[str], Network]) -> None:
    network = new_network("twice")
    network.start(BARE)
    for fresh in (False, True):
        with pytest.raises(NetworkRunning, match=r"'twice' runs already \(anvil\)") as caught:
            network.start(BARE, fresh=fresh)
        assert "pot down --name twice" in caught.value.hint
    assert network.status().processes[0].alive


def test_two_networks_run_side_by_side(new_network: Callable[[str], Network]) -> None:
    one, two = new_network("left"), new_network("right")
    first, second = one.start(BARE), two.start(BARE)
    assert first.rpc_url != second.rpc_url
    one.stop()
    assert two.status().processes[0].alive


def test_a_busy_port_is_an_error_and_starts_nothing(new_network: Callable[[str], Network]) -> None:
    network = new_network("busy")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortBusy, match=f"port {port} on 127.0.0.1 is in use"):
            network.start(StartOptions(port=port, use_kubo=False, run_validators=False))
    with pytest.raises(NoNetwork):
        network.description()


def test_a_chosen_port_is_used(new_network: Callable[[str], Network]) -> None:
    network, port = new_network("chosen"), free_port()
    options = StartOptions(port=port, use_kubo=False, run_validators=False)
    assert network.start(options).rpc_url == f"http://127.0.0.1:{port}"


def test_validators_whose_port_was_taken_move(new_network: Callable[[str], Network]) -> None:
    network = new_network("moved")
    before = network.start(BARE)
    network.stop()
    taken = before.validators[1]
    with socket.create_server(("127.0.0.1", taken.port)):
        after = network.start(BARE)
    assert after.validators[1].port != taken.port
    assert after.validators[0] == before.validators[0]
    client = ChainClient(after.rpc_url, network.paths.deployment, network.account("validator-1"))
    # what `pot validator start` does first
    assert register_validator(client, after.validators[1].endpoint) is Registered.MOVED


@pytest.mark.parametrize("count", [3, 33])
def test_too_few_or_too_many_validators(new_network: Callable[[str], Network], count: int) -> None:
    with pytest.raises(NetworkError, match=f"has 4 to 32 validators, not {count}"):
        new_network("size").start(StartOptions(validators=count, use_kubo=False))


def test_the_number_of_validators_stays(new_network: Callable[[str], Network]) -> None:
    network = new_network("seven")
    assert len(network.start(StartOptions(validators=7, use_kubo=False, run_validators=False)).validators) == 7
    network.stop()
    with pytest.raises(NetworkError, match="has 7 validators, not 4") as caught:
        network.start(StartOptions(validators=4, use_kubo=False, run_validators=False))
    assert "--fresh" in caught.value.hint
    assert len(network.start(BARE).validators) == 7


def test_an_unknown_network(new_network: Callable[[str], Network]) -> None:
    network = new_network("unknown")
    for action in (network.stop, network.status, network.description, network.running_description):
        with pytest.raises(NoNetwork, match="no local network 'unknown'") as caught:
            action()
        assert "pot up" in caught.value.hint


def test_only_one_command_changes_a_network_at_a_time(new_network: Callable[[str], Network]) -> None:
    network = new_network("locked")
    network.start(BARE)
    with network._locked(), pytest.raises(NetworkBusy, match="another command is changing"):
        Network(network.paths.root).start(BARE)


def test_pids_that_were_given_to_others_are_left_alone(new_network: Callable[[str], Network]) -> None:
    """After a reboot the numbers on record belong to somebody else, here: to this test."""
    network = new_network("reboot")
    description = network.start(BARE)
    network.stop()
    own = ProcessRecord.of(os.getpid())
    stale = {"pid": own.pid, "created": own.created - 1000.0, "kind": "chain"}
    damaged = description.model_validate({**description.model_dump(), "processes": {"anvil": stale}})
    damaged.write(network.paths.description)
    assert network.status().state is State.STOPPED
    network.stop()
    assert own.alive
    assert network.start(BARE).running


def test_a_start_that_was_killed_leaves_processes_that_down_stops(new_network: Callable[[str], Network]) -> None:
    network = new_network("killed")
    description = network.start(BARE)
    description.model_copy(update={"ready": False}).write(network.paths.description)
    with pytest.raises(NetworkRunning):
        network.start(BARE)
    network.stop()
    assert network.start(BARE).owner != description.owner, "a half-made network is made anew"


def test_a_start_that_fails_leaves_no_process_and_no_network(
    new_network: Callable[[str], Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = new_network("failing")
    started: list[Description] = []
    save = Network._save

    def remember(self: Network, description: Description) -> None:
        started.append(description)
        save(self, description)

    monkeypatch.setattr(Network, "_save", remember)

    def sabotage(text: str) -> None:
        if text.startswith("starting"):
            network.paths.wallet("validator-0").unlink()

    with pytest.raises(StartFailed, match="validator-0 ended before it was ready") as caught:
        network.start(StartOptions(use_kubo=False), say=sabotage)
    assert "validator-0.log" in caught.value.hint
    assert "error: no wallet" in caught.value.details
    records = [process.record for description in started for process in description.processes.values()]
    assert len({record.pid for record in records}) == 5
    assert not any(record.alive for record in records)
    with pytest.raises(NoNetwork):
        network.description()
    assert network.log("validator-0").exists(), "the logs stay, to be looked at"
    assert not network.paths.wallets.exists()


@pytest.mark.skipif(find_kubo() is None, reason="no Kubo on this machine")
def test_kubo_is_used_where_there_is_one_and_ends_with_the_network(new_network: Callable[[str], Network]) -> None:
    network = new_network("kubo")
    description = network.start(StartOptions(run_validators=False))
    assert description.ipfs.backend.startswith("kubo/")
    assert "was found at" in description.ipfs.reason
    with open_store(description.ipfs.address) as store:
        cid = store.add(b"in kubo")
    record = description.processes["kubo"].record
    network.stop()
    assert not record.alive
    # a network keeps the store that its content is in, whatever is asked for
    again = network.start(BARE)
    assert again.ipfs.backend == description.ipfs.backend
    with open_store(again.ipfs.address) as store:
        assert store.get(cid, max_bytes=10) == b"in kubo"


def test_without_kubo_it_says_so(new_network: Callable[[str], Network], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "find_kubo", lambda: None)
    description = new_network("bare").start(StartOptions(run_validators=False))
    assert description.ipfs.backend == "embedded"
    assert description.ipfs.reason == "no Kubo was found on this machine (`make kubo` builds one)"


def test_an_anvil_that_died_is_seen_and_started_again(new_network: Callable[[str], Network]) -> None:
    network = new_network("crashed")
    description = network.start(BARE)
    terminate([description.processes["anvil"].record], 20.0)
    assert network.status().state is State.STOPPED
    with pytest.raises(NetworkStopped):
        network.running_description()
    assert network.start(BARE).owner == description.owner
