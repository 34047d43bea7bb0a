"""Aggregation rules by name, each with the number of Byzantine gradients it can bear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.aggregate.exact import DEFAULT_CHUNK, AggregationError
from worker.aggregate.mean import mean
from worker.tensors import Tensors


class Combine(Protocol):
    """Computes the aggregate of gradients in canonical order, of which at most ``byzantine`` are arbitrary."""

    def __call__(
        self, gradients: Sequence[Tensors], *, byzantine: int, chunk: int
    ) -> dict[str, NDArray[np.float64]]: ...


@dataclass(frozen=True)
class Rule:
    """A rule; ``max_byzantine(n)`` is the largest f for which it holds what it promises with n gradients."""

    name: str
    combine: Combine
    max_byzantine: Callable[[int], int]


def _mean(gradients: Sequence[Tensors], *, byzantine: int, chunk: int) -> dict[str, NDArray[np.float64]]:
    return mean(gradients, chunk=chunk)


_RULES: dict[str, Rule] = {
    # One arbitrary gradient moves the mean anywhere: it is for gradients that have all been verified.
    "mean": Rule("mean", _mean, max_byzantine=lambda n: 0),
}


def rule_names() -> list[str]:
    """Names of the registered rules, sorted."""
    return sorted(_RULES)


def rule(name: str) -> Rule:
    """The rule registered under ``name``.

    Raises:
        AggregationError: there is none.
    """
    try:
        return _RULES[name]
    except KeyError:
        raise AggregationError(
            f"there is no aggregation rule {name!r}", f"rules are: {', '.join(rule_names())}"
        ) from None


def aggregate(
    name: str, gradients: Sequence[Tensors], *, byzantine: int = 0, chunk: int = DEFAULT_CHUNK
) -> dict[str, NDArray[np.float64]]:
    """Aggregate ``gradients`` (in canonical order) by the rule ``name``; float64 by tensor name.

    Args:
        byzantine: f, how many of the gradients may be arbitrary.

    Raises:
        AggregationError: unknown rule, no gradient, or an f that the rule cannot bear with so many gradients.
        WrongNames, WrongShape: the gradients differ from each other.
    """
    found = rule(name)
    bearable = found.max_byzantine(len(gradients))
    if not 0 <= byzantine <= bearable:
        raise AggregationError(
            f"rule {name!r} with {len(gradients)} gradients bears at most {bearable} Byzantine ones, not {byzantine}",
            "lower the assumed number of Byzantine miners, choose a robust rule, or ask for more miners",
        )
    return found.combine(gradients, byzantine=byzantine, chunk=chunk)
