"""The step that turns an aggregate into the next checkpoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.aggregate.exact import DEFAULT_CHUNK, Aggregate, chunks, require_ieee754
from worker.tensors import Tensors, WrongNames, WrongShape, require_finite


def apply_sgd(
    parameters: Tensors, aggregate: Aggregate, learning_rate: float, *, chunk: int = DEFAULT_CHUNK
) -> dict[str, NDArray[np.float32]]:
    """``theta - learning_rate * aggregate``, computed in float64 and rounded once to float32 (to nearest, ties to
    even).

    Args:
        parameters: float32 by name.
        aggregate: float64 by name, of the same shapes.
        chunk: elements worked on at once; changes no bit of the result.

    Returns:
        New arrays, in canonical order.

    Raises:
        WrongNames, WrongShape: the aggregate is not of these parameters.
        NotFinite: a parameter left the range of float32: the training diverged.
    """
    if parameters.keys() != aggregate.keys():
        raise WrongNames("the aggregate has other tensors than the model")
    require_ieee754()
    rate = np.float64(learning_rate)
    result: dict[str, NDArray[np.float32]] = {}
    for name in sorted(parameters):
        if parameters[name].shape != aggregate[name].shape:
            raise WrongShape(
                f"the aggregate of {name!r} has shape {aggregate[name].shape}, the model {parameters[name].shape}"
            )
        old, step = parameters[name].reshape(-1), aggregate[name].reshape(-1)
        new = np.empty(old.size, dtype=np.float32)
        for part in chunks(old.size, chunk):
            moved = np.subtract(old[part], np.multiply(rate, step[part]), dtype=np.float64)
            with np.errstate(over="ignore"):  # an overflow becomes an infinity, which is refused below
                new[part] = moved.astype(np.float32)
        result[name] = new.reshape(parameters[name].shape)
    require_finite(result)
    return result
