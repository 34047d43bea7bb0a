"""The bugs that others made, as mutants of this engine: a simulation that does not find them proves nothing.

The engine has no switches: a mutant replaces one part of the ``Build`` by a subclass with the bug in it, so only the
simulator and its tests can reach one. Numbers are those of the project's list of PBFT bugs; letters are variants.
Number 15 is a bug of harnesses, so it sits in the campaign.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pot_chain.pbft.certificate import Certificate, Verifier
from pot_chain.pbft.config import Config
from pot_chain.pbft.errors import EquivocationRefused, MessageError
from pot_chain.pbft.events import Effect, Event, Received, Restored, Sign
from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import (
    Ballot,
    Decided,
    Message,
    NewView,
    Proposal,
    Signed,
    ViewChangeRequest,
)
from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim.build import Build
from pot_chain.pbft.sim.campaign import Campaign, Report, SeedLeftOut
from pot_chain.pbft.sim.scenario import draw
from pot_chain.pbft.sim.world import World
from pot_chain.pbft.tally import Tally
from pot_chain.pbft.wire import decode
from pot_chain.protocol.votes import Phase, Slot, Statement, ViewChange, Vote

_CONTROL_BATCH = 100


@dataclass(frozen=True, slots=True)
class Mutant:
    """``build`` with one bug, named ``name``."""

    name: str
    bug: str
    build: Build


# 1 and 11b: signatures that say too little


def _without_phase(statement: Statement) -> bytes:
    if isinstance(statement, Vote):
        return b"Vote %d %d %d %d " % (*_numbers(statement.slot), statement.view) + statement.digest
    return _full(statement)


def _without_view(statement: Statement) -> bytes:
    if isinstance(statement, Vote):
        return statement.phase.value.encode() + b"%d %d %d " % _numbers(statement.slot) + statement.digest
    return _full(statement)


def _without_slot(statement: Statement) -> bytes:
    if isinstance(statement, Vote):
        return statement.phase.value.encode() + b"%d " % statement.view + statement.digest
    return _full(statement)


def _without_epoch(statement: Statement) -> bytes:
    if isinstance(statement, Vote | ViewChange):
        return _full(replace(statement, slot=replace(statement.slot, epoch=0)))
    return _full(statement)


def _full(statement: Statement) -> bytes:
    return repr(statement).encode()


def _numbers(slot: Slot) -> tuple[int, int, int]:
    return slot.task_id, slot.round, slot.epoch


# 2: voter identities that are not canonical


class AliasedVoters(Replica):
    """Counts votes by the name in the message and looks the key up by something looser."""

    def __init__(self, config: Config) -> None:
        size, verify = config.size, config.verify

        def loosely(statement: Vote | ViewChange, signer: int, signature: bytes) -> bool:
            return verify(statement, signer % size, signature)

        super().__init__(replace(config, verify=loosely))

    def _on_ballot(self, sender: int, vote: Signed[Vote]) -> None:
        super()._on_ballot(vote.signer if vote.signer % self.config.size == sender else sender, vote)


# 3: a quorum for n = 3f + 1 only


class NarrowQuorum(Replica):
    """Two thirds of n, rounded in the wrong place."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._quorum = config.size // 3 * 2 + 1
        self._tallies = self._empty_tallies()

    def _certificate_fault(self, certificate: Certificate, phase: Phase) -> str | None:
        return _loose_fault(certificate, phase, self._quorum, self.config.verify)


def _loose_fault(certificate: Certificate, phase: Phase, needed: int, verify: Verifier) -> str | None:
    signers = {signer for signer, _ in certificate.signatures}
    sound = all(verify(certificate.vote, signer, signature) for signer, signature in certificate.signatures)
    return None if certificate.vote.phase is phase and len(signers) == needed and sound else "not a certificate"


# 4: votes counted by digest alone


class _DigestTally(Tally):
    def certificate(self, vote: Vote) -> tuple[Certificate | None, list[int]]:
        found = {held.signer: held.signature for held in self if held.statement.digest == vote.digest}
        if len(found) < self._quorum:
            return None, []
        return Certificate(vote, tuple(sorted(found.items())[: self._quorum])), []


class DigestVotes(Replica):
    """Votes of all views count together."""

    def _empty_tallies(self) -> dict[Phase, Tally]:
        return {phase: _DigestTally(self._quorum, self.config.verify) for phase in (Phase.PREPARE, Phase.COMMIT)}


# 5: the primary counted twice


class DoublePrimary(Replica):
    """The proposal counts as a vote besides the primary's PREPARE: Q - 1 distinct validators make a certificate."""

    def _empty_tallies(self) -> dict[Phase, Tally]:
        tallies = super()._empty_tallies()
        return tallies | {Phase.PREPARE: Tally(self._quorum - 1, self.config.verify)}

    def _certificate_fault(self, certificate: Certificate, phase: Phase) -> str | None:
        needed = self._quorum - 1 if phase is Phase.PREPARE else self._quorum
        return _loose_fault(certificate, phase, needed, self.config.verify)


# 6: a lock that is taken twice


class HangsOnEarlyVote(Replica):
    """One PREPARE before the PROPOSE and the replica never moves again."""

    hung = False

    def step(self, event: Event) -> list[Effect]:
        if isinstance(event, Received) and isinstance(event.message, Ballot) and self._proposal is None:
            self.hung = self.hung or event.message.vote.statement.phase is Phase.PREPARE
        return [] if self.hung else super().step(event)


# 7: a buffer that is drained once


class ForgetsEarlyVotes(Replica):
    """Votes that come before the proposal of their view are put aside as seen, and nobody looks there again."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._aside: set[Signed[Vote]] = set()

    def _on_ballot(self, sender: int, vote: Signed[Vote]) -> None:
        if self._proposal is None or vote.statement.view != self.view:
            self._aside.add(vote)
        if vote not in self._aside:
            super()._on_ballot(sender, vote)


# 8: input that kills


def _panicking_decode(frame: bytes) -> Message:
    try:
        return decode(frame)
    except MessageError as error:
        raise IndexError("index out of range") from error


# 9: what is older is refused; anybody proposes


class RefusesOldViews(Replica):
    """Only the current view's commits and decisions are taken."""

    def _on_ballot(self, sender: int, vote: Signed[Vote]) -> None:
        if vote.statement.view >= self.view:
            super()._on_ballot(sender, vote)

    def _on_decided(self, sender: int, message: Decided) -> None:
        if message.certificate.vote.view == self.view:
            super()._on_decided(sender, message)

    def _change_view(self, view: int) -> None:
        super()._change_view(view)
        self._tallies = self._empty_tallies()


class AnybodyProposes(Replica):
    """A proposal is taken from whoever sends it."""

    def _on_proposal(self, sender: int, proposal: Proposal) -> None:
        self._proposer = proposal.vote.signer
        try:
            super()._on_proposal(sender, proposal)
        finally:
            self._proposer = None

    _proposer: int | None = None

    def primary(self, view: int) -> int:
        return self._proposer if self._proposer is not None else super().primary(view)


# 10: connections counted instead of signatures


class CountsEntries(Replica):
    """A certificate is as many entries as a quorum has, signed or not."""

    def _certificate_fault(self, certificate: Certificate, phase: Phase) -> str | None:
        signers = {signer for signer, _ in certificate.signatures}
        return None if certificate.vote.phase is phase and len(signers) == self._quorum else "too few"


# 11: the highest certificate not chosen, or not bound


class AnyCertificate(Replica):
    """A new-view may carry any certificate, or none."""

    def _new_view_fault(self, vote: Vote, new_view: NewView) -> str | None:
        if new_view.certificate is None:
            return None
        if new_view.certificate.vote.digest != vote.digest:
            return "another digest"
        return self._certificate_fault(new_view.certificate, Phase.PREPARE)


class UnboundCertificate(Replica):
    """The highest certificate is there, but the proposal need not be for its digest."""

    def _new_view_fault(self, vote: Vote, new_view: NewView) -> str | None:
        if new_view.certificate is not None:
            vote = replace(vote, digest=new_view.certificate.vote.digest)
        return super()._new_view_fault(vote, new_view)


# 12: one bad view change spoils all


class PoisonedSet(Replica):
    """A primary that has received an invalid view change to its view gives that view up."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._poisoned: set[int] = set()

    def _claim_fault(self, message: ViewChangeRequest) -> str | None:
        fault = super()._claim_fault(message)
        if fault is not None:
            self._poisoned.add(message.change.statement.view)
        return fault

    def _try_new_view(self) -> None:
        if not self._poisoned:
            super()._try_new_view()


# 13: amnesia after a restart, and its opposite


class ForgetsCertificates(SigningGuard):
    """The prepared certificate lives in memory only."""

    def restore(self, slot: Slot) -> Restored:
        messages = super().restore(slot).messages
        if slot in self._slots:
            self._slots[slot].prepared.clear()
        return Restored(
            tuple(
                replace(message, prepared=None) if isinstance(message, ViewChangeRequest) else message
                for message in messages
            ),
            None,
        )


class ForgetsVotes(SigningGuard):
    """Signs first and never writes it down."""

    def sign(self, request: Sign) -> bytes:
        return self._signer.sign(request.statement)


class NeverRepeats(SigningGuard):
    """What is signed once is refused the second time, even if it is the same."""

    def sign(self, request: Sign) -> bytes:
        history = self._slots.get(request.statement.slot)
        if history is not None and any(
            request.statement == _statement(message) for message in history.messages.values()
        ):
            raise EquivocationRefused("signed before")
        return super().sign(request)

    def restore(self, slot: Slot) -> Restored:
        return Restored((), super().restore(slot).prepared)


def _statement(message: Proposal | Ballot | ViewChangeRequest) -> Statement:
    return message.change.statement if isinstance(message, ViewChangeRequest) else message.vote.statement


# 14: buffers without end


class _EndlessTally(Tally):
    def put(self, vote: Signed[Vote], *, verified: bool = False) -> bool:
        self._views.setdefault(vote.statement.view, {})[vote.signer] = vote
        return True


class EndlessBuffers(Replica):
    """Votes of any number of future views are kept."""

    def _empty_tallies(self) -> dict[Phase, Tally]:
        return {phase: _EndlessTally(self._quorum, self.config.verify) for phase in (Phase.PREPARE, Phase.COMMIT)}


MUTANTS = (
    Mutant("1-phase", "signatures do not say the phase", Build(signed_bytes=_without_phase)),
    Mutant("1-view", "signatures do not say the view", Build(signed_bytes=_without_view)),
    Mutant("1-slot", "signatures do not say task, round and epoch", Build(signed_bytes=_without_slot)),
    Mutant("2-alias", "one validator votes under several names", Build(replica=AliasedVoters)),
    Mutant("3-quorum", "quorum of n // 3 * 2 + 1", Build(replica=NarrowQuorum)),
    Mutant("4-digest", "votes keyed by digest only", Build(replica=DigestVotes)),
    Mutant("5-primary", "the primary counts twice", Build(replica=DoublePrimary)),
    Mutant("6-lock", "an early PREPARE hangs the replica", Build(replica=HangsOnEarlyVote)),
    Mutant("7-drain", "early votes are lost", Build(replica=ForgetsEarlyVotes)),
    Mutant("8-panic", "bad input kills", Build(decode=_panicking_decode)),
    Mutant("9-old", "commits and decisions of older views are refused", Build(replica=RefusesOldViews)),
    Mutant("9-anybody", "anybody may propose", Build(replica=AnybodyProposes)),
    Mutant("10-count", "entries counted instead of signatures", Build(replica=CountsEntries)),
    Mutant("11-lower", "a new-view need not carry the highest certificate", Build(replica=AnyCertificate)),
    Mutant("11-unbound", "the proposal need not match the certificate", Build(replica=UnboundCertificate)),
    Mutant("11-epoch", "signatures do not say the epoch", Build(signed_bytes=_without_epoch)),
    Mutant("12-poison", "one bad view change spoils the set", Build(replica=PoisonedSet)),
    Mutant("13-certificate", "the prepared certificate is lost at a restart", Build(guard=ForgetsCertificates)),
    Mutant("13-votes", "votes are not written down", Build(guard=ForgetsVotes)),
    Mutant("13-repeat", "the same vote is refused the second time", Build(guard=NeverRepeats)),
    Mutant("14-buffers", "buffers without bound", Build(replica=EndlessBuffers)),
)


# 15: failing seeds excluded


class Blacklisting(Campaign):
    """Leaves the seeds out that are known to fail."""

    def todo(self) -> Iterable[int]:
        return [seed for seed in self.seeds if World(draw(seed), self.build).run().violation is None]


@dataclass(frozen=True)
class Death:
    """How a mutant ended; ``seed`` is None if it survived."""

    name: str
    bug: str
    seed: int | None
    violation: str


def hunt(mutant: Mutant, limit: int, jobs: int = 1, start: int = 0) -> Death:
    """Look for ``mutant`` in ``limit`` seeds from ``start`` on, until one shows it."""
    report = Campaign(range(start, start + limit), mutant.build, jobs=jobs, stop_at_failure=True).run()
    return _death(mutant.name, mutant.bug, report)


def hunt_blacklist(limit: int) -> Death:
    """A campaign that leaves failing seeds out must be noticed by the campaign's own count."""
    victim = next(mutant for mutant in MUTANTS if mutant.name == "6-lock")
    try:
        Blacklisting(range(min(limit, 5)), victim.build).run()
    except SeedLeftOut as found:
        return Death("15-blacklist", "failing seeds are left out", 0, str(found))
    return Death("15-blacklist", "failing seeds are left out", None, "")


def fork(limit: int, jobs: int = 1) -> Death:
    """Negative control: with f + 1 liars the genuine engine must fork, or the adversary proves nothing."""
    name, bug = "control", "f + 1 liars, genuine engine: a fork"
    for start in range(0, limit, _CONTROL_BATCH):
        batch = range(start, min(limit, start + _CONTROL_BATCH))
        report = Campaign(batch, sizes=(4,), liars=2, jobs=jobs).run()
        forks = [failure for failure in report.failures if (failure.violation or "").startswith("agreement")]
        if forks:
            return Death(name, bug, forks[0].seed, forks[0].violation or "")
    return Death(name, bug, None, "")


def _death(name: str, bug: str, report: Report) -> Death:
    if not report.failures:
        return Death(name, bug, None, "")
    return Death(name, bug, report.failures[0].seed, report.failures[0].violation or "")
