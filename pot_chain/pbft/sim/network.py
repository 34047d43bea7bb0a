"""The simulated network: until the world is stable it loses, doubles, delays and reorders; then it is only slow."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from pot_chain.pbft.messages import Ballot, Message, Proposal, ViewChangeRequest
from pot_chain.pbft.sim.clock import Clock
from pot_chain.pbft.sim.scenario import CALM_DELAY, Kind, Scenario
from pot_chain.protocol.votes import Phase, Slot

Deliver: TypeAlias = Callable[[int, int, Message | bytes], None]
"""``deliver(receiver, sender, message or raw frame)``."""


class Network:
    """Moves messages between validators (by id) according to the scenario."""

    def __init__(self, clock: Clock, scenario: Scenario, rng: Random, deliver: Deliver) -> None:
        self._clock = clock
        self._scenario = scenario
        self._rng = rng
        self._deliver = deliver
        self._silenced: set[tuple[int, Slot]] = set()
        self.sent = 0

    def send(
        self,
        sender: int,
        receiver: int,
        message: Message | bytes,
        *,
        frame: bytes | None = None,
        hostile: bool = False,
    ) -> None:
        """Send ``message``, or ``frame`` in its place.

        ``hostile``: the adversary controls its own links, so nothing is lost there and it may be fast.
        """
        self.sent += 1
        now, rng, scenario = self._clock.now, self._rng, self._scenario
        if now >= scenario.stable_at:
            return self._schedule(now + rng.uniform(0, CALM_DELAY), sender, receiver, frame or message)
        if hostile:
            return self._schedule(now + rng.uniform(0, scenario.delay), sender, receiver, message)
        if scenario.ambush is not None and self._ambushed(sender, receiver, message):
            return None
        if scenario.deaf and (receiver, _kind(message)) in scenario.deaf:
            return None
        if scenario.loss and rng.random() < scenario.loss:
            return None
        for partition in scenario.partitions:
            if partition.start <= now < partition.end and (sender, receiver) in partition.cut:
                return None
        copies = 2 if scenario.duplication and rng.random() < scenario.duplication else 1
        for _ in range(copies):
            delay = rng.expovariate(1 / scenario.delay) if scenario.exponential else rng.uniform(0, scenario.delay)
            latest = scenario.stable_at + CALM_DELAY
            self._schedule(min(now + delay, latest), sender, receiver, frame or message)
        return None

    def silence(self, node: int, slot: Slot) -> None:
        """``node`` has decided ``slot``: in an ambush nobody hears of it."""
        self._silenced.add((node, slot))

    def _ambushed(self, sender: int, receiver: int, message: Message | bytes) -> bool:
        if isinstance(message, bytes):
            return False
        if (sender, message.slot) in self._silenced:
            return True
        return _kind(message) is Kind.COMMIT and receiver != self._scenario.ambush

    def _schedule(self, at: float, sender: int, receiver: int, message: Message | bytes) -> None:
        self._clock.at(at, self._deliver, receiver, sender, message)


def _kind(message: Message | bytes) -> Kind:
    match message:
        case Proposal():
            return Kind.PROPOSE
        case Ballot(vote):
            return Kind.COMMIT if vote.statement.phase is Phase.COMMIT else Kind.PREPARE
        case ViewChangeRequest():
            return Kind.VIEW_CHANGE
        case _:
            return Kind.OTHER
