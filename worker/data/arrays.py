"""A user's own arrays: a folder with ``x.npy`` and ``y.npy``, or one ``.npz`` file with ``x`` and ``y``.

``x_test`` and ``y_test`` beside them are the test set; without them a fifth of the samples is set aside. Nothing is
ever unpickled.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.data.errors import DataError
from worker.data.manifest import MAX_CLASSES, MAX_FEATURE_DIMENSIONS, MAX_NAME
from worker.data.sources import ArrayData
from worker.data.split import split

_EXPECTED = (
    "expected x.npy (numbers, [samples, ...features]) and y.npy (integer labels, [samples]), optionally x_test.npy and "
    "y_test.npy; or one .npz file with arrays of these names"
)
_NAMES = ("x", "y", "x_test", "y_test")
_PIECE_ELEMENTS = 1 << 20
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def load_arrays(path: Path, *, scale: float = 1.0) -> ArrayData:
    """The data set in the folder or ``.npz`` file at ``path``.

    Args:
        scale: samples are divided by it (255 for 8-bit images).

    Raises:
        DataError: files missing, pickled, of wrong types or shapes, of different lengths, or with values that are not
            finite; the message names the array.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise DataError(f"scale is {scale}", "give a positive number by which the samples are divided")
    found = _read(path)
    x, y = _samples("x", found["x"], scale), _labels("y", found["y"])
    _require_same_length("x", x, "y", y)
    if "x_test" in found:
        x_test, y_test = _samples("x_test", found["x_test"], scale), _labels("y_test", found["y_test"])
        _require_same_length("x_test", x_test, "y_test", y_test)
        if x_test.shape[1:] != x.shape[1:]:
            raise DataError(
                f"samples of x have shape {list(x.shape[1:])}, samples of x_test {list(x_test.shape[1:])}", _EXPECTED
            )
    else:
        if len(x) < 2:
            raise DataError(
                "one sample cannot be split into training and test data", "add samples, or x_test and y_test"
            )
        train, test = split(len(x))
        x, y, x_test, y_test = x[train], y[train], x[test], y[test]
    classes = int(max(y.max(), y_test.max())) + 1
    if classes < 2:
        raise DataError("all labels are 0: there is nothing to tell apart", "labels are integers from 0 to classes - 1")
    return ArrayData(_name_of(path), x, y, x_test, y_test, classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if path.is_dir():
        archives = sorted(path.glob("*.npz"))
        if (path / "x.npy").is_file() or len(archives) != 1:
            return _require_pairs(path, {n: _load(path / f"{n}.npy") for n in _NAMES if (path / f"{n}.npy").is_file()})
        path = archives[0]
    if path.suffix != ".npz":
        raise DataError(f"{path} is neither a folder nor an .npz file", _EXPECTED)
    return _require_pairs(path, _load_archive(path))


def _require_pairs(path: Path, found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    for name in ("x", "y"):
        if name not in found:
            raise DataError(f"{path} has no array {name!r}", _EXPECTED)
    if ("x_test" in found) != ("y_test" in found):
        raise DataError(
            f"{path} has only one of x_test and y_test", "give both, or neither to have a test set split off"
        )
    return found


def _load(path: Path) -> NDArray[Any]:
    loaded = _opened(path)
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{path} is an archive, not one NumPy array", _EXPECTED)
    return loaded


def _load_archive(path: Path) -> dict[str, NDArray[Any]]:
    archive = _opened(path)
    if isinstance(archive, np.ndarray):
        raise DataError(f"{path} is one NumPy array, not an archive", _EXPECTED)
    with archive, _explained(path):
        return {name: archive[name] for name in _NAMES if name in archive.files}


def _opened(path: Path) -> Any:
    with _explained(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Every way in which NumPy says that a file is damaged, cut short, pickled or unreadable, as a ``DataError``."""
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)}", _EXPECTED) from error


def _samples(name: str, array: NDArray[Any], scale: float) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiub":
        raise DataError(f"array {name!r} holds {array.dtype}, not real numbers", _EXPECTED)
    if not 2 <= array.ndim <= 1 + MAX_FEATURE_DIMENSIONS or array.size == 0:
        raise DataError(
            f"array {name!r} has shape {list(array.shape)}",
            f"samples go along the first axis, followed by 1 to {MAX_FEATURE_DIMENSIONS} axes of features, none empty",
        )
    result = np.empty(array.shape, dtype=np.float32)
    # In pieces: a copy of the whole in float64 would need eight times the memory of 8-bit images.
    step = max(1, _PIECE_ELEMENTS * len(array) // array.size)
    for begin in range(0, len(array), step):
        wide = array[begin : begin + step].astype(np.float64) / scale
        bad = np.argwhere(~(np.abs(wide) <= _FLOAT32_MAX))
        if bad.size:
            raise DataError(
                f"array {name!r} holds {wide[tuple(bad[0])]} in sample {begin + bad[0][0]}",
                "remove NaN, infinite and huge values before training on the data",
            )
        result[begin : begin + step] = wide
    return result


def _labels(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "iub" or array.ndim != 1 or array.size == 0:
        raise DataError(
            f"array {name!r} holds {array.dtype} of shape {list(array.shape)}",
            "labels are a non-empty one-dimensional array of integers from 0 to classes - 1",
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(
            f"labels in {name!r} run from {low} to {high}", f"labels run from 0 to at most {MAX_CLASSES - 1}"
        )
    return array.astype(np.int64)


def _require_same_length(x_name: str, x: NDArray[Any], y_name: str, y: NDArray[Any]) -> None:
    if len(x) != len(y):
        raise DataError(f"{x_name!r} has {len(x)} samples, {y_name!r} has {len(y)} labels", "give one label a sample")


def _name_of(path: Path) -> str:
    """A name for the manifest: the file's or folder's, reduced to the characters that a manifest allows."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", path.resolve().stem.lower()).strip("-._")[:MAX_NAME].strip("-._")
    return name or "data"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
