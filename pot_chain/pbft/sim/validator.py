"""An honest validator in the simulation: the shell around guard and replicas, on simulated disk, clock and network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from pot_chain.pbft.config import Config
from pot_chain.pbft.errors import MessageError, SigningRefused
from pot_chain.pbft.events import (
    Broadcast,
    CancelTimer,
    Decide,
    Effect,
    Event,
    Evidence,
    ProposalReady,
    Received,
    Reject,
    RequestProposal,
    Send,
    SetTimer,
    Sign,
    SignatureReady,
    SignatureRefused,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
)
from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import Message
from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim import application
from pot_chain.pbft.sim.scenario import TIMEOUTS, VALIDATION_DELAY, Crash, Outage
from pot_chain.pbft.sim.storage import MemoryStorage, PowerFailure
from pot_chain.pbft.wire import encode
from pot_chain.protocol.votes import Slot, ViewChange

if TYPE_CHECKING:
    from pot_chain.pbft.sim.world import World


class Validator:
    """Validator ``node`` (id in the pool). A crash loses everything but ``storage``."""

    def __init__(self, world: World, node: int, rng: Random) -> None:
        self.world = world
        self.node = node
        self.up = True
        self.paused_until = 0.0
        self.storage = MemoryStorage(f"log of validator {node}")
        self.replicas: dict[Slot, Replica] = {}
        self._rng = rng
        self._rate = world.scenario.clock_rates[node]
        self._life = 0
        self._seen_chain = 0
        self._timers: dict[tuple[Slot, Timer], int] = {}
        self._timer_count = 0
        self._signing_until = 0.0
        self._downtime = 0.0
        self.guard = self._open()
        self.guard.begin({})

    # Life and death

    def _open(self) -> SigningGuard:
        return self.world.build.guard(self.storage, self.world.signer(self.node))

    def crash(self, outage: Outage) -> None:
        """Stop now, inside the next write, or with the loss of the disk."""
        if not self.up:
            return
        self._downtime = outage.downtime
        if outage.crash is Crash.IN_WRITE:
            self.storage.fail_next_append(outage.tear, self._rng)
            return
        if outage.crash is Crash.DISK_LOST:
            self.storage = MemoryStorage(f"new log of validator {self.node}")
        self._stop()

    def _stop(self) -> None:
        self.world.note(self.node, "crash")
        self.up = False
        self._life += 1
        self.replicas.clear()
        self._timers.clear()
        self.storage.close()
        stable_at = self.world.scenario.stable_at
        back_at = min(self.world.clock.now + self._downtime, max(stable_at, self.world.clock.now))
        self.world.clock.at(back_at, self._restart)

    def _restart(self) -> None:
        self.world.note(self.node, "restart")
        self.up = True
        self._seen_chain = 0
        self._signing_until = 0.0
        found = len(self.storage.content)
        self.guard = self._open()
        if len(self.storage.content) < found:
            self.world.count("torn log cut")
        if self.guard.fresh:
            self.guard.begin({self.world.task_id: self.world.highest_round})
            self.world.count("lost log")
        self._alive(self.on_chain)(*self.world.chain_view(self.node))

    def _alive(self, action: Callable[..., None]) -> Callable[..., None]:
        """``action``, skipped after a crash, postponed by a pause, and ended by a power failure."""
        return partial(self._perform, self._life, action)

    def _perform(self, life: int, action: Callable[..., None], *arguments: Any) -> None:
        if life != self._life or not self.up:
            return
        if self.world.clock.now < self.paused_until:
            self.world.clock.at(self.paused_until, self._perform, life, action, *arguments)
            return
        try:
            action(*arguments)
        except PowerFailure:
            self._stop()

    # The chain

    def learn(self, sequence: int, slot: Slot | None) -> None:
        """The chain's state reaches this validator: ``slot`` is open (None: the task is over)."""
        self._alive(self.on_chain)(sequence, slot)

    def on_chain(self, sequence: int, slot: Slot | None) -> None:
        if sequence <= self._seen_chain:
            return
        self._seen_chain = sequence
        self.world.note(self.node, "open", slot)
        if slot is None:
            return
        self.guard.retire(slot.task_id, slot.round - 2)
        for old in [held for held in self.replicas if not slot.round - 2 < held.round <= slot.round]:
            self._drop(old)
        epoch = self.world.epoch(slot)
        if slot in self.replicas or self.node not in epoch:
            return
        verify = self.world.keys.verifier(epoch)
        config = Config(slot, len(epoch), epoch.index(self.node), verify, application.digest_of, TIMEOUTS)
        self.replicas[slot] = self.world.build.replica(config)
        self.run(slot, self.guard.restore(slot))
        late = 0.0 if self.world.stable else self._rng.uniform(0, 1.5)
        self.world.clock.after(late, self._alive(self._start), slot)

    def _start(self, slot: Slot) -> None:
        if slot in self.replicas:
            self.run(slot, Start())
            self.world.started(self.node, slot)

    def _drop(self, slot: Slot) -> None:
        del self.replicas[slot]
        for key in [key for key in self._timers if key[0] == slot]:
            del self._timers[key]

    # Messages, timers, answers

    def deliver(self, sender: int, message: Message | bytes) -> None:
        self._alive(self._receive)(sender, message)

    def _receive(self, sender: int, message: Message | bytes) -> None:
        if isinstance(message, bytes):
            try:
                message = self.world.build.decode(message)
            except MessageError as error:
                self.world.count(f"frame: {error}")
                return
        epoch = self.world.epoch(message.slot)
        if message.slot in self.replicas and sender in epoch:
            self.run(message.slot, Received(epoch.index(sender), message))

    def run(self, slot: Slot, event: Event) -> None:
        """Step the replica of ``slot`` and act on all that follows."""
        replica = self.replicas[slot]
        events = deque([event])
        while events:
            event = events.popleft()
            self.world.note(self.node, "step", event)
            effects = replica.step(event)
            self._mark(event, effects)
            self.world.monitor.on_step(self.node, slot, replica, effects)
            for effect in effects:
                events.extend(self._act(slot, effect))

    def _mark(self, event: Event, effects: list[Effect]) -> None:
        """Coverage of what leads to view changes and decisions."""
        for effect in effects:
            if isinstance(effect, Decide):
                by = event.message if isinstance(event, Received) else event
                self.world.count(f"decide on {type(by).__name__}")
            elif isinstance(effect, Sign) and isinstance(effect.statement, ViewChange):
                by = event.message if isinstance(event, Received) else event
                self.world.count(f"view change on {type(by).__name__}")
            elif isinstance(effect, Sign) and effect.justification is not None:
                self.world.count(f"new-view {'carries' if effect.justification.certificate else 'is free'}")

    def _act(self, slot: Slot, effect: Effect) -> list[Event]:
        match effect:
            case Broadcast(message):
                self._send(slot, [node for node in self.world.epoch(slot) if node != self.node], message)
            case Send(to, message):
                self._send(slot, [self.world.epoch(slot)[to]], message)
            case Sign():
                return self._sign(slot, effect)
            case SetTimer(timer, view, delay):
                self._set_timer(slot, timer, view, delay)
            case CancelTimer(timer):
                self._timers.pop((slot, timer), None)
            case Reject(_, reason, _):
                self.world.count(reason)
            case Validate(view, payload, digest):
                answer = Validated(digest, application.is_valid(slot, payload), "contradicts what was checked")
                self._later(VALIDATION_DELAY, slot, answer)
            case RequestProposal(view):
                payload = application.payload(slot, f"{self.node}.{view}.{self._life}")
                self._later(VALIDATION_DELAY, slot, ProposalReady(view, payload))
            case Decide():
                self.world.decided(self.node, slot, effect)
            case Evidence():
                self.world.monitor.on_evidence(slot, effect)
        return []

    def _send(self, slot: Slot, receivers: list[int], message: Message) -> None:
        self.world.monitor.on_send(self.node, slot, message, self.storage)
        self.world.observe(self.node, message)
        frame = encode(message) if self.world.scenario.wire else None
        for receiver in receivers:
            self.world.network.send(self.node, receiver, message, frame=frame)

    def _sign(self, slot: Slot, request: Sign) -> list[Event]:
        slowest = self.world.scenario.signing_delay
        if not slowest:
            return [self._answer(request)]
        now = self.world.clock.now
        self._signing_until = max(now, self._signing_until) + self._rng.uniform(0, slowest)
        self.world.clock.at(self._signing_until, self._alive(self._sign_late), slot, request)
        return []

    def _sign_late(self, slot: Slot, request: Sign) -> None:
        answer = self._answer(request)
        if slot in self.replicas:
            self.run(slot, answer)

    def _answer(self, request: Sign) -> Event:
        try:
            return SignatureReady(request, self.guard.sign(request))
        except SigningRefused as refusal:
            self.world.count(f"guard: {type(refusal).__name__}")
            return SignatureRefused(request, str(refusal))

    def _later(self, longest: float, slot: Slot, event: Event) -> None:
        replica = self.replicas[slot]
        self.world.clock.after(self._rng.uniform(0, longest), self._alive(self._answered), slot, replica, event)

    def _answered(self, slot: Slot, replica: Replica, event: Event) -> None:
        if self.replicas.get(slot) is replica:
            self.run(slot, event)

    def _set_timer(self, slot: Slot, timer: Timer, view: int, delay: float) -> None:
        self._timer_count += 1
        self._timers[(slot, timer)] = self._timer_count
        jump = not self.world.stable and self._rng.random() < self.world.scenario.timer_jumps
        delay = 0.0 if jump and timer is Timer.VIEW else delay * self._rate
        self.world.clock.after(delay, self._alive(self._fire), slot, TimerFired(timer, view), self._timer_count)

    def _fire(self, slot: Slot, event: TimerFired, number: int) -> None:
        if self._timers.get((slot, event.timer)) == number:
            del self._timers[(slot, event.timer)]
            self.run(slot, event)

    def idle_timers(self) -> list[tuple[Slot, Timer]]:
        """Timers that run for a slot that is decided: there must be none."""
        return [
            (slot, timer)
            for slot, timer in self._timers
            if slot in self.replicas and self.replicas[slot].decided is not None
        ]
