"""What an account has earned in a task, why, and how it gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pot_chain.chain.bindings import Claim
from pot_chain.chain.events import RewardClaimed
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.logs import events_of
from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import NothingToPay, RecordMismatch
from pot_chain.owner.records import RecordReader
from pot_chain.owner.tasks import find_task
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.eip712 import decision_hash, outcome_hash
from pot_chain.protocol.record import RoundRecord


@dataclass(frozen=True, slots=True)
class RoundEarning:
    """An account in one round.

    Attributes:
        verdict: ``accepted``, ``rejected: <reason>``, ``not revealed``, ``no commit``, ``skipped``, ``open``, or, for a
            validator, ``reported`` or ``no report``; ``not a member`` for everybody else.
        earned: wei or token units.
    """

    round: int
    verdict: str
    earned: int


@dataclass(frozen=True, slots=True)
class Earnings:
    """An account in one task.

    Attributes:
        earned: all that final rounds gave it.
        claimed: of this, what it has been paid.
    """

    task_id: int
    account: Address
    earned: int
    claimed: int
    rounds: tuple[RoundEarning, ...]

    @property
    def claimable(self) -> int:
        """What a claim would pay now."""
        return self.earned - self.claimed


@dataclass(frozen=True, slots=True)
class Claimed:
    """A payment.

    Attributes:
        amount: paid now.
        cumulative: paid in all for this task.
        fee: wei that the claim cost.
    """

    task_id: int
    account: Address
    amount: int
    cumulative: int
    transaction: str
    fee: int


def earnings_of(client: ChainClient, records: RecordReader, task_id: int, account: Address) -> Earnings:
    """What ``account`` has earned, round by round; ``client`` must be synced.

    Raises:
        TaskNotFound: there is no such task.
        RecordMismatch, ProtocolError, IpfsError: a record cannot be had.
    """
    task = find_task(client, task_id)
    ledger = records.ledger(task)
    rounds = []
    for number in sorted(task.rounds):
        history = task.rounds[number]
        record = records.read(task, history) if history.final else None
        operators = client.history.operators(history.epoch)
        earned = record.earned.get(account, 0) if record else 0
        rounds.append(RoundEarning(number, _verdict(task, history, record, operators, account), earned))
    claimed = task.claimed.get(account, 0)
    return Earnings(task_id, account, ledger.cumulative.get(account, 0), claimed, tuple(rounds))


def claim(client: ChainClient, records: RecordReader, task_id: int, account: Address) -> Claimed:
    """``claim_many`` of one task.

    Raises:
        PotError, IpfsError: see ``claim_many``.
    """
    return claim_many(client, records, [task_id], account)[0]


def claim_many(client: ChainClient, records: RecordReader, task_ids: Sequence[int], account: Address) -> list[Claimed]:
    """Have ``account`` paid what it has earned in some tasks and not yet been paid, in one transaction.

    The client's account pays the fee; ``client`` must be synced. Of several tasks, those in which nothing is to be had
    are passed over.

    Raises:
        TaskNotFound: there is no such task.
        NothingToPay: the account has earned nothing, or has been paid all of it.
        RecordMismatch, ProtocolError, IpfsError: the record of a last round cannot be had, or is not the chain's.
        ChainError: the transaction fails.
    """
    claims: list[Claim] = []
    for task_id in dict.fromkeys(task_ids):
        try:
            claims.append(_proven(client, records, task_id, account))
        except NothingToPay:
            if len(task_ids) == 1:
                raise
    if not claims:
        raise NothingToPay(f"{account} has nothing to claim in these tasks", "`pot miner status` says why")
    training = client.training
    mined = client.send(training.claim(claims[0]) if len(claims) == 1 else training.claim_many(claims))
    paid = events_of(RewardClaimed, client.contracts.events(mined.logs))
    if not paid:  # a batch passes over what somebody else has claimed first
        raise NothingToPay(f"{account} was paid meanwhile, or a round became final", "claim again if anything is left")
    return [Claimed(e.task_id, e.account, e.amount, e.cumulative, mined.transaction, mined.fee) for e in paid]


def _proven(client: ChainClient, records: RecordReader, task_id: int, account: Address) -> Claim:
    """The claim of an account to what it has earned in a task, with its proof."""
    task = find_task(client, task_id)
    ledger = records.ledger(task)
    cumulative, paid = ledger.cumulative.get(account, 0), client.training.claimed_of(task_id, account)
    if cumulative == 0:
        raise NothingToPay(
            f"{account} has earned nothing in task {task_id}", f"`pot miner status --task {task_id}` says why"
        )
    if cumulative <= paid:
        raise NothingToPay(
            f"{account} has been paid all that it has earned in task {task_id}",
            "nothing is lost; more can be claimed after the next round that it is accepted in",
        )
    outcome = records.outcome(task, task.finals[-1])
    if client.training.task(task_id).head != outcome_hash(outcome):
        raise RecordMismatch(
            f"the rewards of task {task_id} changed while they were read", "a round became final meanwhile: try again"
        )
    proof = tuple(ledger.proof(account))
    return Claim(task_id, account, cumulative, outcome.rewards_total, decision_hash(outcome), proof)


def _verdict(
    task: TaskHistory,
    history: RoundHistory,
    record: RoundRecord | None,
    operators: Mapping[Address, Address],
    account: Address,
) -> str:
    """What became of the account's part in the round."""
    if account in task.membership.members(history.number):
        if record is None:
            return _unfinished(history, account)
        if account in record.rejected:
            return f"rejected: {record.rejected[account]}"
        if account in record.reveals:
            return "accepted"
        return "not revealed" if account in history.commits else "no commit"
    keys = {key for key, operator in operators.items() if operator == account}
    if not keys:
        return "not a member"
    if record is None:
        return "open" if history.open else "skipped"
    return "reported" if keys & {report.validator for report in record.reports} else "no report"


def _unfinished(history: RoundHistory, account: Address) -> str:
    if not history.open:
        return "skipped"
    return "open: committed" if account in history.commits else "open: no commit yet"
