"""One simulated world: honest validators, an adversary, a chain that opens rounds, and the monitor of them all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any

from pot_chain.pbft.events import Decide
from pot_chain.pbft.guard import Signer
from pot_chain.pbft.messages import Decided, Message
from pot_chain.pbft.sim.build import GENUINE, Build
from pot_chain.pbft.sim.byzantine import Adversary
from pot_chain.pbft.sim.clock import Clock
from pot_chain.pbft.sim.crypto import FastTestKeys, Keys, RealKeys
from pot_chain.pbft.sim.invariants import Monitor, Violation
from pot_chain.pbft.sim.network import Network
from pot_chain.pbft.sim.scenario import CALM_DELAY, TIMEOUTS, VALIDATION_DELAY, Scenario
from pot_chain.pbft.sim.trace import words
from pot_chain.pbft.sim.validator import Validator
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.votes import Slot, Statement

MAX_EVENTS = 400_000
"""More events than any world needs; reaching it is a failure (something runs away)."""
NEWS_DELAY = 4.0
"""Longest time until all that is open on chain has been heard of and started, seconds, before stabilisation."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed showed; ``violation`` is None if every invariant held."""

    seed: int
    violation: str | None
    trace_hash: str
    trace: tuple[str, ...]
    events: int
    messages: int
    max_view: int
    counts: dict[str, int]
    certificates: tuple[Decided, ...]


class _RegisteredSigner:
    """Tells the monitor what is signed."""

    def __init__(self, world: World, node: int) -> None:
        self._inner = world.keys.signer(node)
        self._world = world
        self._node = node
        self.address: Address = self._inner.address

    def sign(self, statement: Statement) -> bytes:
        self._world.monitor.register(self._node, statement)
        return self._inner.sign(statement)

    def log_owner(self) -> bytes:
        return self._inner.log_owner()


class World:
    """Runs one scenario to its end.

    Liveness bound, from the moment at which the network is calm and all honest validators have started the slot, w
    being the highest view among them then: whoever is below w follows or times out within T(w), then at most f views
    have a faulty primary and the next one decides. Each view costs its time-out (stretched by the slowest clock) and
    the spread of entering it.
    """

    def __init__(self, scenario: Scenario, build: Build = GENUINE, keys: Keys | None = None) -> None:
        """``keys``: of the validators; None for those that the scenario draws."""
        rng = Random(scenario.seed)
        rng.seed(rng.getrandbits(64))  # the scenario has used the seed's own stream
        self.scenario = scenario
        self.build = build
        self.task_id = 7
        self.clock = Clock()
        real = scenario.real_signatures and build.signed_bytes is GENUINE.signed_bytes
        drawn: Keys = RealKeys(scenario.pool) if real else FastTestKeys(build.signed_bytes)
        self.keys = drawn if keys is None else keys
        self.honest = frozenset(range(scenario.pool)) - scenario.byzantine
        self.monitor = Monitor(scenario.epochs, self.honest)
        self.counts: Counter[str] = Counter()
        self.highest_round = 0
        self._rng = rng
        self._trace: list[tuple[float, int, str, Any]] = []
        self._epochs = list(scenario.slots)
        self._sequence = 0
        self._open: Slot | None = None
        self._final = -1  # the highest final round
        self._over = False
        self._started: dict[Slot, set[int]] = {}
        self._decided: dict[Slot, set[int]] = {}
        self._deadlines: set[Slot] = set()
        self.network = Network(self.clock, scenario, rng, self._deliver)
        self.adversary = Adversary(self, Random(rng.getrandbits(64)))
        self.validators = {node: Validator(self, node, Random(rng.getrandbits(64))) for node in sorted(self.honest)}

    # Run

    def run(self) -> Result:
        """Play the scenario; a violation ends it and is part of the result."""
        violation: str | None = None
        try:
            self._begin()
            while not self._over and self.clock.advance():
                if self.clock.events > MAX_EVENTS:
                    raise Violation("liveness: the world does not come to an end")
            if not self._over:
                raise Violation("liveness: nothing is left to happen, and the task is not over")
            self._check_idle()
            self._check_smooth()
        except Violation as found:
            violation = str(found)
        except Exception as error:  # noqa: BLE001  (whatever escapes from an honest validator is a finding)
            violation = f"crash: {type(error).__name__}: {error}"
        trace = tuple(self.trace()) if violation else ()
        return Result(
            self.scenario.seed,
            violation,
            self._hash(),
            trace,
            self.clock.events,
            self.network.sent,
            self.monitor.max_view,
            dict(self.counts),
            tuple(self.monitor.certificates.values()),
        )

    def _begin(self) -> None:
        scenario = self.scenario
        for outage in scenario.outages:
            self.clock.at(outage.at, self.validators[outage.node].crash, outage)
        for pause in scenario.pauses:
            self.clock.at(pause.at, self._pause, pause.node, pause.at + pause.length)
        for at, epoch in scenario.reorgs:
            self.clock.at(at, self._reorganise, epoch)
        self.clock.at(scenario.stable_at, self._stabilise)
        self._open_round(0)
        self.adversary.begin()

    def _pause(self, node: int, until: float) -> None:
        self.validators[node].paused_until = until

    @property
    def stable(self) -> bool:
        return self.clock.now >= self.scenario.stable_at

    def _stabilise(self) -> None:
        for slot in list(self._started):
            self._watch_liveness(slot)

    # The chain

    def epoch(self, slot: Slot) -> tuple[int, ...]:
        """Validator ids of the slot's epoch; empty if there is no such epoch."""
        epochs = self.scenario.epochs
        return epochs[slot.epoch - 1] if 1 <= slot.epoch <= len(epochs) else ()

    def _open_round(self, number: int) -> None:
        self._sequence += 1
        if number < len(self._epochs):
            self._open = Slot(self.task_id, number, self._epochs[number])
            self.highest_round = max(self.highest_round, number)
            self.adversary.on_open(self._open)
        else:
            self._open = None
        for node in sorted(self.honest):
            late = self._rng.uniform(0, CALM_DELAY if self.stable else 2.0)
            self.clock.after(late, self._tell, node, self._sequence, self._open)
        if self._open is None:
            self.clock.after(1.0, self._end, self._sequence)

    def _tell(self, node: int, sequence: int, slot: Slot | None) -> None:
        self.validators[node].learn(sequence, slot)

    def _end(self, sequence: int) -> None:
        self._over = sequence == self._sequence

    def chain_view(self, _node: int) -> tuple[int, Slot | None]:
        """What a validator that starts finds on chain."""
        return self._sequence, self._open

    def _finalize(self, slot: Slot) -> None:
        if self._open == slot:
            self._final = slot.round
            self._open_round(slot.round + 1)

    def _reorganise(self, epoch: int) -> None:
        """The block that finalized the last round is gone; the round is final again a little later."""
        if self._final < 0 or self._over or self._open is None:
            return
        self.note(-1, "reorg", self._final)
        number, self._final = self._final, self._final - 1
        if number + 1 < len(self._epochs):
            self._epochs[number + 1] = epoch
        self._open_round(number)
        again = self._open
        assert again is not None
        self.clock.after(self._rng.uniform(0.1, 3.0), self._finalize, again)

    # What validators report

    def started(self, node: int, slot: Slot) -> None:
        self._started.setdefault(slot, set()).add(node)
        if self.stable:
            self._watch_liveness(slot)

    def decided(self, node: int, slot: Slot, decide: Decide) -> None:
        self.note(node, "decide", decide.digest)
        done = self._decided.setdefault(slot, set())
        done.add(node)
        self.network.silence(node, slot)
        if self.scenario.chain_leads or done >= self._honest_members(slot):
            self.clock.after(self._rng.uniform(0.1, 2.0), self._finalize, slot)

    def _honest_members(self, slot: Slot) -> frozenset[int]:
        return self.honest & frozenset(self.epoch(slot))

    def count(self, what: str) -> None:
        """Coverage: how often something happened."""
        self.counts[what] += 1

    # Liveness

    def _watch_liveness(self, slot: Slot) -> None:
        if slot in self._deadlines or self._started.get(slot, set()) < self._honest_members(slot):
            return
        self._deadlines.add(slot)
        self.clock.after(self._bound(slot), self._check_live, slot)

    def _bound(self, slot: Slot) -> float:
        w = max((self._view_of(node, slot) for node in self._honest_members(slot)), default=0)
        spread = 1.2 * TIMEOUTS.resend + 4 * CALM_DELAY + VALIDATION_DELAY
        views = range(w, w + self.scenario.faulty + 2)
        return sum(1.2 * TIMEOUTS.of_view(view) + spread for view in views) + 8 * CALM_DELAY + NEWS_DELAY

    def _view_of(self, node: int, slot: Slot) -> int:
        replica = self.validators[node].replicas.get(slot)
        return replica.view if replica is not None else 0

    def _check_live(self, slot: Slot) -> None:
        if self._final >= slot.round or (self._open is not None and self._open != slot):
            return
        missing = self._honest_members(slot) - self._decided.get(slot, set())
        if missing:
            raise Violation(f"liveness: validators {sorted(missing)} have not decided {slot} within the bound")

    def _check_idle(self) -> None:
        for node, validator in self.validators.items():
            if validator.idle_timers():
                raise Violation(f"idle: validator {node} runs timers for decided slots: {validator.idle_timers()}")

    def _check_smooth(self) -> None:
        """Where nothing goes wrong, the first view decides."""
        if not self.scenario.stable_at and not self.scenario.byzantine and self.monitor.max_view:
            raise Violation(f"smoothness: view {self.monitor.max_view} was needed although nothing went wrong")

    # Messages

    def signer(self, node: int) -> Signer:
        """The signer of ``node``, registered with the monitor."""
        return _RegisteredSigner(self, node)

    def _deliver(self, receiver: int, sender: int, message: Message | bytes) -> None:
        if receiver in self.honest:
            self.validators[receiver].deliver(sender, message)
        else:
            self.adversary.on_message(receiver, sender, message)

    def observe(self, node: int, message: Message) -> None:
        """The adversary sees all honest traffic at once."""
        self.adversary.observe(node, message)

    # Trace

    def note(self, node: int, kind: str, detail: object = None) -> None:
        self._trace.append((self.clock.now, node, kind, detail))

    def trace(self) -> list[str]:
        """All that happened: time (s), validator (-1: the world), what."""
        return [f"{time:9.4f}  {node:3d}  {kind:8s} {words(detail)}" for time, node, kind, detail in self._trace]

    def _hash(self) -> str:
        digest = blake2b(digest_size=8)
        for time, node, kind, detail in self._trace:
            digest.update(f"{time:.9f} {node} {kind} {type(detail).__name__};".encode())
        return digest.hexdigest()
