"""Whole processes, killed by SIGKILL at random moments and started again, until a task of eight rounds is complete.

Seed 1 here; another one by ``POT_CRASH_SEEDS=17``, many by ``POT_CRASH_SEEDS=1-10``. A seed fixes who dies, when and
for how long; what the processes are doing at that moment is up to the machine.
"""

from __future__ import annotations

import json
import os
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ipfs import open_store
from pot_chain.chain import events as ev
from pot_chain.chain.connection import rpc
from pot_chain.chain.follower import EventFollower
from pot_chain.chain.history import TaskHistory
from pot_chain.chain.logs import Event
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import TaskState
from pot_chain.localnet.launch import StartOptions
from pot_chain.localnet.network import Network
from pot_chain.localnet.roles import validator_status
from pot_chain.owner.create import create_task
from pot_chain.owner.records import RecordReader
from pot_chain.owner.rewards import claim
from pot_chain.owner.settle import refund_task
from pot_chain.owner.tasks import synced
from pot_chain.pbft.guard import SigningGuard
from pot_chain.protocol.record import RoundRecord
from pot_chain.protocol.spec import TaskSpec

ROUNDS, VALIDATORS, MINERS, KILLS = 8, 4, 3, 7
BUDGET = 10**18 + 7  # not divisible by anything
STALL_SECONDS = 120.0
SPEC = {
    "name": "crash",
    "model": {"name": "mlp", "params": {"inputs": 64, "hidden": [16], "classes": 10}},
    "data": {"source": "digits"},
    "training": {"rounds": ROUNDS, "samples_per_miner": 16, "learning_rate": 0.3},
    "rewards": {"budget": str(BUDGET)},
    "miners": {"min": MINERS, "max": MINERS},
    "verification": {"audit_rate": 0.5},
    "timing": {"commit_window": 60, "reveal_window": 30, "finalize_window": 60},
}


def seeds() -> list[int]:
    first, _, last = os.environ.get("POT_CRASH_SEEDS", "1").partition("-")
    return list(range(int(first), int(last or first) + 1))


@dataclass
class Chaos:
    """Kills ``KILLS`` times, so that at most two processes are dead or on their way back at any time."""

    network: Network
    task_id: int
    seed: int
    kills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = [f"validator-{i}" for i in range(VALIDATORS)] + [f"miner-{i}" for i in range(MINERS)]
        self._starts = dict.fromkeys(self._names, 1)
        self._dead: dict[str, float] = {}
        self._next = time.monotonic() + self._random.uniform(0, 2)

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for name in [name for name, until in self._dead.items() if now >= until]:
            self._start(name)
        if now < self._next or len(self.kills) == KILLS:
            return
        at_work = [name for name in self._names if name not in self._dead and self._at_work(name)]
        if len(at_work) >= len(self._names) - 1:
            victim = self._random.choice(at_work)
            self._kill(victim)
            self._dead[victim] = now + self._random.uniform(0, 1)
            self._next = now + self._random.uniform(0, 3)

    def end(self) -> None:
        """Start what is dead."""
        for name in list(self._dead):
            self._start(name)

    def _at_work(self, name: str) -> bool:
        kind, _, index = name.partition("-")
        if kind == "validator":
            return validator_status(self.network.description().validators[int(index)].endpoint) is not None
        events = [event["event"] for event in self.network.miner_events(name)]
        return events.count("mining") == self._starts[name] or "task_ended" in events

    def _kill(self, name: str) -> None:
        kind, _, index = name.partition("-")
        killed = self.network.kill_validator(int(index)) if kind == "validator" else self.network.kill_miner(name)
        if killed:
            self.kills.append(name)

    def _start(self, name: str) -> None:
        del self._dead[name]
        self._starts[name] += 1
        kind, _, index = name.partition("-")
        if kind == "validator":
            self.network.start_validator(int(index), wait=False)
        else:
            self.network.start_miner(name, self.task_id)


@contextmanager
def network_in(folder: Path) -> Iterator[Network]:
    network = Network(folder)
    try:
        network.start(StartOptions(validators=VALIDATORS, use_kubo=False))
        yield network
    finally:
        if network.paths.description.exists():
            network.stop()


def test_spec_is_one() -> None:
    assert TaskSpec.parse(SPEC).reward_per_round == BUDGET // ROUNDS


@pytest.mark.network
@pytest.mark.parametrize("seed", seeds())
def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}; again: POT_CRASH_SEEDS={seed}, pytest {__file__}")
    with network_in(tmp_path / "net") as network:
        description = network.description()
        owner = ChainClient(description.rpc_url, network.paths.deployment, network.owner)
        store = open_store(description.ipfs.address)
        task_id = create_task(owner, store, TaskSpec.parse(SPEC)).task_id
        for index in range(MINERS):
            network.start_miner(f"miner-{index}", task_id)
        chaos = Chaos(network, task_id, seed)
        run_to_the_end(owner, task_id, chaos)
        print(f"killed: {dict(Counter(chaos.kills))}")
        assert len(chaos.kills) >= KILLS // 2  # a fast machine may be done before

        task = synced(owner).history.tasks[task_id]
        records = [RecordReader(store).read(task, seen) for seen in task.finals]
        assert_each_thing_happened_once(owner, task)
        assert_nobody_lost_a_reveal(task, records)
        assert_paid_by_the_rule(network, records)
        assert_escrow_adds_up(owner, store, task_id, records[-1])
        assert_no_evidence(network)
    assert_logs_are_sound(network, owner)


def run_to_the_end(owner: ChainClient, task_id: int, chaos: Chaos) -> None:
    """Cause chaos until the task has ended."""
    rounds, changed = 0, time.monotonic()
    while True:
        owner.poll()
        task = owner.history.tasks[task_id]
        if task.ended:
            break
        if task.current is not None:
            chaos.step()
        if len(task.rounds) != rounds:
            rounds, changed = len(task.rounds), time.monotonic()
        assert time.monotonic() - changed < STALL_SECONDS, f"round {rounds - 1} does not end"
        time.sleep(0.05)
    assert task.state is TaskState.COMPLETED
    assert len(task.finals) == ROUNDS
    chaos.end()


def assert_each_thing_happened_once(owner: ChainClient, task: TaskHistory) -> None:
    """Rounds, seals and outcomes, as the chain's events have them."""
    follower, found = EventFollower(owner.contracts, from_block=owner.deployment.from_block), list[Event]()
    while news := follower.poll():
        found += [event for event in news if isinstance(event, Event)]
    opened = [event.round for event in found if isinstance(event, ev.RoundOpened)]
    # a final round opens the next one with it, unless the task has ended
    opened += [event.round + 1 for event in found if isinstance(event, ev.RoundFinalized) and event.next_epoch]
    ended = [event.round for event in found if isinstance(event, ev.RoundFinalized | ev.RoundSkipped)]
    assert sorted(opened) == ended == list(range(len(task.rounds)))
    commits = Counter((event.round, event.miner) for event in found if isinstance(event, ev.GradientCommitted))
    assert set(commits.values()) == {1}
    assert len(commits) == MINERS * len(task.rounds), "a miner that was killed commits when it is back"
    joined = [event.miner for event in found if isinstance(event, ev.MinerJoined)]
    registered = [event.node for event in found if isinstance(event, ev.NodeRegistered)]
    assert len(joined) == len(set(joined)) == MINERS
    assert len(registered) == len(set(registered)) == MINERS + VALIDATORS


def assert_nobody_lost_a_reveal(task: TaskHistory, records: list[RoundRecord]) -> None:
    """Every seal of a final round was opened, and the work behind it accepted."""
    for seen, record in zip(task.finals, records, strict=True):
        assert [miner for miner, _ in record.commits] == list(seen.commits)
        assert set(record.accepted) == set(seen.commits)


def assert_paid_by_the_rule(network: Network, records: list[RoundRecord]) -> None:
    """Recomputed from nothing but the records' members, verdicts and reports."""
    operators = {validator.address for validator in network.description().validators}
    pool = BUDGET // ROUNDS
    validators = pool * 2_000 // 10_000
    total: Counter[str] = Counter()
    for record in records:
        earned = {miner: (pool - validators) * 16 // (16 * len(record.members)) for miner in record.accepted}
        assert {report.validator for report in record.reports} <= operators
        assert len(record.reports) >= 3
        earned |= {report.validator: validators // VALIDATORS for report in record.reports}
        assert record.earned == earned
        total.update(earned)
        assert record.cumulative == dict(total)


def assert_escrow_adds_up(owner: ChainClient, store: object, task_id: int, last: RoundRecord) -> None:
    """Everybody claims, the owner takes the rest, and nothing is left."""
    records = RecordReader(store)  # type: ignore[arg-type]
    for account, amount in last.cumulative.items():
        before = balance(owner, account)
        assert claim(synced(owner), records, task_id, account).amount == amount
        assert balance(owner, account) - before == amount
    refunded = refund_task(owner, task_id).amount
    assert sum(last.cumulative.values()) + refunded == BUDGET
    assert balance(owner, owner.training.address) == 0


def balance(client: ChainClient, account: str) -> int:
    return int(rpc(client.web3, "eth_getBalance", [account, "latest"]), 16)


def assert_no_evidence(network: Network) -> None:
    """No validator has seen two votes of one that contradict each other, nor a failure of its own code."""
    for validator in network.description().validators:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{validator.endpoint}/metrics", timeout=5) as answer:
                    metrics = answer.read().decode()
                break
            except OSError:  # it was started again just now
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert 'what="evidence"' not in metrics
        assert 'what="bug"' not in metrics


def assert_logs_are_sound(network: Network, owner: ChainClient) -> None:
    """What the killed processes have left behind: no failure in their output, and signing logs that open."""
    for log in network.paths.logs.glob("*.log"):
        text = log.read_text(errors="replace")
        assert "Traceback" not in text, f"{log.name}: {text[text.index('Traceback') :][:2000]}"
        assert "EQUIVOCATION" not in text
    for index in range(VALIDATORS):
        name = f"validator-{index}"
        key = bytes(network.account(name).key)
        with SigningGuard.open(network.paths.state(name) / "votes.log", key, owner.domain) as guard:
            assert not guard.fresh
    for index in range(MINERS):
        events = [json.dumps(event) for event in network.miner_events(f"miner-{index}")]
        assert not [event for event in events if '"round_missed"' in event]
