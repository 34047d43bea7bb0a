"""Round records: fetched, and believed only as far as the chain vouches for them."""

from __future__ import annotations

from ipfs.store import Store
from pot_chain.chain.history import FinalSeen, RoundHistory, TaskHistory
from pot_chain.owner.errors import NoSuchRound, RecordMismatch
from pot_chain.protocol.addresses import Digest
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
            RecordMismatch: the record is not of this round, or does not lead to the rewards root on chain.
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

    def _check(self, record: RoundRecord, task: TaskHistory, number: int, final: FinalSeen) -> None:
        ledger = RewardLedger(task.task_id, record.cumulative)
        if (record.task_id, record.round) != (task.task_id, number):
            fault = f"is of round {record.round} of task {record.task_id}"
        elif (ledger.root, ledger.total) != (final.rewards_root, final.rewards_total):
            fault = "does not lead to the rewards root on chain"
        else:
            return
        raise RecordMismatch(
            f"the record of round {number} of task {task.task_id} {fault}",
            "a quorum of validators has signed this: keep the record as evidence and tell the other members",
        )
