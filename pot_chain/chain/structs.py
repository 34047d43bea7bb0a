"""The structs and enums of the contracts; field by field as in contracts/src/interfaces.

Amounts are wei (or units of the task's token), times are seconds of the chain's clock, lengths of windows are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pot_chain.protocol.addresses import ZERO_ADDRESS, Address, Digest


class Role(IntEnum):
    """What an account is registered as."""

    NONE = 0
    MINER = 1
    VALIDATOR = 2


class Scheme(IntEnum):
    """How the certificates of an epoch are signed."""

    ECDSA = 0
    BLS = 1


class TaskState(IntEnum):
    """Where a task stands: Open → Running → Completed | Cancelled | Expired | Stopped."""

    NONE = 0
    OPEN = 1
    RUNNING = 2
    COMPLETED = 3
    CANCELLED = 4
    EXPIRED = 5
    STOPPED = 6

    @property
    def ended(self) -> bool:
        """Whether no further round can come."""
        return self not in (TaskState.NONE, TaskState.OPEN, TaskState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """What NodeRegistry is deployed with.

    Attributes:
        min_miner_stake: wei.
        min_validator_stake: wei.
        unbonding_period: from the start of unbonding until the stake can be withdrawn; at least lifetime + window.
        epoch_length: least time between two validator epochs; 0 for local networks.
        epoch_lifetime: for which the certificates of an epoch count.
        evidence_window: for which a node stays slashable after the last certificate that it can have signed.
        validator_court: contract that may slash validators; a deployment fills it in.
        miner_court: contract that may slash miners; likewise.
    """

    min_miner_stake: int
    min_validator_stake: int
    unbonding_period: int
    epoch_length: int
    epoch_lifetime: int
    evidence_window: int
    validator_court: Address = ZERO_ADDRESS
    miner_court: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class EpochInfo:
    """A validator epoch.

    Attributes:
        size: number of validators.
        quorum: signatures that a certificate needs.
        scheme: how certificates are signed.
        started_at: time of the snapshot.
        replaceable_at: time before which no next epoch can start.
        expires_at: last second in which its certificates count.
    """

    size: int
    quorum: int
    scheme: Scheme
    started_at: int
    replaceable_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Node:
    """A registered account.

    Attributes:
        role: miner, validator, or none.
        unbonding_at: time from which the stake may be withdrawn; 0 while bonded.
        stake: wei held for the node.
        vote_key: address of the key that signs PBFT votes; zero for miners.
    """

    role: Role
    unbonding_at: int
    stake: int
    vote_key: Address


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a node has granted a hot key: until ``expires_at`` (0: nothing) it may act, and draw ``allowance`` wei."""

    expires_at: int
    allowance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParams:
    """What an owner fixes when creating a task.

    Attributes:
        spec: digest of the task spec (canonical JSON).
        checkpoint: digest of the manifest of the initial model.
        token: ERC-20 that pays; the zero address for the native coin.
        budget: amount escrowed at creation.
        reward_per_round: most that a final round may allocate.
        rounds: final rounds after which the task is complete.
        min_miners: members with which it starts by itself.
        max_miners: most members.
        max_skips: skipped rounds in a row that are tolerated; one more expires the task.
        start_window: from creation until anybody may expire a task that has not started.
        commit_window: from the opening of a round to its commit deadline.
        reveal_window: from the commit deadline to the reveal deadline.
        finalize_window: from the reveal deadline until anybody may skip the round.
        stop_loss_after: final rounds from which the loss is watched; 0: never.
        stop_loss: greatest loss, in millionths, that a watched round may have; one above it stops the task.
    """

    spec: Digest
    checkpoint: Digest
    token: Address = ZERO_ADDRESS
    budget: int
    reward_per_round: int
    rounds: int
    min_miners: int
    max_miners: int
    max_skips: int
    start_window: int
    commit_window: int
    reveal_window: int
    finalize_window: int
    stop_loss_after: int = 0
    stop_loss: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as the contract holds it.

    Attributes:
        owner: who pays.
        state: where it stands.
        cancel_requested: whether it ends with the open round.
        round: number of the open round; counts skipped rounds too.
        epoch: validator epoch whose quorum must certify the open round.
        round_started_at: time at which the open round opened.
        created_at: time of creation.
        finalized_rounds: number of final rounds.
        consecutive_skips: skipped rounds since the last final one.
        members: number of members.
        chain_reveals: on-chain reveals of the open round.
        head: digest of the last final outcome, or the genesis head; it commits to checkpoint and rewards.
        allocated: total of the cumulative rewards tree.
        claimed: paid out of it.
        refunded: returned to the owner.
        params: as at creation.
    """

    owner: Address
    state: TaskState
    cancel_requested: bool
    round: int
    epoch: int
    round_started_at: int
    created_at: int
    finalized_rounds: int
    consecutive_skips: int
    members: int
    chain_reveals: int
    head: Digest
    allocated: int
    claimed: int
    refunded: int
    params: TaskParams


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Last seconds of the phases of the open round.

    Attributes:
        commit: last second in which a member may commit.
        reveal: last second in which a member may reveal on chain.
        finalize: last second in which nobody may skip the round.
    """

    commit: int
    reveal: int
    finalize: int


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """A quorum's signatures in the contract's encoding.

    Attributes:
        epoch: validator epoch of the signers.
        view_number: PBFT view in which they committed.
        signatures: k times 66 bytes (see docs/architecture.md).
    """

    epoch: int
    view_number: int
    signatures: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim to what a leaf of the cumulative rewards tree allows.

    Attributes:
        account: whose leaf it is, and who is paid.
        cumulative: amount of the leaf.
        rewards_total: of the last final outcome.
        decision: ``eip712.decision_hash`` of that outcome.
        proof: siblings from the leaf to its rewards root.
    """

    task_id: int
    account: Address
    cumulative: int
    rewards_total: int
    decision: Digest
    proof: tuple[Digest, ...]
