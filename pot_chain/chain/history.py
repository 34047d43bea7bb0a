"""What has happened to the tasks and nodes, folded from the contracts' events.

Every role reads the same history: the miner to know its round and samples, validators to judge, owners to watch,
auditors to replay. A reorg drops events; the fold is then simply done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pot_chain.chain import events as ev
from pot_chain.chain.logs import Event
from pot_chain.chain.structs import Role, TaskParams, TaskState
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.membership import Membership
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.seal import genesis_head


@dataclass(frozen=True, slots=True)
class CommitSeen:
    """A miner's seal, and the block and transaction (0x-hex) that have it."""

    seal: Digest
    block: int
    transaction: str


@dataclass(frozen=True, slots=True)
class FinalSeen:
    """How a round became final."""

    digest: Digest
    view: int
    checkpoint: Digest
    record: Digest
    loss: int
    rewards_root: Digest
    rewards_total: int
    block: int
    transaction: str


@dataclass(slots=True)
class RoundHistory:
    """A round as the chain tells it. ``commits`` is in the order of the chain.

    ``opened_hash`` (of the block that opened it, 0x-hex) fixes all that came before, so a round that a reorg has opened
    anew has another one.
    """

    number: int
    epoch: int
    seed: Digest
    opened_block: int
    opened_hash: str
    parent: Digest
    checkpoint: Digest
    finalized_before: int
    commits: dict[Address, CommitSeen] = field(default_factory=dict)
    reveals: dict[Address, Reveal] = field(default_factory=dict)
    final: FinalSeen | None = None
    skipped: bool = False

    @property
    def open(self) -> bool:
        """Whether the round can still be finalized."""
        return self.final is None and not self.skipped


@dataclass(slots=True)
class TaskHistory:
    """A task since its creation."""

    task_id: int
    owner: Address
    params: TaskParams
    created_block: int
    head: Digest
    checkpoint: Digest
    state: TaskState = TaskState.OPEN
    membership: Membership = field(default_factory=Membership)
    rounds: dict[int, RoundHistory] = field(default_factory=dict)
    """Ascending."""
    finals: list[RoundHistory] = field(default_factory=list)
    """Final rounds, ascending."""
    cancel_after: int | None = None
    claimed: dict[Address, int] = field(default_factory=dict)
    refunded: int = 0

    @property
    def current(self) -> RoundHistory | None:
        """The open round of a running task."""
        if self.state is not TaskState.RUNNING or not self.rounds:
            return None
        last = self.rounds[next(reversed(self.rounds))]
        return last if last.open else None

    @property
    def ended(self) -> bool:
        """Whether no further round can come."""
        return self.state.ended

    def apply(self, event: Event) -> None:
        """Take the next event of this task."""
        match event:
            case ev.MinerJoined():
                self.membership.joined(event.miner, event.from_round)
            case ev.MinerLeft():
                self.membership.left(event.miner, event.from_round)
            case ev.RoundOpened():
                self.state = TaskState.RUNNING
                self._open(event.round, event.epoch, event.seed, event)
            case ev.GradientCommitted():
                self.rounds[event.round].commits[event.miner] = CommitSeen(
                    event.seal, event.block_number, event.transaction
                )
            case ev.GradientRevealed():
                self.rounds[event.round].reveals[event.miner] = Reveal(event.miner, event.cid_digest, event.salt)
            case ev.RoundFinalized():
                self.head, self.checkpoint = event.digest, event.checkpoint
                self.finals.append(self.rounds[event.round])
                self.rounds[event.round].final = FinalSeen(
                    event.digest,
                    event.view_number,
                    event.checkpoint,
                    event.record,
                    event.loss,
                    event.rewards_root,
                    event.rewards_total,
                    event.block_number,
                    event.transaction,
                )
                if event.next_epoch:
                    self._open(event.round + 1, event.next_epoch, event.next_seed, event)
            case ev.RoundSkipped():
                self.rounds[event.round].skipped = True
            case ev.CancelRequested():
                self.cancel_after = event.effective_after_round
            case ev.TaskCompleted():
                self.state = TaskState.COMPLETED
            case ev.TaskCancelled():
                self.state = TaskState.CANCELLED
            case ev.TaskExpired():
                self.state = TaskState.EXPIRED
            case ev.TaskStopped():
                self.state = TaskState.STOPPED
            case ev.RewardClaimed():
                self.claimed[event.account] = event.cumulative
            case ev.TaskRefunded():
                self.refunded += event.amount
            case _:
                pass  # an event that the bindings know and the history does not need

    def _open(self, number: int, epoch: int, seed: Digest, event: Event) -> None:
        """``event`` opened round ``number``."""
        self.rounds[number] = RoundHistory(
            number,
            epoch,
            seed,
            event.block_number,
            event.log.block_hash,
            parent=self.head,
            checkpoint=self.checkpoint,
            finalized_before=len(self.finals),
        )


@dataclass(slots=True)
class ValidatorSeen:
    """A registered validator."""

    operator: Address
    vote_key: Address
    endpoint: str


@dataclass(slots=True)
class History:
    """Everything that the two contracts of ``domain`` have told."""

    domain: Domain
    tasks: dict[int, TaskHistory] = field(default_factory=dict)
    validators: dict[Address, ValidatorSeen] = field(default_factory=dict)
    """By operator, as last registered."""
    key_owners: dict[Address, Address] = field(default_factory=dict)
    """Operator by vote key, also of keys that were given up: an epoch that is still in use may hold them."""
    epochs: dict[int, tuple[Address, ...]] = field(default_factory=dict)
    """Vote keys by epoch; a certificate's signer index points into the tuple."""

    def operators(self, epoch: int) -> dict[Address, Address]:
        """Operator by vote key."""
        return {key: self.key_owners[key] for key in self.epochs[epoch]}

    def endpoints(self, epoch: int) -> dict[Address, str]:
        """URL by vote key."""
        return {key: self.validators[self.key_owners[key]].endpoint for key in self.epochs.get(epoch, ())}

    def apply(self, event: Event) -> None:
        """Take the next event of the chain."""
        match event:
            case ev.NodeRegistered():
                if event.role is Role.VALIDATOR:
                    self.validators[event.node] = ValidatorSeen(event.node, event.vote_key, event.endpoint)
                    self.key_owners[event.vote_key] = event.node
            case ev.EndpointChanged():
                if event.node in self.validators:
                    self.validators[event.node].endpoint = event.endpoint
            case ev.EpochAdvanced():
                self.epochs[event.epoch] = event.vote_keys
            case ev.TaskCreated():
                self.tasks[event.task_id] = TaskHistory(
                    event.task_id,
                    event.owner,
                    event.params,
                    event.block_number,
                    head=genesis_head(self.domain, event.task_id, event.params.spec, event.params.checkpoint),
                    checkpoint=event.params.checkpoint,
                )
            case _:
                task = self.tasks.get(getattr(event, "task_id", 0))
                if task is not None:
                    task.apply(event)

    @classmethod
    def fold(cls, domain: Domain, events: Iterable[Event]) -> History:
        """History of ``events`` in the order of the chain."""
        history = cls(domain)
        for event in events:
            history.apply(event)
        return history
