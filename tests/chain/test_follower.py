from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import transfer
from pot_chain.chain.deploy import deploy
from pot_chain.chain.deployment import Deployment
from pot_chain.chain.errors import CursorDamaged, ReorgTooDeep, RpcDown
from pot_chain.chain.follower import Item
from pot_chain.chain.sender import SenderPolicy, TransactionSender
from tests.chain.faulty_rpc import FaultyRpc
from tests.chain.world import World, amounts, drain
from tests.parameters import PARAMETERS

# ---- order


@pytest.mark.parametrize(("window", "chunk"), [(64, 2000), (1, 1), (1, 3), (4, 2), (8, 2000)])
def test_every_event_comes_once_and_in_order(world: World, window: int, chunk: int) -> None:
    world.add(1, 2, 3)
    world.add_in_one_block(4, 5, 6)
    world.mine(7)
    world.add(7)
    follower = world.follower(window=window, chunk=chunk)
    items = drain(follower)
    assert items == world.truth()
    assert amounts(items) == [1, 2, 3, 4, 5, 6, 7]
    assert follower.block == world.head
    world.add(8)
    assert amounts(drain(follower)) == [8]
    assert follower.poll() == []


def test_a_quiet_chain_costs_one_request(world: World, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]) -> None:
    proxy = faulty_rpc(world.chain)
    follower = world.follower(contracts=world.deployment.bind(connect(proxy.url)))
    drain(follower)
    before = proxy.calls.total()
    assert follower.poll() == []
    assert proxy.calls.total() == before + 1


def test_confirmations_hold_events_back(world: World) -> None:
    follower = world.follower(confirmations=2)
    world.mine(2)
    drain(follower)
    world.add(1)
    assert follower.poll() == []
    world.mine(1)
    assert follower.poll() == []
    world.mine(1)
    assert amounts(drain(follower)) == [1]


def test_events_of_other_contracts_are_not_ours(
    world: World, new_contracts: Callable[[TransactionSender], Deployment]
) -> None:
    before = world.truth()
    World(world.chain, world.sender, new_contracts(world.sender)).add(7)
    assert drain(world.follower()) == before


# ---- restarts


def test_a_restart_goes_on_where_the_last_item_was_acknowledged(world: World, tmp_path: Path) -> None:
    world.add(1)
    world.add_in_one_block(2, 3, 4)
    world.add(5)
    path = tmp_path / "state" / "cursor.json"
    expected = world.truth()
    for position in range(len(expected)):
        follower = world.follower(path)
        items = follower.poll()
        assert items == expected[position:]
        follower.acknowledge(items[0])
    assert world.follower(path).poll() == []
    world.add(6)
    assert amounts(world.follower(path).poll()) == [6]
    assert amounts(world.follower(path).poll()) == [6]


@pytest.fixture(scope="module")
def settled_world(shared_chain: AnvilProcess) -> World:
    """A history that does not change any more."""
    web3 = shared_chain.web3()
    account = Account.create()
    fund(web3, account.address, 10**20)
    sender = TransactionSender(web3, account, SenderPolicy(poll=0.01, max_poll=0.05))
    world = World(shared_chain, sender, deploy(sender, PARAMETERS, salt=secrets.token_bytes(32)))
    for amount in range(1, 12):
        if amount % 4 == 0:
            world.add_in_one_block(amount, amount + 100, amount + 200)
        else:
            world.add(amount)
        world.mine(amount % 3)
    return world


steps = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from([1, 5, 64]), st.sampled_from([1, 4, 2000]))
def test_whatever_is_acknowledged_before_a_crash_is_not_seen_again(
    settled_world: World,
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[int, bool]],
    window: int,
    chunk: int,
) -> None:
    path = tmp_path_factory.mktemp("cursor") / "cursor.json"
    follower = settled_world.follower(path, window=window, chunk=chunk)
    given_out: list[Item] = []
    done: list[Item] = []
    for count, crash in plan:
        given_out += follower.poll()
        for item in given_out[:count]:
            follower.acknowledge(item)
            done.append(item)
        given_out = given_out[count:]
        if crash:
            follower = settled_world.follower(path, window=window, chunk=chunk)
            given_out = []
    follower = settled_world.follower(path, window=window, chunk=chunk)
    assert done + drain(follower) == settled_world.truth()


def test_items_are_acknowledged_in_order(world: World, tmp_path: Path) -> None:
    world.add(1, 2)
    follower = world.follower(tmp_path / "cursor.json")
    items = follower.poll()
    with pytest.raises(ValueError, match="in the order"):
        follower.acknowledge(items[1])
    for item in items:
        follower.acknowledge(item)
    with pytest.raises(ValueError, match="in the order"):
        follower.acknowledge(items[-1])


def test_quiet_stretches_are_not_read_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    drain(world.follower(path, window=4))
    world.mine(50)
    assert drain(world.follower(path, window=4)) == []
    assert world.follower(path).block == world.head


def test_the_journal_does_not_grow_for_ever(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pot_chain.chain.follower._JOURNAL_SLACK", 16)
    path, journal = tmp_path / "cursor.json", tmp_path / "cursor.json.events"
    follower = world.follower(path, window=2)
    for _ in range(8):
        world.add_in_one_block(*range(1, 11))
        drain(follower)
        assert len(journal.read_text(encoding="utf-8").splitlines()) <= 2 * 30 + 16
    assert drain(world.follower(path, window=2)) == []
    assert len(journal.read_text(encoding="utf-8").splitlines()) <= 30


# ---- saved positions


def test_a_position_of_another_chain_is_refused(
    world: World,
    tmp_path: Path,
    new_sender: Callable[..., TransactionSender],
    new_contracts: Callable[[TransactionSender], Deployment],
) -> None:
    path = tmp_path / "cursor.json"
    drain(world.follower(path))
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "other.log")) as chain:
        sender = new_sender(chain.web3())
        with pytest.raises(CursorDamaged, match="belongs to another chain or deployment"):
            World(chain, sender, new_contracts(sender)).follower(path)
        # the same addresses, on a chain that was started anew
        again = world.deployment.bind(connect(chain.rpc_url))
        with pytest.raises(CursorDamaged, match="belongs to another chain"):
            world.follower(path, again)
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "empty.log")) as empty:
        again = world.deployment.bind(connect(empty.rpc_url))
        with pytest.raises(CursorDamaged, match="has no block"):
            world.follower(path, again)


def test_a_chain_that_is_started_anew_under_the_follower_is_noticed(world: World, tmp_path: Path) -> None:
    world.mine(20)
    contracts = world.deployment.bind(connect(world.chain.rpc_url, attempts=1))
    follower = world.follower(contracts=contracts, window=2)
    drain(follower)
    world.chain.kill()
    with pytest.raises(RpcDown):
        follower.poll()
    config = AnvilConfig(log=tmp_path / "other.log", port=world.chain.port)
    with AnvilProcess.start(config) as fresh:
        with pytest.raises(ReorgTooDeep):
            follower.poll()
        rpc(fresh.web3(), "anvil_mine", [hex(100)])
        with pytest.raises(ReorgTooDeep):
            follower.poll()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_a_damaged_position_is_reported(world: World, tmp_path: Path, content: str) -> None:
    path = tmp_path / "cursor.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CursorDamaged, match="cannot be read") as caught:
        world.follower(path)
    assert "delete it" in caught.value.hint


def test_a_torn_journal_line_is_forgotten_and_a_damaged_one_reported(world: World, tmp_path: Path) -> None:
    path, journal = tmp_path / "cursor.json", tmp_path / "cursor.json.events"
    world.add(1, 2)
    drain(world.follower(path))
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"address": "0x12')
    world.follower(path)
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["logIndex"] for line in lines] == ["0x0"] * len(lines)
    journal.write_text("\n".join([lines[0], "{", *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(CursorDamaged, match=r"line 2 of .*cursor\.json\.events"):
        world.follower(path)


def test_transfers_are_no_events(world: World) -> None:
    follower = world.follower()
    drain(follower)
    world.sender.send(transfer(world.sender.address, 1))
    assert follower.poll() == []
    assert follower.block == world.head
