"""A round from the validators' side, as pure functions of (context, what has been seen, time).

``RoundContext`` is what the chain fixes when the round opens; ``Collection`` is what a validator has seen since. A
proposal is an outcome with its record; ``make_proposal`` builds one, ``check_proposal`` re-derives every part that
needs no tensors. The checkpoint is the caller's to recompute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, Digest, canonical_order
from pot_chain.protocol.eip712 import Domain, outcome_hash, signing_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.outcome import Outcome, loss_units
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.record import Reveal, RoundRecord, SignedReport, report_digest
from pot_chain.protocol.rewards import RewardLedger, RewardRule, round_rewards
from pot_chain.protocol.seal import gradient_seal
from pot_chain.protocol.signing import recover
from pot_chain.protocol.votes import Slot, VerdictReport

MAX_PROPOSAL_BYTES = 131_072
"""A proposal holds digests and amounts, never tensors; PBFT carries no larger payload."""


class InvalidProposal(ProtocolError):
    """A proposal that contradicts the chain, the protocol or itself."""


class PrematureProposal(ProtocolError):
    """A proposal that counts something on chain which is not known here yet; to be checked again then."""


@dataclass(frozen=True, slots=True)
class RoundContext:
    """What the chain says about a round; equal for all validators.

    Attributes:
        parent: head of the task when the round opened.
        members: roster of the round, canonical order.
        commit_deadline, reveal_deadline, finalize_deadline: seconds of the chain's clock.
        voters: vote keys of the epoch, canonical order; a certificate's signer index points here.
        operators: who is paid for each vote key.
        ledger: rewards before the round.
        weights: samples assigned to each member.
    """

    domain: Domain
    slot: Slot
    parent: Digest
    seed: Digest
    members: tuple[Address, ...]
    commit_deadline: int
    reveal_deadline: int
    finalize_deadline: int
    voters: tuple[Address, ...]
    operators: Mapping[Address, Address]
    ledger: RewardLedger
    rule: RewardRule
    weights: Mapping[Address, int]


@dataclass(slots=True)
class Collection:
    """Commits and reveals of a round as one validator has seen them.

    Attributes:
        commits: seal by miner in the order of the chain.
        chain_reveals: miners that have revealed on chain.
        due: miners whose reveal was there when the round was judged: no proposal may leave them out. A reveal that
            comes later may be counted and need not, so that nobody can spoil one proposal after the other by revealing
            late. None until ``settle``.
    """

    context: RoundContext
    commits: dict[Address, Digest] = field(default_factory=dict)
    reveals: dict[Address, Reveal] = field(default_factory=dict)
    chain_reveals: set[Address] = field(default_factory=set)
    due: frozenset[Address] | None = None

    def commit(self, miner: Address, seal: Digest) -> None:
        """A commit event of the chain, in order."""
        if miner in self.context.members:
            self.commits[miner] = seal

    def reveal(self, reveal: Reveal, *, on_chain: bool = False) -> bool:
        """Take a reveal; returns whether it is new.

        Raises:
            ProtocolError: there is no commit of that miner, or the seal does not open with it.
        """
        check_reveal(self.context, self.commits, reveal)
        if on_chain:
            self.chain_reveals.add(reveal.miner)
        known = reveal.miner in self.reveals
        self.reveals[reveal.miner] = reveal
        return not known

    def follow_chain(self, commits: Mapping[Address, Digest], reveals: Iterable[Reveal]) -> None:
        """Take over what stands on chain now, which after a reorg may be something else than before.

        Args:
            commits: seal by miner in the order of the chain.
            reveals: those made on chain.
        """
        before = self.commits
        self.commits = {miner: seal for miner, seal in commits.items() if miner in self.context.members}
        self.reveals = {m: reveal for m, reveal in self.reveals.items() if self.commits.get(m) == before.get(m)}
        self.chain_reveals = set()
        for reveal in reveals:
            self.reveal(reveal, on_chain=True)

    def settle(self, miners: Iterable[Address]) -> None:
        """The round has been judged with the reveals of ``miners``."""
        self.due = frozenset(miners)

    @property
    def settled(self) -> bool:
        """Whether ``settle`` was called."""
        return self.due is not None

    @property
    def required(self) -> set[Address]:
        """Miners whose reveal a proposal must contain."""
        revealed = set(self.reveals)
        return revealed if self.due is None else revealed & self.due | self.chain_reveals

    def only(self, miners: Iterable[Address]) -> Collection:
        """A copy with the reveals of ``miners`` alone; it does not change any more."""
        reveals = {miner: self.reveals[miner] for miner in miners}
        return Collection(self.context, dict(self.commits), reveals, set(self.chain_reveals), self.due)

    def commits_closed(self, now: int) -> bool:
        """Whether no further commit can come: all members have committed or the deadline has passed."""
        return len(self.commits) == len(self.context.members) or now > self.context.commit_deadline

    def complete(self, now: int) -> bool:
        """Whether the round can be judged: commits are closed and every seal is open or its time is over.

        A certificate that lands after the reveal deadline must count every on-chain reveal. In the last third of the
        reveal window the round is not judged any more, until the window is over: otherwise a member could open its seal
        to the validators late, and on chain once they have decided, and so void what they have signed.
        """
        deadline = self.context.reveal_deadline
        decide_by = deadline - (deadline - self.context.commit_deadline) // 3
        return self.commits_closed(now) and (
            (len(self.reveals) == len(self.commits) and now <= decide_by) or now > deadline
        )

    def ordered_reveals(self) -> dict[Address, Reveal]:
        """Reveals by miner in canonical order."""
        return {miner: self.reveals[miner] for miner in canonical_order(self.reveals)}


def check_reveal(context: RoundContext, commits: Mapping[Address, Digest], reveal: Reveal) -> None:
    """Raises ProtocolError unless ``reveal`` opens the miner's seal."""
    seal = commits.get(reveal.miner)
    if seal is None:
        raise ProtocolError(f"{reveal.miner} has not committed in round {context.slot.round}")
    opened = gradient_seal(
        context.domain, context.slot.task_id, context.slot.round, reveal.miner, reveal.cid_digest, reveal.salt
    )
    if opened != seal:
        raise ProtocolError(f"the reveal of {reveal.miner} does not open its seal")


def report_statement(
    context: RoundContext, reveals: Mapping[Address, Reveal], rejected: Mapping[Address, str]
) -> VerdictReport:
    """What a validator signs as its verdict report."""
    return VerdictReport(context.slot, report_digest(reveals, rejected))


def check_report(context: RoundContext, reveals: Mapping[Address, Reveal], report: SignedReport) -> None:
    """Raises ProtocolError unless ``report`` is signed by a voter of the epoch over ``reveals``."""
    if report.validator not in context.voters:
        raise ProtocolError(f"{report.validator} is no validator of epoch {context.slot.epoch}")
    if not set(report.rejected) <= set(reveals):
        raise ProtocolError(f"the report of {report.validator} rejects a miner that has revealed nothing")
    statement = report_statement(context, reveals, report.rejected)
    if recover(signing_digest(context.domain, statement), report.signature) != report.validator:
        raise ProtocolError(f"the report of {report.validator} is signed by another key or for other submissions")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An outcome with the record that its ``record`` digest names."""

    outcome: Outcome
    record: RoundRecord

    @property
    def digest(self) -> Digest:
        """What PBFT decides."""
        return outcome_hash(self.outcome)

    def to_bytes(self) -> bytes:
        """Canonical JSON, the payload of a PROPOSE message."""
        return canonical.encode({"outcome": self.outcome.to_json(), "record": canonical.decode(self.record.to_bytes())})

    @classmethod
    def from_bytes(cls, data: bytes) -> Proposal:
        """Parse a payload; the record must be the one that the outcome names."""
        value = canonical.decode(data, max_bytes=MAX_PROPOSAL_BYTES)
        if not isinstance(value, dict) or set(value) != {"outcome", "record"}:
            raise InvalidProposal("a proposal has an outcome and a record")
        record = canonical.encode(value["record"])
        outcome = Outcome.from_json(value["outcome"])
        if canonical.digest(record) != outcome.record:
            raise InvalidProposal("the outcome names another round record")
        return cls(outcome, RoundRecord.from_bytes(record))


def earnings(context: RoundContext, accepted: Iterable[Address], reports: Iterable[SignedReport]) -> dict[Address, int]:
    """Rewards of the round by account."""
    return round_rewards(
        context.rule,
        weights=context.weights,
        accepted=accepted,
        validators=len(context.voters),
        reporting=[context.operators[report.validator] for report in reports],
    )


def mean_loss(losses: Iterable[float]) -> float:
    """Mean of the accepted miners' losses (at least one), exactly rounded so that order cannot matter."""
    values = list(losses)
    return math.fsum(values) / len(values)


def make_proposal(
    context: RoundContext,
    collection: Collection,
    *,
    rejected: Mapping[Address, str],
    reports: Iterable[SignedReport],
    audit_seed: Digest,
    checkpoint: Digest,
    losses: Mapping[Address, float],
) -> Proposal:
    """The proposal that follows from what this validator has verified.

    Args:
        rejected: reasons by miner, all confirmed by the caller.
        reports: at least a quorum of verdict reports.
        checkpoint: digest of the checkpoint manifest that the accepted gradients lead to.
        losses: reported loss by accepted miner.
    """
    reveals = collection.ordered_reveals()
    accepted = [miner for miner in context.members if miner in reveals and miner not in rejected]
    by_validator = {report.validator: report for report in reports}
    ordered = tuple(by_validator[validator] for validator in canonical_order(by_validator))
    earned = earnings(context, accepted, ordered)
    ledger = context.ledger.add(earned)
    record = RoundRecord(
        task_id=context.slot.task_id,
        round=context.slot.round,
        epoch=context.slot.epoch,
        seed=context.seed,
        members=context.members,
        commits=tuple(collection.commits.items()),
        reveals=reveals,
        rejected=dict(rejected),
        reports=ordered,
        audit_seed=audit_seed,
        train_loss=mean_loss(losses[miner] for miner in accepted),
        earned=earned,
        cumulative=dict(ledger.cumulative),
    )
    outcome = Outcome(
        task_id=context.slot.task_id,
        round=context.slot.round,
        parent=context.parent,
        checkpoint=checkpoint,
        record=canonical.digest(record.to_bytes()),
        loss=loss_units(record.train_loss),
        accepted=len(accepted),
        chain_reveals=len(collection.chain_reveals),
        rewards_root=ledger.root,
        rewards_total=ledger.total,
    )
    return Proposal(outcome, record)


def check_proposal(context: RoundContext, collection: Collection, proposal: Proposal, audit_seed: Digest) -> None:
    """Re-derive everything about ``proposal`` that needs no tensors.

    Raises:
        PrematureProposal: it may be right, but counts an on-chain reveal that is not known here yet.
        ProtocolError: the first contradiction found, in words.
    """
    outcome, record = proposal.outcome, proposal.record

    def require(condition: bool, message: str) -> None:
        if not condition:
            raise InvalidProposal(message)

    require((outcome.task_id, outcome.round) == (context.slot.task_id, context.slot.round), "another task or round")
    require(
        (record.task_id, record.round, record.epoch) == (context.slot.task_id, context.slot.round, context.slot.epoch),
        "the record is of another slot",
    )
    require(outcome.parent == context.parent, "the parent is not the task's head")
    require(record.seed == context.seed and record.members == context.members, "another seed or roster")
    require(record.commits == tuple(collection.commits.items()), "other commits than the chain's")
    require(record.audit_seed == audit_seed, "another audit seed")
    for reveal in record.reveals.values():
        check_reveal(context, collection.commits, reveal)
    missing = collection.required - set(record.reveals)
    require(not missing, f"reveals that were made are left out: {', '.join(sorted(missing))}")
    require(outcome.chain_reveals >= len(collection.chain_reveals), "on-chain reveals are left out")
    require(set(record.rejected) <= set(record.reveals), "a miner is rejected that has revealed nothing")
    require(outcome.accepted == len(record.accepted) > 0, "another number of accepted gradients")
    require(outcome.loss == loss_units(record.train_loss), "another loss than the record's")
    validators = [report.validator for report in record.reports]
    require(tuple(validators) == canonical_order(set(validators)), "reports must be one a validator, in order")
    require(len(validators) >= quorum(len(context.voters)), "fewer verdict reports than a quorum")
    for report in record.reports:
        check_report(context, record.reveals, report)
    earned = earnings(context, record.accepted, record.reports)
    ledger = context.ledger.add(earned)
    require(record.earned == earned and record.cumulative == ledger.cumulative, "other rewards than the rule's")
    require(
        (outcome.rewards_root, outcome.rewards_total) == (ledger.root, ledger.total), "another rewards root or total"
    )
    if outcome.chain_reveals > len(collection.chain_reveals):
        raise PrematureProposal(
            f"it counts {outcome.chain_reveals} on-chain reveals, {len(collection.chain_reveals)} are known here"
        )
