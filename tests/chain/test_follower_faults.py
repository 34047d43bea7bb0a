"""Reorgs and outages under the follower."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.deployment import Deployment
from pot_chain.chain.errors import ReorgTooDeep, RpcDown, RpcError
from pot_chain.chain.follower import EventFollower, Item, Reorged
from pot_chain.chain.logs import Event
from pot_chain.chain.sender import TransactionSender
from tests.chain.faulty_rpc import FaultyRpc
from tests.chain.world import World, amounts, apply, drain

Wait = Callable[[Callable[[], object]], None]
REFUSAL = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "query returned more than 10000 results"}}


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
