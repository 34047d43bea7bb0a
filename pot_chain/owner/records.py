"""Round records: fetched, and believed only as far as the chain vouches for them."""

from __future__ import annotations

from ipfs.store import Store
from pot_chain.chain.history import FinalSeen, RoundHistory, TaskHistory
from pot_chain.owner.errors import NoSuchRound, RecordMismatch
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.eip712 import outcome_hash
from pot_chain.protocol.outcome import Outcome, loss_units
from pot_chain.protocol.record import MAX_RECORD_BYTES, RoundRecord
from pot_chain.protocol.rewards import RewardLedger


class RecordReader:
    """Reads round records, each once.

    Args:
        store: holds them.
        timeout: seconds for one record; None: the store's own default.
    """

    def __init__(self, store: Store, timeout: float | None = None) -> None:
        self._store = store
        self._timeout = timeout
        self._records: dict[Digest, RoundRecord] = {}

    def read(self, task: TaskHistory, round_history: RoundHistory) -> RoundRecord:
        """The record of a final round.

        Raises:
            NoSuchRound: the round is not final.
            RecordMismatch: the record is not of this round, or contradicts the rewards root or the loss on chain.
            ProtocolError: it is no record. IpfsError: it cannot be fetched.
        """
        final = round_history.final
        if final is None:
            raise NoSuchRound(
                f"round {round_history.number} of task {task.task_id} is not final", f"`pot task show {task.task_id}`"
            )
        if final.record not in self._records:
            data = self._store.get_manifest(final.record, max_bytes=MAX_RECORD_BYTES, timeout=self._timeout)
            record = RoundRecord.from_bytes(data)
            self._check(record, task, round_history.number, final)
            self._records[final.record] = record
        return self._records[final.record]

    def ledger(self, task: TaskHistory) -> RewardLedger:
        """The rewards of the task so far; its root is the one on chain.

        Raises:
            RecordMismatch, ProtocolError, IpfsError: see ``read``.
        """
        finals = task.finals
        cumulative = self.read(task, finals[-1]).cumulative if finals else {}
        return RewardLedger(task.task_id, cumulative)

    def outcome(self, task: TaskHistory, round_history: RoundHistory) -> Outcome:
        """The outcome of a final round, proven by its digest on chain.

        The event of the round does not tell all of it: the gradients accepted are in the record, and the on-chain
        reveals counted are some number of those made, which the digest singles out.

        Raises:
            RecordMismatch: no outcome that fits the record has the digest on chain.
            NoSuchRound, ProtocolError, IpfsError: see ``read``.
        """
        record, final = self.read(task, round_history), round_history.final
        assert final is not None  # read has looked
        for counted in range(len(round_history.reveals), -1, -1):
            outcome = Outcome(
                task_id=task.task_id,
                round=round_history.number,
                parent=round_history.parent,
                checkpoint=final.checkpoint,
                record=final.record,
                loss=final.loss,
                accepted=len(record.accepted),
                chain_reveals=counted,
                rewards_root=final.rewards_root,
                rewards_total=final.rewards_total,
            )
            if outcome_hash(outcome) == final.digest:
                return outcome
        raise RecordMismatch(
            f"the record of round {round_history.number} of task {task.task_id} does not lead to the task's head",
            "a quorum of validators has signed this: keep the record as evidence and tell the other members",
        )

    def _check(self, record: RoundRecord, task: TaskHistory, number: int, final: FinalSeen) -> None:
        ledger = RewardLedger(task.task_id, record.cumulative)
        if (record.task_id, record.round) != (task.task_id, number):
            fault = f"is of round {record.round} of task {record.task_id}"
        elif (ledger.root, ledger.total) != (final.rewards_root, final.rewards_total):
            fault = "does not lead to the rewards root on chain"
        elif record.train_loss < 0 or loss_units(record.train_loss) != final.loss:
            fault = "tells another loss than the chain"
        else:
            return
        raise RecordMismatch(
            f"the record of round {number} of task {task.task_id} {fault}",
            "a quorum of validators has signed this: keep the record as evidence and tell the other members",
        )
