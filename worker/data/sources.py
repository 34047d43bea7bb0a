"""Where training data comes from: built-in data sets by name, and folders or files of a user's arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.data.errors import DataError


@dataclass(frozen=True)
class ArrayData:
    """A classification data set in memory.

    ``x``, ``x_test``: float32 ``[n, *features]``, finite; ``y``, ``y_test``: int64 ``[n]``, labels 0 to ``classes`` -
    1.
    """

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: int


def builtin_names() -> list[str]:
    """Names of the data sets that need no file, sorted."""
    return sorted(_BUILTIN)


def load_source(name_or_path: str, *, scale: float = 1.0) -> ArrayData:
    """A built-in data set by its name, or a user's arrays by their path (``worker.data.arrays.load_arrays``).

    Args:
        scale: a user's samples are divided by it; built-in data sets come scaled.

    Raises:
        DataError: neither a built-in name nor a path that holds usable arrays.
    """
    if name_or_path in _BUILTIN:
        return _BUILTIN[name_or_path]()
    path = Path(name_or_path)
    if not path.exists():
        raise DataError(
            f"there is no data set {name_or_path!r}",
            f"give a folder with x.npy and y.npy, an .npz file, or one of: {', '.join(builtin_names())}",
        )
    from worker.data.arrays import load_arrays

    return load_arrays(path, scale=scale)


def _digits() -> ArrayData:
    from worker.data.digits import load_digits

    return load_digits()


_BUILTIN: dict[str, Callable[[], ArrayData]] = {"digits": _digits}
