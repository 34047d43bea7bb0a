"""A Byzantine validator's copy of the real replica, without a guard: it runs the protocol and lies on top of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pot_chain.pbft.config import Config
from pot_chain.pbft.events import (
    Broadcast,
    CancelTimer,
    Effect,
    Event,
    ProposalReady,
    Received,
    RequestProposal,
    Send,
    SetTimer,
    Sign,
    SignatureReady,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
)
from pot_chain.pbft.messages import Message
from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim import application
from pot_chain.pbft.sim.scenario import TIMEOUTS
from pot_chain.protocol.votes import Slot

if TYPE_CHECKING:
    from pot_chain.pbft.sim.byzantine import Adversary


class Puppet:
    """Copy ``copy`` of Byzantine validator ``node`` in ``slot``; it talks with ``peers`` only (ids)."""

    def __init__(self, adversary: Adversary, node: int, slot: Slot, copy: int, peers: frozenset[int]) -> None:
        self.node = node
        self.peers = peers
        self._adversary = adversary
        self._slot = slot
        self._copy = copy
        self._members = adversary.members(slot)
        self._signer = adversary.signers[node]
        self._timers: dict[Timer, int] = {}
        self._count = 0
        verify = adversary.verifier(slot)
        index = self._members.index(node)
        self._replica = Replica(Config(slot, len(self._members), index, verify, application.digest_of, TIMEOUTS))
        self._run(Start())

    def receive(self, sender: int, message: Message) -> None:
        if sender in self.peers and sender in self._members:
            self._run(Received(self._members.index(sender), message))

    def _run(self, event: Event) -> None:
        events = deque([event])
        while events:
            for effect in self._replica.step(events.popleft()):
                events.extend(self._act(effect))

    def _act(self, effect: Effect) -> list[Event]:
        match effect:
            case Sign(statement):
                return [SignatureReady(effect, self._signer.sign(statement))]
            case Broadcast(message):
                for node in self._members:
                    if node in self.peers and node != self.node:
                        self._adversary.puppet_sends(self.node, node, message)
            case Send(to, message):
                self._adversary.puppet_sends(self.node, self._members[to], message)
            case Validate(_, _, digest):
                return [Validated(digest, ok=True)]
            case RequestProposal(view):
                return [ProposalReady(view, self._adversary.puppet_proposal(self.node, self._slot, view, self._copy))]
            case SetTimer(timer, view, delay):
                self._count += 1
                self._timers[timer] = self._count
                self._adversary.clock.after(delay, self._fire, TimerFired(timer, view), self._count)
            case CancelTimer(timer):
                self._timers.pop(timer, None)
            case _:
                pass
        return []

    def _fire(self, event: TimerFired, number: int) -> None:
        if self._timers.get(event.timer) == number:
            self._run(event)
