"""What makes an aggregate exact, shared by all rules.

Validators vote on the hash of the aggregate's bytes, so every operation must round alike everywhere. IEEE 754 fixes
the result of +, -, *, /, sqrt, comparisons and conversions of single elements; it fixes nothing about sums whose
order a library chooses (BLAS, ``np.sum``, ``einsum``, anything on a GPU). Rules therefore use element-wise float64
operations in the order of the miners only, one numpy call an operation (separate calls cannot be contracted into a
fused multiply-add).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pot_chain.protocol.errors import PotError
from worker.tensors import Tensors, WrongNames, WrongShape, shapes_of

DEFAULT_CHUNK = 1 << 16
"""Elements of one chunk: 512 KiB in float64, which stays in a core's second-level cache."""

Aggregate = Mapping[str, NDArray[np.float64]]


class AggregationError(PotError):
    """Gradients that cannot be aggregated by the rule asked for, or a machine that cannot do it exactly."""


def require_alike(gradients: Sequence[Tensors]) -> dict[str, tuple[int, ...]]:
    """The common shapes of at least one gradient, in canonical order.

    Raises:
        AggregationError: no gradient.
        WrongNames, WrongShape: they differ from each other.
    """
    if not gradients:
        raise AggregationError("there is no gradient to aggregate", "a round without accepted gradients is skipped")
    shapes = shapes_of(gradients[0])
    for position, gradient in enumerate(gradients):
        other = shapes_of(gradient)
        if other.keys() != shapes.keys():
            raise WrongNames(f"gradient {position} has other tensors than gradient 0")
        if other != shapes:
            raise WrongShape(f"gradient {position} has other shapes than gradient 0")
    return shapes


def chunks(size: int, chunk: int) -> Iterator[slice]:
    """Consecutive slices of at most ``chunk`` elements that cover ``size`` elements."""
    if chunk < 1:
        raise ValueError(f"a chunk of {chunk} elements")
    for begin in range(0, size, chunk):
        yield slice(begin, min(begin + chunk, size))


def require_ieee754() -> None:
    """Refuse to go on where subnormal numbers are flushed to zero.

    Libraries compiled with ``-ffast-math`` switch that on for the whole thread when they are loaded, and
    ``torch.set_flush_denormal`` does; the aggregate would then differ from everybody else's.

    Raises:
        AggregationError: this thread flushes.
    """
    smallest = np.array([np.finfo(np.float32).smallest_subnormal])
    if float((smallest * np.float32(1))[0]) == 0.0 or float(smallest.astype(np.float64)[0]) == 0.0:
        raise AggregationError(
            "this process flushes subnormal floating point numbers to zero, so its aggregate would not be exact",
            "find the library that sets it (one built with -ffast-math, or torch.set_flush_denormal) and unload it",
        )
