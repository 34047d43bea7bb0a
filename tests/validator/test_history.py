"""The history that every role folds from the contracts' events, through joins, skips, new keys and reorgs."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.chain import events as ev
from pot_chain.chain.connection import rpc
from pot_chain.chain.history import History
from pot_chain.chain.logs import Event, RawLog
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import Role, Scheme, TaskParams, TaskState
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.seal import genesis_head
from tests.validator.conftest import Chain

DOMAIN = Domain(31337, "0x" + "c0" * 20)
OWNER, *MINERS = ("0x" + f"{i:02x}" * 20 for i in range(0x31, 0x36))
PARAMS = TaskParams(
    spec=b"\x01" * 32,
    checkpoint=b"\x02" * 32,
    budget=10,
    reward_per_round=1,
    rounds=3,
    min_miners=1,
    max_miners=4,
    max_skips=2,
    start_window=1,
    commit_window=1,
    reveal_window=1,
    finalize_window=1,
)


class Tape:
    """Writes events, each in a block of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: type[Event], **fields: Any) -> None:
        block = len(self.events) + 1
        log = RawLog(DOMAIN.contract, (), b"", block, f"0x{block:064x}", f"0x{block:064x}", 0)
        self.events.append(kind(log=log, **fields))

    def task(self) -> None:
        self.add(ev.TaskCreated, task_id=1, owner=OWNER, params=PARAMS)

    def opened(self, number: int) -> None:
        self.add(ev.RoundOpened, task_id=1, round=number, epoch=1, seed=bytes([number]) * 32)

    def final(self, number: int, *, last: bool = False) -> None:
        self.add(
            ev.RoundFinalized,
            task_id=1,
            round=number,
            digest=bytes([0x10 + number]) * 32,
            view_number=number,
            checkpoint=bytes([0x20 + number]) * 32,
            record=bytes([0x30 + number]) * 32,
            loss=number,
            rewards_root=bytes([0x40 + number]) * 32,
            rewards_total=number + 1,
            next_epoch=0 if last else 1,
            next_seed=bytes(32) if last else bytes([number + 1]) * 32,
        )


def random_tape(seed: int) -> Tape:
    """A task's life as the contract allows it."""
    generator, tape = random.Random(seed), Tape()
    tape.add(ev.EpochAdvanced, epoch=1, quorum=3, scheme=Scheme.ECDSA, expires_at=99, vote_keys=())
    tape.task()
    tape.add(ev.MinerJoined, task_id=1, miner=MINERS[0], from_round=0)
    tape.opened(0)
    number = finals = 0
    while finals < PARAMS.rounds:
        for miner in generator.sample(MINERS, generator.randrange(len(MINERS))):
            tape.add(ev.GradientCommitted, task_id=1, round=number, miner=miner, seal=bytes([number + 1]) * 32)
            if generator.random() < 0.3:
                tape.add(
                    ev.GradientRevealed,
                    task_id=1,
                    round=number,
                    miner=miner,
                    cid_digest=b"\x05" * 32,
                    salt=b"\x06" * 32,
                )
        if generator.random() < 0.3:
            kind = generator.choice([ev.MinerJoined, ev.MinerLeft])
            tape.add(kind, task_id=1, miner=generator.choice(MINERS), from_round=number + 1)
        if generator.random() < 0.7:
            finals += 1
            tape.final(number, last=finals == PARAMS.rounds)
        else:
            tape.add(ev.RoundSkipped, task_id=1, round=number)
            tape.opened(number + 1)
        number += 1
    tape.add(ev.TaskCompleted, task_id=1)
    return tape


@given(st.integers(0, 10_000), st.data())
def test_a_fold_goes_on_where_it_was_cut(seed: int, data: st.DataObject) -> None:
    events = random_tape(seed).events
    cut = data.draw(st.integers(0, len(events)))
    history = History.fold(DOMAIN, events[:cut])
    for event in events[cut:]:
        history.apply(event)
    assert history == History.fold(DOMAIN, events)


@given(st.integers(0, 10_000))
def test_head_and_checkpoint_are_those_of_the_last_final_round(seed: int) -> None:
    task = History.fold(DOMAIN, random_tape(seed).events).tasks[1]
    head, checkpoint, finals = genesis_head(DOMAIN, 1, PARAMS.spec, PARAMS.checkpoint), PARAMS.checkpoint, 0
    for number, current in task.rounds.items():
        assert (current.number, current.parent, current.checkpoint) == (number, head, checkpoint)
        assert current.finalized_before == finals
        assert current.open is False
        assert (current.final is None) is current.skipped
        if current.final is not None:
            head, checkpoint, finals = current.final.digest, current.final.checkpoint, finals + 1
    assert list(task.rounds) == sorted(task.rounds)
    assert [seen.number for seen in task.finals] == [n for n, seen in task.rounds.items() if seen.final]
    assert (task.head, task.checkpoint, task.state) == (head, checkpoint, TaskState.COMPLETED)
    assert task.ended
    assert task.current is None


def test_the_current_round_is_the_open_one_of_a_running_task() -> None:
    tape = Tape()
    tape.task()
    assert History.fold(DOMAIN, tape.events).tasks[1].current is None
    tape.opened(0)
    tape.add(ev.RoundSkipped, task_id=1, round=0)
    assert History.fold(DOMAIN, tape.events).tasks[1].current is None
    tape.opened(1)
    current = History.fold(DOMAIN, tape.events).tasks[1].current
    assert current is not None
    assert (current.number, current.opened_hash) == (1, tape.events[-1].log.block_hash)
    tape.final(1)
    following = History.fold(DOMAIN, tape.events).tasks[1].current
    assert following is not None
    assert (following.number, following.epoch, following.seed) == (2, 1, b"\x02" * 32)
    assert (following.opened_hash, following.parent) == (tape.events[-1].log.block_hash, bytes([0x11]) * 32)
    tape.final(2, last=True)
    tape.add(ev.TaskStopped, task_id=1)
    stopped = History.fold(DOMAIN, tape.events).tasks[1]
    assert (stopped.current, stopped.state, stopped.ended) == (None, TaskState.STOPPED, True)


def test_an_expired_task_has_no_open_round() -> None:
    tape = Tape()
    tape.task()
    tape.opened(0)
    tape.add(ev.RoundSkipped, task_id=1, round=0)
    tape.add(ev.TaskExpired, task_id=1)
    assert History.fold(DOMAIN, tape.events).tasks[1].current is None


def test_events_of_a_task_that_nobody_created_are_passed_over() -> None:
    tape = Tape()
    tape.opened(0)
    assert History.fold(DOMAIN, tape.events).tasks == {}


def test_a_vote_key_that_was_given_up_is_still_known_in_its_epoch() -> None:
    """Found by review: once a validator had registered with another key, the old epoch's endpoints raised KeyError."""
    tape, operator = Tape(), MINERS[0]
    for key, endpoint in (("0x" + "aa" * 20, "http://old"), ("0x" + "bb" * 20, "http://new")):
        tape.add(ev.NodeRegistered, node=operator, role=Role.VALIDATOR, vote_key=key, stake=1, endpoint=endpoint)
        epoch = 1 if endpoint == "http://old" else 2
        tape.add(ev.EpochAdvanced, epoch=epoch, quorum=1, scheme=Scheme.ECDSA, expires_at=99, vote_keys=(key,))
    history = History.fold(DOMAIN, tape.events)
    assert history.operators(1) == {"0x" + "aa" * 20: operator}
    assert history.endpoints(1) == {"0x" + "aa" * 20: "http://new"}
    assert history.operators(2) == {"0x" + "bb" * 20: operator}
    tape.add(ev.EndpointChanged, node=operator, endpoint="http://moved")
    history = History.fold(DOMAIN, tape.events)
    assert history.endpoints(2) == {"0x" + "bb" * 20: "http://moved"}
    assert history.endpoints(3) == {}


async def test_a_client_forgets_what_a_reorg_has_undone(chain: Chain) -> None:
    """Events and blocks alike: a block of the old branch must not decide who is audited."""
    client = ChainClient(chain.rpc, chain.deployment)
    client.poll()
    before = copy.deepcopy(client.history)
    snapshot = rpc(client.web3, "evm_snapshot")
    task_id = chain.create_task()
    chain.advance(1)
    client.poll()
    assert task_id in client.history.tasks
    old = client.block(client.head)
    assert rpc(client.web3, "evm_revert", [snapshot])
    for _ in range(6):
        chain.advance(1)
    while client.head < old.number or task_id in client.history.tasks:
        client.poll()
    assert client.history == before
    assert client.block(old.number) != old


def test_the_first_block_after_a_time(chain: Chain) -> None:
    client = ChainClient(chain.rpc, chain.deployment)
    for _ in range(5):
        chain.advance(7)
    client.poll()
    start = client.deployment.from_block
    times = {number: client.block(number).timestamp for number in range(start, client.head + 1)}
    assert len(set(times.values())) > 5
    for time in range(times[start], times[client.head]):
        expected = next(number for number, mined in times.items() if mined > time)
        assert client.first_block_after(time, start) == expected
    assert client.first_block_after(client.block(client.head).timestamp, start) is None


def test_only_the_latest_blocks_are_remembered(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pot_chain.chain.network.REMEMBERED_BLOCKS", 3)
    client = ChainClient(chain.rpc, chain.deployment)
    client.poll()
    for number in range(client.head):
        client.block(number)
    assert len(client._blocks) == 3
