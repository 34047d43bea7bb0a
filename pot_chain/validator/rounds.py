"""From the chain to a round's context: what a validator must know before it can take part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ipfs.store import Store
from pot_chain.chain.history import FinalSeen, History, RoundHistory, TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import TaskParams
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.record import RoundRecord
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import Proposal, RoundContext
from pot_chain.protocol.votes import Slot
from worker.task import TrainingTask


@dataclass(frozen=True, slots=True)
class OpenRound:
    """An open round as the history tells it at one moment; it does not change when the history goes on."""

    slot: Slot
    params: TaskParams
    opened_block: int
    opened_hash: str
    parent: Digest
    checkpoint: Digest
    finalized_before: int
    seed: Digest
    members: tuple[Address, ...]
    voters: tuple[Address, ...]
    operators: Mapping[Address, Address]
    last_final: FinalSeen | None

    @classmethod
    def of(cls, history: History, task: TaskHistory, current: RoundHistory) -> OpenRound:
        """The round ``current`` of ``task``."""
        finals = task.finals
        return cls(
            slot=Slot(task.task_id, current.number, current.epoch),
            params=task.params,
            opened_block=current.opened_block,
            opened_hash=current.opened_hash,
            parent=current.parent,
            checkpoint=current.checkpoint,
            finalized_before=current.finalized_before,
            seed=current.seed,
            members=task.membership.members(current.number),
            voters=history.epochs[current.epoch],
            operators=history.operators(current.epoch),
            last_final=finals[-1].final if finals else None,
        )


def open_rounds(history: History, voter: Address) -> dict[tuple[int, int], tuple[TaskHistory, RoundHistory]]:
    """The open rounds, by task and number, that ``voter`` helps to decide."""
    return {
        (task.task_id, current.number): (task, current)
        for task in history.tasks.values()
        if (current := task.current) is not None and voter in history.epochs.get(current.epoch, ())
    }


class TaskShelf:
    """What is loaded of the tasks: their specs and data, and the rewards so far. All methods but ``forget`` may block.

    Args:
        cache: folder for data sets.
    """

    def __init__(self, chain: ChainClient, store: Store, cache: Path) -> None:
        self._chain, self._store, self._cache = chain, store, cache
        self._tasks: dict[int, TrainingTask] = {}
        self._ledgers: dict[int, tuple[Digest, RewardLedger]] = {}

    def training(self, opened: OpenRound) -> TrainingTask:
        """The task's spec and data.

        Raises:
            PotError, IpfsError: they cannot be had, or break a rule.
        """
        task_id = opened.slot.task_id
        if task_id not in self._tasks:
            self._tasks[task_id] = TrainingTask.load(self._store, opened.params.spec, self._cache)
        return self._tasks[task_id]

    def context(self, opened: OpenRound) -> RoundContext:
        """The round's context; raises like ``training``."""
        params, training = opened.params, self.training(opened)
        commit_deadline = self._chain.block(opened.opened_block).timestamp + params.commit_window
        reveal_deadline = commit_deadline + params.reveal_window
        return RoundContext(
            domain=self._chain.domain,
            slot=opened.slot,
            parent=opened.parent,
            seed=opened.seed,
            members=opened.members,
            commit_deadline=commit_deadline,
            reveal_deadline=reveal_deadline,
            finalize_deadline=reveal_deadline + params.finalize_window,
            voters=opened.voters,
            operators=opened.operators,
            ledger=self._ledger(opened),
            rule=RewardRule(params.reward_per_round, training.spec.rewards.validator_share),
            weights=dict.fromkeys(opened.members, training.spec.training.samples_per_miner),
        )

    def keep(self, proposal: Proposal) -> None:
        """Pin the record of a decided round and remember where its rewards stand."""
        record = proposal.record
        digest = self._store.put_manifest(record.to_bytes())
        self._ledgers[record.task_id] = digest, RewardLedger(record.task_id, record.cumulative)

    def forget(self, running: set[int]) -> None:
        """Let go of all tasks but those that are ``running``."""
        for loaded in (self._tasks, self._ledgers):
            for task_id in set(loaded) - running:
                loaded.pop(task_id, None)

    def _ledger(self, opened: OpenRound) -> RewardLedger:
        """Rewards so far: the leaves in the last round's record, checked against the root on chain."""
        task_id, final = opened.slot.task_id, opened.last_final
        if final is None:
            return RewardLedger(task_id, {})
        digest, ledger = self._ledgers.get(task_id, (None, None))
        if ledger is None or digest != final.record:
            record = RoundRecord.from_bytes(self._store.get_manifest(final.record))
            ledger = RewardLedger(task_id, record.cumulative)
        if ledger.root != final.rewards_root:
            raise ProtocolError(f"the record {final.record.hex()} does not lead to the rewards root on chain")
        self._ledgers[task_id] = final.record, ledger
        return ledger
