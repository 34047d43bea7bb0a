"""The same training in one process, for comparison: same spec, initial weights and samples, plain torch SGD."""

from __future__ import annotations

from dataclasses import dataclass

from pot_chain.chain.history import TaskHistory
from pot_chain.dashboard.model import Centralized, CentralizedRound
from pot_chain.protocol.assignment import assign
from worker.centralized import train
from worker.task import TrainingTask
from worker.tensors import Tensors
from worker.verification.reexecution import relative_distance


@dataclass(frozen=True)
class Reference:
    """The centralised run and how far the decentralised parameters are from its own (relative L2)."""

    run: Centralized
    distance: float


def train_centralized(training: TrainingTask, task: TaskHistory, final: Tensors) -> Reference:
    """Train on the union of all members' samples of every final round; nobody is rejected here.

    Args:
        final: parameters of the decentralised run.
    """
    spec, finals = training.spec, task.finals
    each = spec.training.samples_per_miner
    batches = []
    for history in finals:
        members = task.membership.members(history.number)
        slices = assign(history.seed, members, each, training.dataset.samples)
        batches.append([index for member in members for index in slices[member]])
    run = train(
        spec.model.name,
        spec.model.params,
        training.parameters(task.params.checkpoint),
        batches,
        training.dataset,
        spec.training.learning_rate,
    )
    rounds = [
        CentralizedRound(history.number, score.train_loss, score.loss, score.accuracy)
        for history, score in zip(finals, run.history, strict=True)
    ]
    last = run.history[-1]
    return Reference(
        Centralized(last.accuracy, last.loss, run.seconds, rounds), relative_distance(final, run.parameters)
    )
