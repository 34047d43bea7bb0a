"""The model: from storage to a file, each byte checked against the chain."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ipfs.store import Store
from pot_chain.chain.history import TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import FileExists, NoSuchRound, OwnerError, RecordMismatch
from pot_chain.owner.tasks import find_task
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.manifests import Checkpoint
from worker.gradient import Evaluation, evaluate
from worker.task import TrainingTask
from worker.tensors import Tensors, encode


@dataclass(frozen=True)
class Model:
    """A checkpoint of a task.

    Attributes:
        rounds: final rounds that are in it; 0 for the initial weights.
        digest: of its manifest, as on chain.
        parameters: float32 by name, in canonical order.
    """

    task: TrainingTask
    task_id: int
    rounds: int
    digest: Digest
    manifest: Checkpoint
    parameters: Tensors

    def evaluate(self) -> Evaluation:
        """Loss and accuracy on the task's test set.

        Raises:
            DataError, IpfsError: the test set cannot be had.
        """
        spec = self.task.spec
        return evaluate(spec.model.name, spec.model.params, self.parameters, self.task.dataset.test_batches())

    def save(self, path: Path, *, overwrite: bool = False) -> int:
        """Write the parameters as a safetensors file, whole or not at all; returns its size in bytes.

        Raises:
            FileExists: ``path`` is there and ``overwrite`` is False.
            OwnerError: it cannot be written.
        """
        data = encode(self.parameters)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(temporary).chmod(0o644)
                _move(Path(temporary), path, overwrite)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise OwnerError(f"cannot write {path}: {error.strerror}", "choose another --output") from error
        return len(data)


def _move(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, a link refuses to replace
    except FileExistsError as error:
        raise FileExists(f"{path} exists", "choose another --output, or overwrite it with --force") from error


def fetch_model(client: ChainClient, store: Store, task_id: int, round_number: int | None = None) -> Model:
    """A model of a task: the latest, or the one that a round led to; ``client`` must be synced.

    Args:
        round_number: a final round.

    Raises:
        TaskNotFound: there is no such task.
        NoSuchRound: the round is not final.
        ProtocolError, GradientError, IpfsError: the content cannot be had, or is not what the chain promises.
    """
    history = find_task(client, task_id)
    digest = _checkpoint(history, round_number)
    rounds = sum(1 for final in history.finals if round_number is None or final.number <= round_number)
    task = TrainingTask.load(store, history.params.spec)
    manifest = task.checkpoint(digest)
    if manifest.round != rounds:
        raise RecordMismatch(
            f"the checkpoint of task {task_id} says that {manifest.round} rounds are in it; on chain it is {rounds}",
            "a quorum of validators has signed this: keep it as evidence and tell the other members",
        )
    return Model(task, task_id, rounds, digest, manifest, task.parameters(digest))


def _checkpoint(history: TaskHistory, round_number: int | None) -> Digest:
    if round_number is None:
        return history.checkpoint
    found = history.rounds.get(round_number)
    if found is None or found.final is None:
        finals = history.finals
        raise NoSuchRound(
            f"task {history.task_id} has no final round {round_number}",
            f"the last final round is {finals[-1].number}" if finals else "no round of it is final yet",
        )
    return found.final.checkpoint
