"""When a view change, and a proposal that rests on view changes, prove what they say (OSDI'99 4.4).

Each function returns the reason why not, None if all is well. They judge one message alone, from the message itself.
"""

from __future__ import annotations

from pot_chain.pbft.certificate import certificate_fault
from pot_chain.pbft.config import Config
from pot_chain.pbft.messages import NewView, Signed, ViewChangeRequest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.votes import Phase, ViewChange, Vote


def view_change_fault(change: Signed[ViewChange], config: Config) -> str | None:
    """A signed VIEW-CHANGE of the slot, whose claim is of a lower view."""
    statement = change.statement
    if statement.slot != config.slot or statement.view < 1:
        return "view change to no view of the slot"
    if statement.prepared_view >= statement.view:
        return "view change that claims a certificate of a view not below its own"
    if not config.verify(statement, change.signer, change.signature):
        return "view change with a wrong signature"
    return None


def claim_fault(request: ViewChangeRequest, config: Config) -> str | None:
    """What a VIEW-CHANGE claims must be proven by the certificate and the payload that it brings."""
    statement, prepared = request.change.statement, request.prepared
    if prepared is None:
        return "view change without the certificate it claims" if statement.prepared else None
    claimed = Vote(Phase.PREPARE, statement.slot, statement.prepared_view, statement.prepared_digest)
    if prepared.certificate.vote != claimed:
        return "view change with a certificate it does not claim"
    if config.digest_of(prepared.payload) != prepared.digest:
        return "view change whose payload does not match its digest"
    return certificate_fault(prepared.certificate, Phase.PREPARE, config.size, config.verify)


def new_view_fault(vote: Vote, new_view: NewView, config: Config) -> str | None:
    """A backup checks the choice: Q distinct signed view changes and the highest certificate they claim.

    What they claim below the highest needs no proof: it changes nothing.
    """
    changes = new_view.view_changes
    if len(changes) != quorum(config.size):
        return "new-view without exactly a quorum of view changes"
    signers = [change.signer for change in changes]
    if signers != sorted(set(signers)) or not 0 <= signers[0] <= signers[-1] < config.size:
        return "new-view whose signers are not strictly increasing validators"
    for change in changes:
        if change.statement.view != vote.view:
            return "new-view with a view change to another view"
        fault = view_change_fault(change, config)
        if fault is not None:
            return fault
    claims = [change.statement for change in changes if change.statement.prepared]
    if not claims:
        return None if new_view.certificate is None else "new-view with a certificate nobody claims"
    if new_view.certificate is None:
        return "new-view without the certificate it needs"
    highest = max(claim.prepared_view for claim in claims)
    for claim in claims:
        if claim.prepared_view == highest and claim.prepared_digest != vote.digest:
            return "new-view that does not carry the highest prepared digest"
    if new_view.certificate.vote != Vote(Phase.PREPARE, vote.slot, highest, vote.digest):
        return "new-view with another certificate than the highest claimed"
    return certificate_fault(new_view.certificate, Phase.PREPARE, config.size, config.verify)
