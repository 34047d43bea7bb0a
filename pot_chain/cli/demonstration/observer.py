"""Turns what the chain and the store say about a task into rows for people."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ipfs.cid import raw_cid
from ipfs.store import Store
from pot_chain.chain.connection import rpc_batch
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.dashboard.model import Gas, RoundRow, Sizes
from pot_chain.owner.records import RecordReader
from pot_chain.protocol.manifests import Submission
from worker.gradient import Evaluation, evaluate
from worker.task import TrainingTask


class TaskObserver:
    """Watches one task; every figure is derived from the chain and from content that was checked against it.

    Args:
        client: a connection of the observer's own.
    """

    def __init__(self, client: ChainClient, store: Store, task_id: int) -> None:
        self.client, self.store, self.task_id = client, store, task_id
        self.records = RecordReader(store)
        self.rows: list[RoundRow] = []
        self._opened_at: dict[int, float] = {}
        client.poll()
        self.training = TrainingTask.load(store, self.task.params.spec)

    @property
    def task(self) -> TaskHistory:
        """The task so far."""
        return self.client.history.tasks[self.task_id]

    def poll(self) -> tuple[list[RoundHistory], list[RoundRow]]:
        """Rounds that have opened and rounds that have ended since the last call."""
        self.client.poll()
        opened = [self.task.rounds[number] for number in sorted(self.task.rounds) if number not in self._opened_at]
        now = time.monotonic()
        for history in opened:
            self._opened_at[history.number] = now
        return opened, list(self._ended(now))

    def _ended(self, now: float) -> Iterator[RoundRow]:
        for number in range(len(self.rows), len(self.task.rounds)):
            history = self.task.rounds[number]
            if history.open:
                return
            row = self._row(history, now - self._opened_at[number])
            self.rows.append(row)
            yield row

    def _row(self, history: RoundHistory, seconds: float) -> RoundRow:
        final = history.final
        if final is None:
            return RoundRow(history.number, 0, [], {}, None, None, None, seconds, 0, skipped=True)
        record = self.records.read(self.task, history)
        score = self.evaluate(final.checkpoint)
        return RoundRow(
            number=history.number,
            view=final.view,
            accepted=list(record.accepted),
            rejected=dict(record.rejected),
            train_loss=record.train_loss,
            test_loss=score.loss,
            accuracy=score.accuracy,
            seconds=seconds,
            paid_wei=sum(record.earned.values()),
            earned_wei=dict(record.earned),
            checkpoint=raw_cid(final.checkpoint),
            record=raw_cid(final.record),
            transaction=final.transaction,
        )

    def evaluate(self, checkpoint: bytes) -> Evaluation:
        """Loss and accuracy of a checkpoint on the test set."""
        spec = self.training.spec
        parameters = self.training.parameters(checkpoint)
        return evaluate(spec.model.name, spec.model.params, parameters, self.training.dataset.test_batches())

    def gas(self, claims: Sequence[str]) -> Gas:
        """Mean gas of the task's commits and finalized rounds, and of the transactions ``claims``."""
        commits = [c.transaction for r in self.task.rounds.values() for c in r.commits.values()]
        finals = [r.final.transaction for r in self.task.finals if r.final is not None]
        return Gas(self._mean_gas(commits), self._mean_gas(finals), self._mean_gas(claims))

    def _mean_gas(self, transactions: Sequence[str]) -> int:
        receipts = rpc_batch(self.client.web3, [("eth_getTransactionReceipt", [hash_]) for hash_ in transactions])
        used: list[int] = [int(receipt["gasUsed"], 16) for receipt in receipts]
        return round(sum(used) / len(used)) if used else 0

    def sizes(self) -> Sizes:
        """Bytes of a gradient (mean over all final rounds) and of the last checkpoint's parameters."""
        gradients = [
            Submission.from_bytes(self.store.get_manifest(reveal.cid_digest)).size
            for history in self.task.finals
            for reveal in self.records.read(self.task, history).reveals.values()
        ]
        mean = round(sum(gradients) / len(gradients)) if gradients else 0
        return Sizes(gradient=mean, checkpoint=self.training.checkpoint(self.task.checkpoint).size)

    def spec_json(self) -> dict[str, Any]:
        """The task's spec."""
        return self.training.spec.model_dump(mode="json")
