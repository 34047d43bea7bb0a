"""The shell around one slot's replica: its key, its timers and its links. Everything happens in the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

from pot_chain.pbft.certificate import Certificate, ecdsa_verifier
from pot_chain.pbft.config import Config
from pot_chain.pbft.errors import GuardError, SigningRefused
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
from pot_chain.pbft.messages import MAX_PAYLOAD_BYTES, Ballot, Message
from pot_chain.pbft.replica import REMEMBERED_PAYLOADS, Replica
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.round import Proposal, RoundContext
from pot_chain.validator import frames
from pot_chain.validator.metrics import RECEIVED, SIGNED, SlotTimes, kind_of
from pot_chain.validator.services import Wiring

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Application:
    """What a replica asks of the round; each returns at once.

    Attributes:
        propose: this validator leads the view and may choose a proposal.
        validate: a proposal is to be checked.
        decided: the slot is decided.
    """

    propose: Callable[[int], None]
    validate: Callable[[Validate], None]
    decided: Callable[[Proposal, Certificate], None]


class Consensus:
    """The replica of one slot; create it in the event loop."""

    def __init__(self, wiring: Wiring, context: RoundContext, me: Address, application: Application) -> None:
        self._wiring, self._context, self._application = wiring, context, application
        self._slot = context.slot
        self._events: deque[Event] = deque()
        self._feeding = self._closed = False
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._times = SlotTimes(wiring.observe, asyncio.get_running_loop().time)
        self._parse = lru_cache(maxsize=REMEMBERED_PAYLOADS)(Proposal.from_bytes)
        config = Config(
            self._slot,
            len(context.voters),
            context.voters.index(me),
            ecdsa_verifier(context.domain, context.voters),
            self._digest_of,
            wiring.timeouts,
        )
        self._replica = Replica(config)
        self.feed(wiring.guard.restore(self._slot))

    @property
    def view(self) -> int:
        """View in which the replica is."""
        return self._replica.view

    def primary(self, view: int) -> int:
        """Index of the validator that leads ``view``."""
        return self._replica.primary(view)

    def start(self) -> None:
        """The round is judged: a primary could propose now."""
        self._times.start()
        self.feed(Start())

    def receive(self, sender: int, message: Message) -> None:
        """A message of validator ``sender`` (index in the epoch; -1 for anybody else)."""
        if isinstance(message, Ballot):
            self._wiring.count(RECEIVED, kind_of(message.vote.statement))
        self.feed(Received(sender, message))

    def propose(self, view: int, proposal: Proposal) -> None:
        """Answer to ``Application.propose``.

        Raises:
            ProtocolError: the proposal is larger than the wire allows.
        """
        payload = proposal.to_bytes()
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ProtocolError(f"a proposal of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} can be sent")
        self.feed(ProposalReady(view, payload))

    def answer(self, request: Validate, refusal: str | None) -> None:
        """Answer to ``Application.validate``: None confirms the proposal."""
        self.feed(Validated(request.digest, refusal is None, refusal or ""))

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        for timer in list(self._timers):
            self._cancel(timer)

    def feed(self, event: Event) -> None:
        """Hand the replica ``event`` and carry out what follows, all effects of one event before the next event."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events and not self._closed:
                for effect in self._replica.step(self._events.popleft()):
                    self._times.see(effect)
                    self._perform(effect)
        finally:
            self._feeding = False

    def _perform(self, effect: Effect) -> None:
        transport = self._wiring.transport
        match effect:
            case Sign():
                self._sign(effect)
            case Broadcast(message):
                frame, supersedes = frames.pbft(message), _supersedes(message)
                for voter in self._context.voters:
                    transport.send(voter, frame, supersedes=supersedes)
            case Send(to, message):
                transport.send(self._context.voters[to], frames.pbft(message), supersedes=_supersedes(message))
            case SetTimer(timer, view, delay):
                self._cancel(timer)
                loop = asyncio.get_running_loop()
                self._timers[timer] = loop.call_later(delay, self.feed, TimerFired(timer, view))
            case CancelTimer(timer):
                self._cancel(timer)
            case RequestProposal(view):
                self._application.propose(view)
            case Validate():
                self._application.validate(effect)
            case Decide(payload, _, certificate):
                self._wiring.count("decided", "")
                self._application.decided(self._parse(payload), certificate)
            case Evidence(first, second, reason):
                # The log is where it is kept: both statements, with their signatures.
                log.error("%s: EQUIVOCATION: %s: %r and %r", self._slot, reason, first, second)
                self._wiring.count("evidence", reason)
            case Reject(sender, reason):
                log.debug("%s: message of validator %d not used: %s", self._slot, sender, reason)
                # What follows the colon may be a stranger's text: without end as a metric's label.
                self._wiring.count("rejected", reason.partition(":")[0])

    def _digest_of(self, payload: bytes) -> Digest | None:
        """Digest that a proposal's payload stands for; None if it is malformed."""
        try:
            return self._parse(payload).digest
        except ProtocolError:
            return None

    def _sign(self, request: Sign) -> None:
        try:
            signature = self._wiring.guard.sign(request)
        except SigningRefused as error:
            log.warning("%s: not signing: %s", self._slot, error)
            self._wiring.count("refused", type(error).__name__)
            self._events.append(SignatureRefused(request, str(error)))
        except GuardError as error:
            # Without a durable log nothing may be signed any more, in any slot.
            self._events.append(SignatureRefused(request, str(error)))
            self._wiring.fail(error)
        else:
            self._wiring.count(SIGNED, kind_of(request.statement))
            self._events.append(SignatureReady(request, signature))

    def _cancel(self, timer: Timer) -> None:
        if (handle := self._timers.pop(timer, None)) is not None:
            handle.cancel()


def _supersedes(message: Message) -> Hashable:
    """What a message replaces while unsent: older ones of its kind; a PREPARE does not replace a COMMIT."""
    phase = message.vote.statement.phase if isinstance(message, Ballot) else None
    return (message.slot, type(message).__name__, phase)
