"""What a model is trained for: its losses and the figures by which it is judged.

An objective returns one or more loss terms, each with the parameters it trains, so that models with several losses (a
generator and its discriminator) fit the same gradient code as a classifier with its single cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.models.validation import ModelError


@dataclass(frozen=True)
class LossTerm:
    """One loss: ``value`` is a scalar, the mean over the batch; ``parameters`` names what it trains (None:
    everything).
    """

    value: Tensor
    parameters: frozenset[str] | None = None

    def trains(self, name: str) -> bool:
        """Whether the parameter ``name`` follows this loss."""
        return self.parameters is None or name in self.parameters


@dataclass(frozen=True)
class Score:
    """Sums over ``samples`` samples, so that the scores of several batches add up."""

    loss: float
    correct: int
    samples: int


class Objective(Protocol):
    """Losses and scores of one kind of training."""

    def losses(self, model: nn.Module, x: Tensor, y: Tensor) -> Sequence[LossTerm]:
        """Loss terms on a batch: x float32 ``[n, *features]``, y int64 ``[n]``."""
        ...

    def score(self, model: nn.Module, x: Tensor, y: Tensor) -> Score:
        """Sum of the losses and number of right answers on a batch; called without gradient tracking."""
        ...


class Classification:
    """Softmax cross-entropy of the model's outputs, read as logits, against the label."""

    def losses(self, model: nn.Module, x: Tensor, y: Tensor) -> Sequence[LossTerm]:
        """One term over all parameters."""
        return [LossTerm(functional.cross_entropy(model(x), y))]

    def score(self, model: nn.Module, x: Tensor, y: Tensor) -> Score:
        """Sum of the cross-entropies (accumulated in float64) and number of samples whose largest logit is their
        label's.
        """
        logits = model(x)
        losses = functional.cross_entropy(logits, y, reduction="none")
        return Score(
            loss=float(losses.sum(dtype=torch.float64)),
            correct=int((logits.argmax(dim=1) == y).sum()),
            samples=len(y),
        )


_OBJECTIVES: dict[str, Objective] = {"classification": Classification()}


def objective(name: str) -> Objective:
    """The objective registered under ``name``.

    Raises:
        ModelError: there is none.
    """
    try:
        return _OBJECTIVES[name]
    except KeyError:
        raise ModelError(
            f"there is no training objective {name!r}", f"objectives are: {', '.join(sorted(_OBJECTIVES))}"
        ) from None
