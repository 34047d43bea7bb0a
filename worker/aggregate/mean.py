"""The arithmetic mean: theta(t+1) = theta(t) - eta * (1/N) * sum of the N gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.aggregate.exact import DEFAULT_CHUNK, chunks, require_alike, require_ieee754
from worker.tensors import Tensors


def mean(gradients: Sequence[Tensors], *, chunk: int = DEFAULT_CHUNK) -> dict[str, NDArray[np.float64]]:
    """``(...((g_0 + g_1) + g_2) + ...) / N`` for each element, in float64.

    Args:
        gradients: float32 by name, in the canonical order of their miners (it decides the rounding). Arrays may be
            memory-mapped:
            beside the result, one chunk of each is touched at a time.
        chunk: elements worked on at once; changes speed, never a bit of the result.

    Returns:
        The mean, float64 by name, in canonical order.

    Raises:
        AggregationError, WrongNames, WrongShape: see ``exact``.
    """
    shapes = require_alike(gradients)
    require_ieee754()
    result: dict[str, NDArray[np.float64]] = {}
    for name, shape in shapes.items():
        flat = [gradient[name].reshape(-1) for gradient in gradients]
        total = np.empty(flat[0].size, dtype=np.float64)
        for part in chunks(total.size, chunk):
            total[part] = flat[0][part]
            for other in flat[1:]:
                np.add(total[part], other[part], out=total[part], dtype=np.float64)
            np.divide(total[part], np.float64(len(gradients)), out=total[part])
        result[name] = total.reshape(shape)
    return result
