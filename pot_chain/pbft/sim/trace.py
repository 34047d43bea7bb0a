"""What happened in a world, in words."""

from __future__ import annotations

from functools import singledispatch

from pot_chain.pbft.events import (
    ProposalReady,
    Received,
    Restored,
    SignatureReady,
    SignatureRefused,
    Start,
    TimerFired,
    Validated,
)
from pot_chain.pbft.messages import Ballot, Decided, NewView, Proposal, Status, ViewChangeRequest, signed
from pot_chain.protocol.votes import Slot, ViewChange, Vote


@singledispatch
def words(value: object) -> str:
    """``value`` as a person reads it: digests as six hex digits, slots as task/round/epoch."""
    return str(value)


@words.register
def _(value: None) -> str:
    return "-"


@words.register
def _(value: bytes) -> str:
    return value.hex()[:6]


@words.register
def _(value: Slot) -> str:
    return f"{value.task_id}/{value.round}/{value.epoch}"


@words.register
def _(value: Vote) -> str:
    return f"{value.phase.value.upper()} v{value.view} {words(value.digest)} in {words(value.slot)}"


@words.register
def _(value: ViewChange) -> str:
    claim = f"prepared v{value.prepared_view} {words(value.prepared_digest)}" if value.prepared else "nothing prepared"
    return f"VIEW-CHANGE to v{value.view}, {claim}, in {words(value.slot)}"


@words.register(Proposal)
@words.register(Ballot)
@words.register(ViewChangeRequest)
def _(value: Proposal | Ballot | ViewChangeRequest) -> str:
    text = f"{words(signed(value).statement)} by {signed(value).signer}"
    if isinstance(value, Proposal) and value.justification is not None:
        text += f", {words(value.justification)}"
    return text


@words.register
def _(value: NewView) -> str:
    signers = ",".join(str(change.signer) for change in value.view_changes)
    carried = f"carrying {words(value.certificate.vote)}" if value.certificate else "free"
    return f"new-view by {signers}, {carried}"


@words.register
def _(value: Decided) -> str:
    signers = ",".join(str(signer) for signer, _ in value.certificate.signatures)
    return f"DECIDED {words(value.certificate.vote)} by {signers}"


@words.register
def _(value: Status) -> str:
    return f"STATUS v{value.view} in {words(value.slot)}"


@words.register
def _(value: Received) -> str:
    return f"from {value.sender}: {words(value.message)}"


@words.register
def _(value: SignatureReady) -> str:
    return f"signed {words(value.request.statement)}"


@words.register
def _(value: SignatureRefused) -> str:
    return f"guard refuses {words(value.request.statement)}: {value.reason}"


@words.register
def _(value: TimerFired) -> str:
    return f"{value.timer.value} timer of v{value.view}"


@words.register
def _(value: Validated) -> str:
    return f"{words(value.digest)} is {'valid' if value.ok else 'invalid'}"


@words.register
def _(value: ProposalReady) -> str:
    return f"proposal {value.payload!r} for v{value.view}"


@words.register
def _(value: Restored) -> str:
    messages = "; ".join(words(message) for message in value.messages) or "nothing"
    return f"restored: {messages}; certificate {words(value.prepared.certificate.vote) if value.prepared else '-'}"


@words.register
def _(value: Start) -> str:
    return "start"
