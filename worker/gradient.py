"""The gradient of a model's loss on a batch, and the model's score on test data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from worker import tensors as tensor_ops
from worker.data import Batch
from worker.models import build_model, micro_batch, objective_of
from worker.models.objectives import objective
from worker.tensors import NotFinite, Tensors


@dataclass(frozen=True)
class Gradient:
    """``tensors``: float32 by parameter name, in canonical order; ``loss``: mean over the batch before the step."""

    tensors: dict[str, NDArray[np.float32]]
    loss: float


@dataclass(frozen=True)
class Evaluation:
    """``loss``: mean over the samples; ``accuracy``: share of right answers, 0 to 1."""

    loss: float
    accuracy: float
    samples: int


def compute_gradient(
    model_name: str,
    model_params: Mapping[str, Any],
    parameters: Tensors,
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    *,
    device: str = "cpu",
) -> Gradient:
    """Gradient of the mean loss over the batch at ``parameters``, in float32.

    The batch goes through the model in micro-batches where it would need more memory than ``worker.models`` allows.

    Same bytes on one machine at the same number of threads; across machines, thread counts and instruction sets they
    differ in the last bits (a relative 1e-6), which is why re-execution compares within a tolerance.

    Args:
        parameters: the checkpoint, float32 by name.
        x: float32 ``[n, *features]``, n at least 1.
        y: int64 ``[n]``.
        device: where torch computes, ``cpu`` or ``cuda``.

    Raises:
        ModelError: unknown model, bad parameters, or weights that are not this model's.
        NotFinite: the training diverged: the loss or the gradient is NaN or infinite.
        ValueError: an empty batch.
    """
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"a batch of {len(x)} samples and {len(y)} labels")
    model = build_model(model_name, model_params, parameters).to(device)
    goal = objective(objective_of(model_name))
    weights = dict(model.named_parameters())
    loss = 0.0
    for part_x, part_y in _micro_batches([(x, y)], micro_batch(model_name, model_params), device):
        share = len(part_x) / len(x)
        terms = goal.losses(model, part_x, part_y)
        for term in terms:
            trained = [value for name, value in weights.items() if term.trains(name)]
            weighted = term.value if share == 1 else term.value * share
            weighted.backward(retain_graph=len(terms) > 1, inputs=trained)  # type: ignore[no-untyped-call]
            loss += share * float(term.value.detach())
    if not np.isfinite(loss):
        raise NotFinite(f"the loss on the batch is {loss}", "the training diverges: lower the task's learning rate")
    result = {name: _gradient_of(weights[name]) for name in sorted(weights)}
    tensor_ops.require_finite(result)
    return Gradient(result, loss)


def _gradient_of(weight: nn.Parameter) -> NDArray[np.float32]:
    """Zero where no loss depends on the weight."""
    gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
    array: NDArray[np.float32] = gradient.cpu().contiguous().numpy()
    return array


def evaluate(
    model_name: str,
    model_params: Mapping[str, Any],
    parameters: Tensors,
    batches: Iterable[Batch],
    *,
    device: str = "cpu",
) -> Evaluation:
    """Mean loss and accuracy of the model over all ``batches`` (``Dataset.test_batches()``, say).

    Raises:
        ModelError: see ``compute_gradient``.
        ValueError: no samples at all.
    """
    model = build_model(model_name, model_params, parameters).to(device)
    score = objective(objective_of(model_name)).score
    loss, correct, samples = 0.0, 0, 0
    with torch.inference_mode():
        for x, y in _micro_batches(batches, micro_batch(model_name, model_params), device):
            part = score(model, x, y)
            loss, correct, samples = loss + part.loss, correct + part.correct, samples + part.samples
    if samples == 0:
        raise ValueError("nothing to evaluate on: no test samples")
    return Evaluation(loss / samples, correct / samples, samples)


def _micro_batches(batches: Iterable[Batch], size: int, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The samples of all batches as tensors on ``device``, at most ``size`` at a time."""
    for x, y in batches:
        for begin in range(0, len(x), size):
            part = slice(begin, begin + size)
            yield torch.tensor(x[part], device=device), torch.tensor(y[part], device=device)
