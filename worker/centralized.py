"""The yardstick: the same training in one process, as anybody would write it with torch.

On purpose it shares neither the gradient code nor the exact aggregate with the decentralised run: autograd over the
whole batch of all miners in float32 and ``torch.optim.SGD``. What both agree on is then a property of the formula,
not of shared code.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.data import Dataset
from worker.gradient import evaluate
from worker.models import build_model, objective_of
from worker.models.objectives import objective
from worker.tensors import Tensors


@dataclass(frozen=True)
class RoundScore:
    """After round ``round`` (from 0): ``train_loss`` on its batch before the step, ``loss`` and ``accuracy`` on the
    test set.
    """

    round: int
    train_loss: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class CentralizedRun:
    """What came out of it.

    Attributes:
        history: one score a round.
        parameters: the final ones, float32 by name, in canonical order.
        seconds: wall time of the loop. The first optimizer of a process makes torch load its compiler, which takes
            seconds and is
            no training: it is not counted.
    """

    history: list[RoundScore]
    parameters: dict[str, NDArray[np.float32]]
    seconds: float


def train(
    model_name: str,
    model_params: Mapping[str, Any],
    initial_parameters: Tensors,
    batches: Iterable[Sequence[int] | NDArray[np.int64]],
    dataset: Dataset,
    learning_rate: float,
) -> CentralizedRun:
    """Plain SGD, one step a batch.

    Args:
        batches: for each round the sample numbers of all its miners together.

    Raises:
        ModelError, DataError: see ``build_model`` and ``Dataset.batch``.
    """
    model = build_model(model_name, model_params, initial_parameters)
    goal = objective(objective_of(model_name))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    optimizer.zero_grad()
    started = time.perf_counter()
    history = []
    for number, indices in enumerate(batches):
        x, y = dataset.batch(indices)
        optimizer.zero_grad()
        train_loss = 0.0
        terms = goal.losses(model, torch.from_numpy(x), torch.from_numpy(y))
        for term in terms:
            trained = [value for name, value in model.named_parameters() if term.trains(name)]
            term.value.backward(retain_graph=len(terms) > 1, inputs=trained)  # type: ignore[no-untyped-call]
            train_loss += float(term.value.detach())
        optimizer.step()
        current = {name: value.detach().numpy() for name, value in model.named_parameters()}
        score = evaluate(model_name, model_params, current, dataset.test_batches())
        history.append(RoundScore(number, train_loss, score.loss, score.accuracy))
    seconds = time.perf_counter() - started
    parameters = {name: value.detach().numpy().copy() for name, value in sorted(model.named_parameters())}
    return CentralizedRun(history, parameters, seconds)
