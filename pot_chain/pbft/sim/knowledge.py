"""What the adversary has seen of one slot: raw material for forgeries."""

from __future__ import annotations

from dataclasses import dataclass, field

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import Ballot, Decided, Message, Prepared, Proposal, ViewChangeRequest, signed
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Phase, Slot, Vote


@dataclass
class Knowledge:
    """Signatures, payloads and certificates of ``slot``, by what they are for."""

    slot: Slot
    members: tuple[int, ...]
    votes: dict[Vote, dict[int, bytes]] = field(default_factory=dict)
    view_changes: dict[int, dict[int, ViewChangeRequest]] = field(default_factory=dict)
    payloads: dict[Digest, bytes] = field(default_factory=dict)
    decided: Decided | None = None
    messages: list[Message] = field(default_factory=list)
    highest_view: int = 0

    def witness(self, message: Message) -> Vote | None:
        """``learn`` something honest; only that tells how high the views really are."""
        if isinstance(message, Proposal | Ballot | ViewChangeRequest):
            self.highest_view = max(self.highest_view, signed(message).statement.view)
        return self.learn(message)

    def learn(self, message: Message) -> Vote | None:
        """Take ``message`` in; a PROPOSE, PREPARE or COMMIT for something new is returned."""
        if len(self.messages) < 400:
            self.messages.append(message)
        match message:
            case Proposal(vote, payload, _):
                self.payloads[vote.statement.digest] = payload
                return vote.statement
            case Ballot(vote):
                known = self.votes.setdefault(vote.statement, {})
                known[vote.signer] = vote.signature
                return vote.statement if len(known) == 1 else None
            case ViewChangeRequest(change, prepared):
                self.view_changes.setdefault(change.statement.view, {})[change.signer] = message
                if prepared is not None:
                    self.payloads[prepared.digest] = prepared.payload
            case Decided():
                self.decided = message
        return None

    def prepared(self, quorum: int) -> list[Prepared]:
        """Prepared certificates that can be made of what was seen, by ascending view."""
        found = []
        for vote, signatures in sorted(self.votes.items(), key=lambda item: item[0].view):
            if vote.phase is Phase.PREPARE and len(signatures) >= quorum and vote.digest in self.payloads:
                certificate = Certificate(vote, tuple(sorted(signatures.items())[:quorum]))
                found.append(Prepared(certificate, self.payloads[vote.digest]))
        return found
