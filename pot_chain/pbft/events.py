"""What goes into a replica (events) and what comes out of it (effects). All are values; nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import (
    Ballot,
    Message,
    NewView,
    OwnMessage,
    Prepared,
    Proposal,
    Signed,
    SignedStatement,
    ViewChangeRequest,
)
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Phase, ViewChange, Vote


class Timer(Enum):
    """The two timers of a slot: give up on a view, and repeat one's own latest messages."""

    VIEW = "view"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Sign:
    """Effect: have the guard make ``statement`` durable; answer ``SignatureReady`` or ``SignatureRefused``.

    ``payload`` and ``justification`` belong to a PROPOSE; ``prepared`` to a COMMIT (it must be durable with it) or a
    VIEW-CHANGE.
    """

    statement: Vote | ViewChange
    signer: int
    payload: bytes = b""
    justification: NewView | None = None
    prepared: Prepared | None = None

    def message(self, signature: bytes) -> OwnMessage:
        """The message that carries the signed statement."""
        statement = self.statement
        if isinstance(statement, ViewChange):
            return ViewChangeRequest(Signed(statement, self.signer, signature), self.prepared)
        vote = Signed(statement, self.signer, signature)
        if statement.phase is Phase.PROPOSE:
            return Proposal(vote, self.payload, self.justification)
        return Ballot(vote)


# Events


@dataclass(frozen=True, slots=True)
class Restored:
    """First event after a restart: what the guard has on its log for the slot (``SigningGuard.restore``)."""

    messages: tuple[OwnMessage, ...]
    prepared: Prepared | None


@dataclass(frozen=True, slots=True)
class Start:
    """The slot has work: a correct primary could propose now. Arms the timers. Messages may come before it."""


@dataclass(frozen=True, slots=True)
class Received:
    """``message`` came over the authenticated link of validator ``sender`` (index in the epoch)."""

    sender: int
    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The timer set by ``SetTimer(timer, view, …)`` ran out."""

    timer: Timer
    view: int


@dataclass(frozen=True, slots=True)
class ProposalReady:
    """Answer to ``RequestProposal(view)``."""

    view: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Validated:
    """Answer to ``Validate``: whether the shell's own check of the proposal confirms ``digest``; ``reason`` if not."""

    digest: Digest
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SignatureReady:
    """The guard has made ``request`` durable and signed it."""

    request: Sign
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignatureRefused:
    """The guard refuses ``request`` for ever."""

    request: Sign
    reason: str


Event: TypeAlias = (
    Restored | Start | Received | TimerFired | ProposalReady | Validated | SignatureReady | SignatureRefused
)

# Effects


@dataclass(frozen=True, slots=True)
class RequestProposal:
    """This replica is the primary of ``view`` and free to choose: answer ``ProposalReady`` when there is a proposal."""

    view: int


@dataclass(frozen=True, slots=True)
class Validate:
    """Check a proposal against what this validator knows itself; answer ``Validated`` when it is certain."""

    view: int
    payload: bytes
    digest: Digest


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send ``message`` to every other validator of the epoch."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``message`` to validator ``to``."""

    to: int
    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire ``TimerFired(timer, view)`` in ``delay`` seconds; replaces a running timer of the same kind."""

    timer: Timer
    view: int
    delay: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Stop the timer of this kind."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Decide:
    """The slot is decided, once: ``certificate.to_contract_signatures()`` finalizes ``digest`` on chain."""

    payload: bytes
    digest: Digest
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two verified statements of one validator that an honest one never signs both of."""

    first: SignedStatement
    second: SignedStatement
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A message of ``sender`` was not used; late and repeated ones are normal.

    ``reason`` is one of a few fixed texts, fit for a metric's label; ``detail`` is for the log.
    """

    sender: int
    reason: str
    detail: str = ""


Effect: TypeAlias = (
    Sign | RequestProposal | Validate | Broadcast | Send | SetTimer | CancelTimer | Decide | Evidence | Reject
)
