"""Who earns what in a round, to the wei.

Shares are fixed before the round: a validator that stays away and a member whose gradient is rejected leave their share
unspent, to be refunded to the owner. Nobody gains by excluding another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pot_chain.protocol.addresses import Address, Digest, canonical_order
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.merkle import merkle_proof, merkle_root, reward_leaf

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class RewardRule:
    """Split of a round's pool.

    Attributes:
        per_round: pool of one finalized round (wei or token units).
        validator_share_bps: part of the pool for validators, in 1/10,000.
    """

    per_round: int
    validator_share_bps: int

    def __post_init__(self) -> None:
        if self.per_round < 0 or not 0 <= self.validator_share_bps <= BASIS_POINTS:
            raise ProtocolError("a reward rule has a pool >= 0 and a validator share of 0 to 10000 basis points")

    @property
    def validator_pool(self) -> int:
        """Part of the pool for validators, rounded down."""
        return self.per_round * self.validator_share_bps // BASIS_POINTS

    @property
    def miner_pool(self) -> int:
        """Part of the pool for miners."""
        return self.per_round - self.validator_pool


def round_rewards(
    rule: RewardRule,
    *,
    weights: Mapping[Address, int],
    accepted: Iterable[Address],
    validators: int,
    reporting: Iterable[Address],
) -> dict[Address, int]:
    """Earnings of one round by account.

    Args:
        weights: contribution that each *member* was assigned (samples), accepted or not.
        accepted: members whose gradient is in the aggregate.
        validators: size of the epoch.
        reporting: operators of the validators whose verdict report is in the round record.

    Returns:
        account -> amount > 0. The sum never exceeds ``rule.per_round``.
    """
    total_weight = sum(weights.values())
    earned: dict[Address, int] = {}
    for miner in set(accepted):
        if miner not in weights:
            raise ProtocolError(f"{miner} is accepted but no member of the round")
        earned[miner] = rule.miner_pool * weights[miner] // total_weight if total_weight else 0
    operators = list(reporting)
    if len(operators) != len(set(operators)) or len(operators) > validators:
        raise ProtocolError("each validator is paid for one verdict report at most")
    for operator in operators:
        earned[operator] = earned.get(operator, 0) + rule.validator_pool // validators
    return {account: amount for account, amount in earned.items() if amount > 0}


@dataclass(frozen=True, slots=True)
class RewardLedger:
    """Cumulative earnings of a task by account; its Merkle root stands on chain."""

    task_id: int
    cumulative: Mapping[Address, int]

    def add(self, earned: Mapping[Address, int]) -> RewardLedger:
        """The ledger after another round."""
        total = dict(self.cumulative)
        for account, amount in earned.items():
            if amount < 0:
                raise ProtocolError(f"a reward cannot be negative: {account} {amount}")
            total[account] = total.get(account, 0) + amount
        return RewardLedger(self.task_id, total)

    @property
    def accounts(self) -> tuple[Address, ...]:
        """Accounts in the order of their leaves."""
        return canonical_order(self.cumulative)

    @property
    def total(self) -> int:
        """Sum of all leaves."""
        return sum(self.cumulative.values())

    @property
    def root(self) -> Digest:
        """Root of the tree of ``reward_leaf``; 32 zero bytes while nobody has earned anything."""
        return merkle_root(self._leaves())

    def proof(self, account: Address) -> list[Digest]:
        """Merkle proof for ``account``'s leaf."""
        accounts = self.accounts
        if account not in self.cumulative:
            raise ProtocolError(f"{account} has earned nothing in task {self.task_id}")
        return merkle_proof(self._leaves(), accounts.index(account))

    def _leaves(self) -> list[Digest]:
        return [reward_leaf(self.task_id, account, self.cumulative[account]) for account in self.accounts]
