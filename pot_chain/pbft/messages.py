"""The messages of one slot, as values. ``wire`` turns them into bytes.

OSDI'99 names, with the changes that a single-shot slot allows: a VIEW-CHANGE carries at most one prepared certificate,
a NEW-VIEW lives inside the PROPOSE that it justifies, and commit certificates are transferable (DECIDED), so there is
no checkpoint message. Every statement is signed as its own EIP-712 type (``protocol.votes``). What is not signed
(payload, certificates, justification) proves itself: the payload by the digest, the rest by the signatures in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pot_chain.pbft.certificate import Certificate
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Slot, ViewChange, Vote

MAX_VALIDATORS = 256
"""Largest epoch; bounds certificates on the wire."""
MAX_PAYLOAD_BYTES = 128 * 1024
"""Largest proposal; it holds digests and CIDs, never tensors."""

S = TypeVar("S", Vote, ViewChange, covariant=True)


@dataclass(frozen=True, slots=True)
class Signed(Generic[S]):
    """``statement`` with the 65-byte signature of validator ``signer`` (index in the epoch)."""

    statement: S
    signer: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared certificate (phase PREPARE) and the payload behind its digest."""

    certificate: Certificate
    payload: bytes

    @property
    def view(self) -> int:
        return self.certificate.vote.view

    @property
    def digest(self) -> Digest:
        return self.certificate.vote.digest


@dataclass(frozen=True, slots=True)
class NewView:
    """Why the primary may propose what it proposes in a view above 0 (OSDI'99 4.4).

    ``view_changes``: Q signed view changes to the view, signers strictly increasing. ``certificate``: the prepared
    certificate with the highest view that they claim, None if they claim none.
    """

    view_changes: tuple[Signed[ViewChange], ...]
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """PROPOSE (OSDI'99: PRE-PREPARE). ``vote`` is of phase PROPOSE; ``justification`` is None exactly in view 0."""

    vote: Signed[Vote]
    payload: bytes
    justification: NewView | None

    @property
    def slot(self) -> Slot:
        return self.vote.statement.slot


@dataclass(frozen=True, slots=True)
class Ballot:
    """PREPARE or COMMIT."""

    vote: Signed[Vote]

    @property
    def slot(self) -> Slot:
        return self.vote.statement.slot


@dataclass(frozen=True, slots=True)
class ViewChangeRequest:
    """VIEW-CHANGE; ``prepared`` is present exactly when the statement claims a prepared digest."""

    change: Signed[ViewChange]
    prepared: Prepared | None

    @property
    def slot(self) -> Slot:
        return self.change.statement.slot


@dataclass(frozen=True, slots=True)
class Decided:
    """A commit certificate and its payload: decides whoever sends it, in any view."""

    certificate: Certificate
    payload: bytes

    @property
    def slot(self) -> Slot:
        return self.certificate.vote.slot

    @property
    def digest(self) -> Digest:
        return self.certificate.vote.digest


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS/FETCH, authenticated by the link only: "I am undecided"; who has decided answers with DECIDED."""

    slot: Slot
    view: int


SignedStatement: TypeAlias = Signed[Vote] | Signed[ViewChange]
OwnMessage: TypeAlias = Proposal | Ballot | ViewChangeRequest
"""Messages around a statement that their sender signs."""
Message: TypeAlias = Proposal | Ballot | ViewChangeRequest | Decided | Status


def signed(message: OwnMessage) -> SignedStatement:
    """The signed statement inside ``message``."""
    return message.change if isinstance(message, ViewChangeRequest) else message.vote
