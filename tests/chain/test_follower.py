from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.bindings import Contracts
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import transfer
from pot_chain.chain.deploy import Deployment, RegistryConfig, deploy
from pot_chain.chain.errors import CursorDamaged, ReorgTooDeep, RpcDown, RpcError
from pot_chain.chain.events import StakeAdded
from pot_chain.chain.follower import EventFollower, Item, Reorged
from pot_chain.chain.logs import Event, RawLog
from pot_chain.chain.sender import SenderPolicy, TransactionSender

if TYPE_CHECKING:
    from conftest import FaultyRpc

Wait = Callable[[Callable[[], object]], None]
REFUSAL = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "query returned more than 10000 results"}}


class World:
    """A chain with our contracts, and one miner whose added stakes are the events."""

    def __init__(self, chain: AnvilProcess, sender: TransactionSender, deployment: Deployment) -> None:
        self.chain, self.sender, self.deployment = chain, sender, deployment
        self.web3 = sender.web3
        self.contracts = deployment.bind(self.web3)
        self.sender.send(self.contracts.registry.register_miner(10**17))

    def add(self, *amounts: int) -> None:
        """Each amount is an event in a block of its own."""
        for amount in amounts:
            self.sender.send(self.contracts.registry.add_stake(amount))

    def add_in_one_block(self, *amounts: int) -> None:
        rpc(self.web3, "evm_setAutomine", [False])
        waiting = threading.Thread(
            target=self.sender.send_many, args=[[self.contracts.registry.add_stake(amount) for amount in amounts]]
        )
        waiting.start()
        while int(rpc(self.web3, "txpool_status")["pending"], 16) < len(amounts):
            pass
        self.mine(1)
        waiting.join()
        rpc(self.web3, "evm_setAutomine", [True])

    def mine(self, blocks: int) -> None:
        rpc(self.web3, "anvil_mine", [hex(blocks)])

    def snapshot(self) -> str:
        return str(rpc(self.web3, "evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        assert rpc(self.web3, "evm_revert", [snapshot])

    @property
    def head(self) -> int:
        return int(rpc(self.web3, "eth_blockNumber"), 16)

    def follower(self, path: Path | None = None, contracts: Contracts | None = None, **options: int) -> EventFollower:
        return EventFollower(contracts or self.contracts, self.deployment.from_block, path, **options)

    def truth(self) -> list[Event]:
        """What the chain says now."""
        logs = rpc(self.web3, "eth_getLogs", [{"address": list(self.contracts.addresses), "fromBlock": "0x0"}])
        return self.contracts.events(RawLog.from_rpc(log) for log in logs)


@pytest.fixture
def world(
    own_chain: AnvilProcess,
    new_sender: Callable[..., TransactionSender],
    new_contracts: Callable[[TransactionSender], Deployment],
) -> World:
    sender = new_sender(own_chain.web3())
    return World(own_chain, sender, new_contracts(sender))


def drain(follower: EventFollower) -> list[Item]:
    """All that is new, acknowledged."""
    found: list[Item] = []
    while items := follower.poll():
        for item in items:
            follower.acknowledge(item)
        found += items
    return found


def amounts(items: list[Item] | tuple[Event, ...] | list[Event]) -> list[int]:
    return [item.amount for item in items if isinstance(item, StakeAdded)]


def apply(model: list[Event], items: list[Item]) -> None:
    """What a consumer does; checks that a reorg names exactly what it takes back."""
    for item in items:
        if isinstance(item, Reorged):
            removed = [event for event in model if event.block_number > item.to_block]
            assert list(item.removed_events) == removed[::-1]
            del model[len(model) - len(removed) :]
        else:
            model.append(item)


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
    world = World(shared_chain, sender, deploy(sender, RegistryConfig(10**16, 10**18, 60, 0)))
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


# ---- reorgs


@pytest.mark.parametrize("restart", [False, True])
def test_a_reorg_is_reported_before_the_new_events(world: World, tmp_path: Path, restart: bool) -> None:
    path = tmp_path / "cursor.json"
    follower = world.follower(path)
    world.add(1)
    kept = world.head
    snapshot = world.snapshot()
    world.add(2, 3)
    before = drain(follower)
    assert amounts(before) == [1, 2, 3]
    world.revert(snapshot)
    world.add(4)
    world.mine(5)
    world.add(5)
    if restart:
        follower = world.follower(path)
    items = drain(follower)
    assert isinstance(items[0], Reorged)
    assert items[0].to_block == kept
    assert amounts(items[0].removed_events) == [3, 2]
    assert amounts(items) == [4, 5]
    apply(before, items)
    assert before == world.truth()
    assert drain(world.follower(path)) == []


def test_a_reorg_of_a_block_that_was_half_done_at_the_restart(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    drain(world.follower(path))
    snapshot = world.snapshot()
    world.add_in_one_block(1, 2, 3)
    follower = world.follower(path)
    for item in follower.poll()[:2]:
        follower.acknowledge(item)
    world.revert(snapshot)
    world.mine(3)
    (reorg,) = drain(world.follower(path))
    assert isinstance(reorg, Reorged)
    assert amounts(reorg.removed_events) == [2, 1]


def test_a_reorg_that_anvil_makes(world: World) -> None:
    follower = world.follower()
    world.add(1, 2, 3)
    before = drain(follower)
    head = world.head
    rpc(world.web3, "anvil_reorg", [2, []])
    items = drain(follower)
    assert items == [Reorged(head - 2, tuple(before[:-3:-1]))]
    apply(before, items)
    assert before == world.truth()


def test_a_reorg_that_was_not_acknowledged_is_reported_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    snapshot = world.snapshot()
    world.add(1)
    drain(world.follower(path))
    world.revert(snapshot)
    world.mine(3)
    first = world.follower(path).poll()
    again = world.follower(path).poll()
    assert first == again
    assert amounts(first[0].removed_events) == [1]  # type: ignore[union-attr]


def test_a_chain_that_is_shorter_waits_for_its_next_blocks(world: World) -> None:
    follower = world.follower()
    snapshot = world.snapshot()
    world.add(1, 2)
    assert amounts(drain(follower)) == [1, 2]
    world.revert(snapshot)
    assert follower.poll() == []
    world.add(3)
    items = drain(follower)
    assert isinstance(items[0], Reorged)
    assert amounts(items) == [3]


def test_a_node_that_lags_is_no_reorg(world: World, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]) -> None:
    proxy = faulty_rpc(world.chain)
    follower = world.follower(contracts=world.deployment.bind(connect(proxy.url)))
    drain(follower)
    world.add(1)
    unknown = {"jsonrpc": "2.0", "id": 0, "result": None}
    asked = 0

    def lagging(method: str, forward: Callable[[], Any]) -> Any:
        nonlocal asked
        if method == "eth_getBlockByNumber":
            asked += 1
            return forward() if asked == 1 else unknown  # the head is known, nothing else is
        return forward()

    proxy.rule = lagging
    assert follower.poll() == []
    proxy.rule = lambda method, forward: forward()
    assert amounts(drain(follower)) == [1]


@pytest.mark.parametrize("window", [4, 64])
def test_a_reorg_between_any_two_requests_mixes_nothing(
    world: World, faulty_rpc: Callable[[AnvilProcess], FaultyRpc], window: int
) -> None:
    proxy = faulty_rpc(world.chain)
    contracts = world.deployment.bind(connect(proxy.url))
    recovered = 0
    for position in range(100):
        follower = EventFollower(contracts, world.head + 1, window=window)
        model: list[Event] = []
        snapshot = world.snapshot()
        world.add(1, 2)
        apply(model, drain(follower))
        world.add(3)
        world.mine(5)
        world.add(4)
        countdown = position

        def strike(method: str, forward: Callable[[], Any]) -> Any:
            nonlocal countdown
            if countdown == 0:
                world.revert(snapshot)  # noqa: B023 - called before the next turn
                world.add(5)
                world.mine(8)
                world.add(6)
            countdown -= 1
            return forward()

        proxy.rule = strike
        try:
            apply(model, drain(follower))
            struck = countdown < 0
            proxy.rule = lambda method, forward: forward()
            apply(model, drain(follower))
        except ReorgTooDeep:
            assert window == 4  # 9 blocks were replaced: with this window it may be noticed, but never overlooked
            proxy.rule = lambda method, forward: forward()
            continue
        if not struck:
            assert amounts(model) == [1, 2, 3, 4]
            break
        assert amounts(model) == [5, 6], position
        recovered += 1
    assert not struck, "the reading took more requests than were tried"
    assert recovered > 0


def test_a_reorg_deeper_than_the_window_stops_the_follower(world: World) -> None:
    follower = world.follower(window=3)
    snapshot = world.snapshot()
    world.add(*range(1, 9))
    drain(follower)
    world.revert(snapshot)
    world.mine(20)
    with pytest.raises(ReorgTooDeep, match="was rewritten from block") as caught:
        follower.poll()
    assert "saved position" in caught.value.hint


@pytest.mark.parametrize("seed", range(8))
def test_any_history_leads_to_what_the_chain_says(world: World, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path / "cursor.json"
    options = {"window": draw.choice([30, 64]), "chunk": draw.choice([1, 5, 2000])}
    follower = world.follower(path, **options)
    model: list[Event] = []
    snapshots: list[tuple[str, int]] = []
    highest = 0
    for amount in range(1, 32):
        match draw.choice(["add", "add", "block", "mine", "snapshot", "revert", "poll", "poll", "restart"]):
            case "add":
                world.add(amount)
            case "block":
                world.add_in_one_block(amount, amount + 1000)
            case "mine":
                world.mine(draw.randint(1, 4))
            case "snapshot":
                snapshots.append((world.snapshot(), world.head))
            case "revert" if snapshots and world.head - snapshots[-1][1] < 25:
                world.revert(snapshots.pop()[0])
            case "poll":
                items = follower.poll()
                apply(model, items)
                for item in items:
                    follower.acknowledge(item)
            case "restart":
                follower = world.follower(path, **options)
        highest = max(highest, world.head)
    world.mine(max(1, highest + 1 - world.head))  # a real chain never stays shorter
    apply(model, drain(follower))
    assert model == world.truth()
    assert drain(world.follower(path, **options)) == []


# ---- outages


def test_the_follower_waits_for_a_chain_that_is_restarted(
    tmp_path: Path,
    new_sender: Callable[..., TransactionSender],
    new_contracts: Callable[[TransactionSender], Deployment],
    wait_until: Wait,
) -> None:
    config = AnvilConfig(log=tmp_path / "anvil.log", state=tmp_path / "state.json")
    with AnvilProcess.start(config) as chain:
        sender = new_sender(chain.web3())
        world = World(chain, sender, new_contracts(sender))
        world.add(1)
        stop, seen = threading.Event(), []
        contracts = world.deployment.bind(connect(chain.rpc_url, attempts=1))
        follower = world.follower(tmp_path / "cursor.json", contracts)

        def consume() -> None:
            for item in follower.follow(stop, interval=0.02):
                seen.append(item)

        thread = threading.Thread(target=consume)
        thread.start()
        wait_until(lambda: amounts(seen) == [1])
    try:
        with pytest.raises(RpcDown):
            next(follower.follow(threading.Event(), raise_when_down=True))
        with AnvilProcess.start(replace(config, port=chain.port)):
            world.add(2)
            wait_until(lambda: amounts(seen) == [1, 2])
            assert seen == world.truth()
            stop.set()
            thread.join(10)
            assert not thread.is_alive()
    finally:
        stop.set()
        thread.join(10)


def test_what_was_read_before_an_outage_is_not_lost(
    world: World, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(world.chain)
    follower = world.follower(contracts=world.deployment.bind(connect(proxy.url, attempts=1)))
    drain(follower)
    world.add(1, 2, 3)
    answers = 5
    seen: list[Item] = []

    def failing(method: str, forward: Callable[[], Any]) -> Any:
        nonlocal answers
        answers -= 1
        return forward() if answers > 0 else None

    for answers in (1, 2, 3, 4, 5, 6, 7, 100):  # noqa: B007 - the rule counts it down
        proxy.rule = failing
        try:
            seen += follower.poll()
        except RpcDown:
            continue
    assert amounts(seen) == [1, 2, 3]


def test_a_provider_that_limits_ranges_is_asked_for_less(
    world: World, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    world.add(1)
    world.mine(40)
    world.add(2)
    proxy = faulty_rpc(world.chain)
    follower = world.follower(contracts=world.deployment.bind(connect(proxy.url)), window=1)
    refused = 4

    def limited(method: str, forward: Callable[[], Any]) -> Any:
        nonlocal refused
        if method == "eth_getLogs" and refused:
            refused -= 1
            return REFUSAL
        return forward()

    proxy.rule = limited
    assert drain(follower) == world.truth()
    assert refused == 0
    world.add(3)
    proxy.rule = lambda method, forward: REFUSAL if method == "eth_getLogs" else forward()
    with pytest.raises(RpcError, match="more than 10000 results"):
        follower.poll()


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
