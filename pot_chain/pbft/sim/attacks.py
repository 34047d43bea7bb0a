"""The library of lies. Each function does one thing once; ``byzantine`` decides when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import (
    Ballot,
    Decided,
    NewView,
    Prepared,
    Proposal,
    Signed,
    Status,
    ViewChangeRequest,
)
from pot_chain.pbft.sim import application
from pot_chain.pbft.sim.crypto import junk_signature
from pot_chain.pbft.sim.knowledge import Knowledge
from pot_chain.pbft.sim.scenario import Attack
from pot_chain.pbft.wire import encode
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

if TYPE_CHECKING:
    from pot_chain.pbft.sim.byzantine import Adversary

OTHER = 100
"""Distance to a slot that is not simulated, in which honest validators vote for anything."""


def vote(adversary: Adversary, known: Knowledge, view: int, digest: Digest, receivers: list[int]) -> None:
    """PREPARE and COMMIT of every liar, some of them under identities that are not its own."""
    size = len(known.members)
    for liar in adversary.liars(known.slot):
        for phase in (Phase.PREPARE, Phase.COMMIT):
            ballot = adversary.sign(liar, Vote(phase, known.slot, view, digest))
            for receiver in receivers:
                adversary.send(liar, receiver, Ballot(ballot), again=True)
                if adversary.rng.random() < 0.3:
                    for alias in (ballot.signer + size, ballot.signer + 2 * size):
                        adversary.send(liar, receiver, Ballot(replace(ballot, signer=alias)))


def equivocate(adversary: Adversary, known: Knowledge, node: int, view: int, payload: bytes) -> bool:
    """Two proposals of one view, each for a part of the others, and votes for both. False if it cannot be done."""
    justification = _honest_new_view(adversary, known, view) if view else None
    if view and justification is None:
        return False
    other = payload + b"-other"
    sides = (payload, other)
    for position, receiver in enumerate(adversary.honest(known.slot)):
        careless = adversary.rng.random() < 0.1
        for text in sides if careless else (sides[(position + (adversary.rng.random() < 0.2)) % 2],):
            digest = _digest(text)
            known.payloads[digest] = text
            proposal = adversary.sign(node, Vote(Phase.PROPOSE, known.slot, view, digest))
            adversary.send(node, receiver, Proposal(proposal, text, justification), again=True)
            vote(adversary, known, view, digest, [receiver])
    return True


def low_new_view(adversary: Adversary, known: Knowledge, view: int) -> bool:
    """As primary of ``view``: a new-view that hides the highest prepared certificate, by one of five tricks.

    One attempt a view: the first proposal that an honest validator sees through ends the view for it. False if it
    cannot be done yet.
    """
    node = known.members[(known.slot.round + view) % len(known.members)]
    if node not in adversary.signers:
        return False
    rng, quorum = adversary.rng, adversary.quorum(known.slot)
    changes = {signer: request.change for signer, request in known.view_changes.get(view, {}).items()}
    for liar in adversary.liars(known.slot):
        change = adversary.sign_change(liar, ViewChange(known.slot, view))
        changes[change.signer] = change
    trick = (known.slot.round + view + adversary.bias) % 5
    ordered = sorted(changes.values(), key=lambda change: (change.statement.prepared, change.statement.prepared_view))
    if trick == 1:  # strip the claims
        ordered = [replace(change, statement=ViewChange(known.slot, view)) for change in ordered]
    elif trick == 2:  # pad with repeated signers
        ordered = (ordered * quorum)[:quorum]
    elif trick == 4:  # all claims there are
        ordered.reverse()
    if len(ordered) < quorum:
        return False
    chosen = tuple(sorted(ordered[:quorum], key=lambda change: change.signer))
    certificates = known.prepared(quorum)
    certificate: Certificate | None = None
    text = application.payload(known.slot, f"low.{view}.{rng.randrange(2)}")
    highest = max((change.statement.prepared_view for change in chosen if change.statement.prepared), default=None)
    fitting = [held for held in certificates if held.view == highest]
    if trick == 3 and certificates:  # the lowest certificate there is
        certificate, text = certificates[0].certificate, certificates[0].payload
    elif trick == 4 and fitting:  # the highest certificate, and another payload
        certificate = fitting[0].certificate
    elif trick == 0 and fitting:  # what these view changes really call for, which may be less than others would
        certificate, text = fitting[0].certificate, fitting[0].payload
    known.payloads[_digest(text)] = text
    proposal = Proposal(
        adversary.sign(node, Vote(Phase.PROPOSE, known.slot, view, _digest(text))), text, NewView(chosen, certificate)
    )
    receivers = [receiver for receiver in adversary.honest(known.slot) if rng.random() < 0.9]
    for receiver in receivers:
        adversary.send(node, receiver, proposal, again=True)
    vote(adversary, known, view, _digest(text), receivers)
    return True


def view_changes(adversary: Adversary, known: Knowledge) -> None:
    """Stale, early and absurd view changes; claims without proof, with false proof, and no claim where there is one."""
    rng = adversary.rng
    liar = rng.choice(adversary.liars(known.slot))
    view = rng.choice((0, 1, known.highest_view, known.highest_view + 1, known.highest_view + 2, 1 << 40))
    prepared: Prepared | None = None
    claim = ViewChange(known.slot, view)
    match rng.randrange(4):
        case 0:
            certificates = known.prepared(adversary.quorum(known.slot))
            if certificates:
                prepared = rng.choice(certificates)
                claim = ViewChange(known.slot, view, prepared.view, prepared.digest)
        case 1:
            forged = _forged_certificate(adversary, known, Phase.PREPARE)
            prepared = Prepared(forged, known.payloads[forged.vote.digest])
            claim = ViewChange(known.slot, view, forged.vote.view, forged.vote.digest)
        case 2:
            claim = ViewChange(known.slot, view, max(0, view - 1), _digest(b"a claim without proof"))
        case _:
            pass
    request = ViewChangeRequest(adversary.sign_change(liar, claim), prepared)
    known.learn(request)
    for receiver in adversary.honest(known.slot):
        if rng.random() < 0.7:
            adversary.send(liar, receiver, request)


def forged_certificates(adversary: Adversary, known: Knowledge) -> None:
    """A decision that nobody took."""
    forged = _forged_certificate(adversary, known, Phase.COMMIT)
    message = Decided(forged, known.payloads[forged.vote.digest])
    liar = adversary.rng.choice(adversary.liars(known.slot))
    for receiver in adversary.honest(known.slot):
        if adversary.rng.random() < 0.5:
            adversary.send(liar, receiver, message)


def _forged_certificate(adversary: Adversary, known: Knowledge, phase: Phase) -> Certificate:
    """A certificate with Q entries that is wrong in one of nine ways; its payload is known."""
    rng, slot, quorum = adversary.rng, known.slot, adversary.quorum(known.slot)
    size = len(known.members)
    seen = [held for held in known.votes if held.digest in known.payloads]
    text = application.payload(slot, f"forged.{rng.randrange(3)}")
    known.payloads[_digest(text)] = text
    basis = rng.choice(seen) if seen and rng.random() < 0.7 else Vote(phase, slot, known.highest_view, _digest(text))
    wanted = Vote(phase, slot, basis.view, basis.digest)
    own = {
        signed.signer: signed.signature for signed in (adversary.sign(liar, wanted) for liar in adversary.liars(slot))
    }
    entries = dict(own)
    kind = rng.randrange(9)
    if kind == 0:  # votes of the other phase
        other = Phase.COMMIT if phase is Phase.PREPARE else Phase.PREPARE
        entries.update(known.votes.get(Vote(other, slot, wanted.view, wanted.digest), {}))
    elif kind == 1:  # votes of any view
        for held, signatures in known.votes.items():
            if held.phase is phase and held.digest == wanted.digest:
                entries.update(signatures)
    elif kind == 2:  # votes for any digest
        for held, signatures in known.votes.items():
            if held.phase is phase and held.view == wanted.view:
                entries.update(signatures)
    elif kind == 3:  # one signature under many names
        for alias in range(1, quorum + 1):
            entries.update({signer + alias * size: signature for signer, signature in own.items()})
    elif kind == 4:  # votes of another task, round or epoch
        foreign = Vote(phase, rng.choice(_other_slots(slot)), wanted.view, wanted.digest)
        entries.update(
            {
                known.members.index(node): adversary.other_slot_signature(node, foreign)
                for node in adversary.honest(slot)
            }
        )
    elif kind == 5:  # votes of another contract
        entries.update(
            {known.members.index(node): adversary.foreign_signature(node, wanted) for node in adversary.honest(slot)}
        )
    else:  # real votes, as far as there are any
        entries.update(known.votes.get(wanted, {}))
    listed = sorted(entries.items())
    if kind == 6:  # one signer repeated
        listed = (listed * quorum)[:quorum]
    if kind == 7:  # too few
        return Certificate(wanted, tuple(listed[: quorum - 1]))
    for signer in range(size):
        if len(listed) < quorum and signer not in entries:
            listed.append((signer, junk_signature(rng.randrange(1000))))
    listed.sort(reverse=kind == 8)
    return Certificate(wanted, tuple(listed[:quorum]))


def _other_slots(slot: Slot) -> tuple[Slot, ...]:
    return (
        replace(slot, task_id=slot.task_id + OTHER),
        replace(slot, round=slot.round + OTHER),
        replace(slot, epoch=slot.epoch + OTHER),
    )


def replay(adversary: Adversary, known: Knowledge) -> None:
    """Old messages again, and old signatures under new statements."""
    rng = adversary.rng
    liar = rng.choice(adversary.liars(known.slot))
    everything = [message for held in adversary.slots.values() for message in held.messages[-80:]]
    if not everything:
        return
    for _ in range(5):
        message = rng.choice(everything)
        if isinstance(message, Ballot) and rng.random() < 0.6:
            old = message.vote
            statement = Vote(
                rng.choice((Phase.PREPARE, Phase.COMMIT)), known.slot, known.highest_view, old.statement.digest
            )
            signer = rng.choice((old.signer, known.members.index(liar)))
            message = Ballot(Signed(statement, signer, old.signature))
        adversary.send(liar, rng.choice(adversary.honest(known.slot)), message)


def invalid(adversary: Adversary, known: Knowledge) -> None:
    """Proposals that are invalid, malformed, not what their digest says, or not the sender's to make."""
    rng = adversary.rng
    liar = rng.choice(adversary.liars(known.slot))
    view = rng.randint(0, known.highest_view + 1)
    text = application.payload(known.slot, f"{liar}.invalid", valid=False)
    text = rng.choice((text, b"malformed", b"", application.payload(replace(known.slot, round=OTHER), "elsewhere")))
    digest = _digest(rng.choice((text, b"another")))
    justification = _honest_new_view(adversary, known, view) if view else None
    proposal = Proposal(adversary.sign(liar, Vote(Phase.PROPOSE, known.slot, view, digest)), text, justification)
    for receiver in adversary.honest(known.slot):
        if rng.random() < 0.5:
            adversary.send(liar, receiver, proposal)


def flood(adversary: Adversary, known: Knowledge) -> None:
    """Many votes for many views, requests for help, and frames that are no messages."""
    rng = adversary.rng
    liar = rng.choice(adversary.liars(known.slot))
    receiver = rng.choice(adversary.honest(known.slot))
    for _ in range(30):
        statement = Vote(
            rng.choice((Phase.PREPARE, Phase.COMMIT)), known.slot, rng.randrange(1000), _digest(rng.randbytes(2))
        )
        adversary.send(liar, receiver, Ballot(adversary.sign(liar, statement)))
    adversary.send(liar, receiver, Status(known.slot, rng.randrange(1 << 63)))
    for message in known.messages[-3:]:
        frame = bytearray(encode(message))
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        adversary.send(liar, receiver, bytes(frame))
        adversary.send(liar, receiver, bytes(frame[: rng.randrange(len(frame))]))
    adversary.send(liar, receiver, rng.randbytes(rng.randrange(200)))


def _honest_new_view(adversary: Adversary, known: Knowledge, view: int) -> NewView | None:
    """A justification for a free choice in ``view``, if there is one."""
    changes = {signer: request.change for signer, request in known.view_changes.get(view, {}).items()}
    for liar in adversary.liars(known.slot):
        change = adversary.sign_change(liar, ViewChange(known.slot, view))
        changes[change.signer] = change
    free = sorted((change for change in changes.values() if not change.statement.prepared), key=lambda c: c.signer)
    quorum = adversary.quorum(known.slot)
    return NewView(tuple(free[:quorum]), None) if len(free) >= quorum else None


def _digest(text: bytes) -> Digest:
    return application.digest_of(text) or bytes(31) + b"\x01"


ON_TICK: dict[Attack, Callable[[Adversary, Knowledge], None]] = {
    Attack.VIEW_CHANGES: view_changes,
    Attack.FORGED_CERTIFICATES: forged_certificates,
    Attack.REPLAY: replay,
    Attack.INVALID: invalid,
    Attack.FLOOD: flood,
}
