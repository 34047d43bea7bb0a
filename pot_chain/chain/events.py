"""The events of the contracts, typed; field by field as in contracts/src/interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pot_chain.chain.logs import Event
from pot_chain.chain.structs import Role, Scheme, TaskParams
from pot_chain.protocol.addresses import Address, Digest

# ---- NodeRegistry


@dataclass(frozen=True, slots=True)
class NodeRegistered(Event):
    """A node registered with its first stake (wei); ``endpoint`` and ``vote_key`` are empty for miners."""

    node: Address
    role: Role
    vote_key: Address
    stake: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class EndpointChanged(Event):
    """A validator moved to another URL."""

    node: Address
    endpoint: str


@dataclass(frozen=True, slots=True)
class StakeAdded(Event):
    """A node added ``amount`` wei and now has ``stake``."""

    node: Address
    amount: int
    stake: int


@dataclass(frozen=True, slots=True)
class UnbondingStarted(Event):
    """A node is leaving; its stake can be withdrawn from ``withdrawable_at`` (seconds)."""

    node: Address
    stake: int
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class StakeHeld(Event):
    """A court keeps the stake of a leaving node, which can be withdrawn from ``withdrawable_at`` (seconds) now."""

    node: Address
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class StakeSlashed(Event):
    """``court`` took ``amount`` wei from a node, which now has ``stake``."""

    node: Address
    court: Address
    amount: int
    stake: int


@dataclass(frozen=True, slots=True)
class BlsKeyRegistered(Event):
    """A validator can sign BLS certificates by ``key`` (256 bytes, a point of G2)."""

    node: Address
    key: bytes


@dataclass(frozen=True, slots=True)
class DelegateAuthorized(Event):
    """``delegate`` may act for a node until ``expires_at`` (seconds) and draw ``allowance`` wei."""

    node: Address
    delegate: Address
    expires_at: int
    allowance: int


@dataclass(frozen=True, slots=True)
class AllowanceDrawn(Event):
    """``delegate`` was paid ``amount`` wei of its allowance."""

    node: Address
    delegate: Address
    amount: int


@dataclass(frozen=True, slots=True)
class DelegateRevoked(Event):
    """``delegate`` lost its right; ``amount`` wei went back to the node."""

    node: Address
    delegate: Address
    amount: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn(Event):
    """A node took ``amount`` wei and is no longer registered."""

    node: Address
    amount: int


@dataclass(frozen=True, slots=True)
class EpochAdvanced(Event):
    """A new validator epoch; signer indices of certificates point into ``vote_keys``."""

    epoch: int
    quorum: int
    scheme: Scheme
    expires_at: int
    vote_keys: tuple[Address, ...]


# ---- ProofOfTraining


@dataclass(frozen=True, slots=True)
class TaskCreated(Event):
    """A task was created and its budget escrowed."""

    task_id: int
    owner: Address
    params: TaskParams


@dataclass(frozen=True, slots=True)
class MinerJoined(Event):
    """A miner joined; it is a member from round ``from_round``."""

    task_id: int
    miner: Address
    from_round: int


@dataclass(frozen=True, slots=True)
class MinerLeft(Event):
    """A miner left; it is no member from round ``from_round``."""

    task_id: int
    miner: Address
    from_round: int


@dataclass(frozen=True, slots=True)
class RoundOpened(Event):
    """A round opened at the start of a task or after a skipped one, to be certified by ``epoch``; ``seed`` fixes the
    assignment of samples. After a final round, ``RoundFinalized`` says it."""

    task_id: int
    round: int
    epoch: int
    seed: Digest


@dataclass(frozen=True, slots=True)
class GradientCommitted(Event):
    """A member sealed its gradient."""

    task_id: int
    round: int
    miner: Address
    seal: Digest


@dataclass(frozen=True, slots=True)
class GradientRevealed(Event):
    """A member opened its seal on chain; the outcome must count it."""

    task_id: int
    round: int
    miner: Address
    cid_digest: Digest
    salt: Digest


@dataclass(frozen=True, slots=True)
class RoundFinalized(Event):
    """A quorum decided the round; ``digest`` is the new head.

    The next round opened with it, to be certified by ``next_epoch``, unless that is 0: then the task ended.
    """

    task_id: int
    round: int
    digest: Digest
    view_number: int
    checkpoint: Digest
    record: Digest
    loss: int
    rewards_root: Digest
    rewards_total: int
    next_epoch: int
    next_seed: Digest


@dataclass(frozen=True, slots=True)
class RoundSkipped(Event):
    """The round ended without an outcome."""

    task_id: int
    round: int


@dataclass(frozen=True, slots=True)
class TaskCompleted(Event):
    """The last round is final."""

    task_id: int


@dataclass(frozen=True, slots=True)
class CancelRequested(Event):
    """The owner ends a running task with round ``effective_after_round``."""

    task_id: int
    effective_after_round: int


@dataclass(frozen=True, slots=True)
class TaskCancelled(Event):
    """The task ended because its owner cancelled it."""

    task_id: int


@dataclass(frozen=True, slots=True)
class TaskExpired(Event):
    """The task ended because it did not start in time or skipped too many rounds."""

    task_id: int


@dataclass(frozen=True, slots=True)
class TaskStopped(Event):
    """The task ended because its loss was above the owner's limit."""

    task_id: int


@dataclass(frozen=True, slots=True)
class RewardClaimed(Event):
    """``amount`` was paid to ``account``, which makes ``cumulative`` for this task."""

    task_id: int
    account: Address
    amount: int
    cumulative: int


@dataclass(frozen=True, slots=True)
class TaskRefunded(Event):
    """The unallocated rest went back to the owner."""

    task_id: int
    owner: Address
    amount: int


REGISTRY_EVENTS: Final[tuple[type[Event], ...]] = (
    NodeRegistered,
    EndpointChanged,
    StakeAdded,
    UnbondingStarted,
    StakeHeld,
    StakeSlashed,
    BlsKeyRegistered,
    DelegateAuthorized,
    AllowanceDrawn,
    DelegateRevoked,
    StakeWithdrawn,
    EpochAdvanced,
)
TRAINING_EVENTS: Final[tuple[type[Event], ...]] = (
    TaskCreated,
    MinerJoined,
    MinerLeft,
    RoundOpened,
    GradientCommitted,
    GradientRevealed,
    RoundFinalized,
    RoundSkipped,
    TaskCompleted,
    CancelRequested,
    TaskCancelled,
    TaskExpired,
    TaskStopped,
    RewardClaimed,
    TaskRefunded,
)
