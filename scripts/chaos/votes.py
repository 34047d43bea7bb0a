"""What the validators have signed, as seen on the wire, and whether any of it contradicts the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pot_chain.pbft.certificate import Certificate, ecdsa_verifier
from pot_chain.pbft.messages import (
    Ballot,
    Decided,
    Message,
    Prepared,
    Proposal,
    SignedStatement,
    Status,
    ViewChangeRequest,
)
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote
from pot_chain.validator import frames


class VoteBook:
    """Collects every statement with a right signature; statements inside certificates and new-views count, too."""

    def __init__(self, domain: Domain, voters: Sequence[Address]) -> None:
        self._verify = ecdsa_verifier(domain, voters)
        self._known: set[tuple[Vote | ViewChange, int]] = set()
        self._votes: dict[tuple[int, Slot, int], set[tuple[Phase, Digest]]] = {}
        self._changes: dict[tuple[int, Slot], set[ViewChange]] = {}
        self.frames = 0

    @property
    def statements(self) -> int:
        """Different statements, each of one validator."""
        return len(self._known)

    def see(self, frame: bytes) -> None:
        """A frame on the wire, of whomever."""
        try:
            _, content = frames.parse(frame)
        except ProtocolError:
            return
        if not isinstance(content, Message):
            return
        self.frames += 1
        for statement, signer, signature in _signatures(content):
            if (statement, signer) not in self._known and self._verify(statement, signer, signature):
                self._known.add((statement, signer))
                self._record(statement, signer)

    def _record(self, statement: Vote | ViewChange, signer: int) -> None:
        if isinstance(statement, ViewChange):
            self._changes.setdefault((signer, statement.slot), set()).add(statement)
        else:
            key = (signer, statement.slot, statement.view)
            self._votes.setdefault(key, set()).add((statement.phase, statement.digest))

    def contradictions(self) -> list[str]:
        """What no honest validator signs both of: two digests in a view, two view changes to one, hidden commits."""
        found = []
        for (signer, slot, view), votes in sorted(self._votes.items()):
            if len({digest for _, digest in votes}) > 1:
                found.append(f"validator {signer} voted for several digests in view {view} of {slot}")
        for (signer, slot), changes in sorted(self._changes.items()):
            if len({change.view for change in changes}) < len(changes):
                found.append(f"validator {signer} signed two view changes to one view of {slot}")
            for change in changes:
                if self._hides(signer, change):
                    found.append(f"validator {signer} hides a commit in its view change to {change.view} of {slot}")
        return found

    def _hides(self, signer: int, change: ViewChange) -> bool:
        claimed = (change.prepared_view, change.prepared_digest) if change.prepared else (-1, b"")
        for view in range(max(claimed[0], 0), change.view):
            for phase, digest in self._votes.get((signer, change.slot, view), ()):
                if phase is Phase.COMMIT and (view > claimed[0] or digest != claimed[1]):
                    return True
        return False


def _signatures(message: Message) -> Iterator[tuple[Vote | ViewChange, int, bytes]]:
    """Every signature that ``message`` holds, its own and those it passes on."""
    match message:
        case Proposal(vote, _, justification):
            yield _plain(vote)
            if justification is not None:
                yield from map(_plain, justification.view_changes)
                if justification.certificate is not None:
                    yield from _certified(justification.certificate)
        case Ballot(vote):
            yield _plain(vote)
        case ViewChangeRequest(change, prepared):
            yield _plain(change)
            if isinstance(prepared, Prepared):
                yield from _certified(prepared.certificate)
        case Decided(certificate, _):
            yield from _certified(certificate)
        case Status():
            pass


def _plain(signed: SignedStatement) -> tuple[Vote | ViewChange, int, bytes]:
    return signed.statement, signed.signer, signed.signature


def _certified(certificate: Certificate) -> Iterator[tuple[Vote, int, bytes]]:
    for signer, signature in certificate.signatures:
        yield certificate.vote, signer, signature
