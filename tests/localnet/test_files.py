"""Names, ports and network.json."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.localnet.description import Description, Ipfs, Process, ValidatorEntry
from pot_chain.localnet.errors import NetworkError
from pot_chain.localnet.paths import NetworkPaths, check_name, networks_dir, pot_home
from pot_chain.localnet.ports import free_port, is_free

DESCRIPTION = Description(
    name="test",
    chain_id=31337,
    rpc_port=20_001,
    ipfs=Ipfs(address="embedded:/tmp/x", backend="embedded", reason="no Kubo"),
    owner="0x52908400098527886E0F7030069857D2E4169EE7",
    validators=(ValidatorEntry(index=0, address="0x8617E340B3D01FA5F11F306F4090FD50E238070D", port=20_002),),
    processes={"anvil": Process(pid=12, created=1.5, kind="chain")},
)


def test_home_is_configurable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POT_HOME", str(tmp_path))
    assert networks_dir() == tmp_path / "networks"
    monkeypatch.delenv("POT_HOME")
    assert pot_home() == Path.home() / ".pot"


@given(st.text(max_size=50))
def test_a_network_name_never_leaves_its_folder(name: str) -> None:
    try:
        root = NetworkPaths.named(name).root
    except NetworkError:
        return
    assert root.resolve().parent == networks_dir().resolve()
    assert root.name == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "-x", "x" * 41, "café", "a b"])
def test_a_refused_name_says_what_is_allowed(name: str) -> None:
    with pytest.raises(NetworkError, match="cannot be the name of a network") as caught:
        check_name(name, "network")
    assert "lower-case" in caught.value.hint


def test_free_ports_can_be_listened_on_and_respect_what_is_taken() -> None:
    first = free_port()
    assert is_free(first)
    assert first not in {free_port({first}) for _ in range(20)}


def test_a_listening_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_description_survives_writing(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    assert Description.read(path) is None
    DESCRIPTION.write(path)
    assert Description.read(path) == DESCRIPTION
    assert DESCRIPTION.rpc_url == "http://127.0.0.1:20001"
    assert DESCRIPTION.validators[0].endpoint == "http://127.0.0.1:20002"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_processes_are_replaced_and_removed() -> None:
    other = Process(pid=13, created=2.5, kind="chain")
    assert DESCRIPTION.with_process("anvil", other).processes == {"anvil": other}
    assert DESCRIPTION.with_process("anvil", None).processes == {}
    assert set(DESCRIPTION.with_process("kubo", other).processes) == {"anvil", "kubo"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "surprise": 1}),
        lambda text: json.dumps({**json.loads(text), "rpc_port": "high"}),
    ],
)
def test_a_damaged_description_is_an_error_with_a_way_out(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "network.json"
    DESCRIPTION.write(path)
    assert callable(damage)
    path.write_text(damage(path.read_text()))
    with pytest.raises(NetworkError, match="is damaged") as caught:
        Description.read(path)
    assert "--fresh" in caught.value.hint
