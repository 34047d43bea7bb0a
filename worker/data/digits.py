"""Scikit-learn's digits: 1,797 images of handwritten digits, 8x8 pixels, 10 classes, shipped inside its wheel.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (test part),
CC BY 4.0.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from worker.data.errors import DataError
from worker.data.sources import ArrayData
from worker.data.split import split

_FILE = Path("datasets", "data", "digits.csv.gz")
_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
"""Of the unpacked file: 1,797 lines of 64 pixels and a label. A task on digits must mean the same data everywhere."""
_LARGEST_PIXEL = 16


def load_digits() -> ArrayData:
    """1,438 training and 359 test images, ``[1, 8, 8]``, pixels 0 to 16 scaled to 0 to 1.

    Raises:
        DataError: scikit-learn is not installed, or ships other data.
    """
    table = np.loadtxt(_text().splitlines(), delimiter=",", dtype=np.int64)
    x = (table[:, :-1].astype(np.float32) / np.float32(_LARGEST_PIXEL)).reshape(-1, 1, 8, 8)
    y = table[:, -1].copy()
    train, test = split(len(x))
    return ArrayData("digits", x[train], y[train], x[test], y[test], classes=10)


def _text() -> str:
    """The file itself, found without importing scikit-learn: that would take seconds."""
    package = importlib.util.find_spec("sklearn")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / _FILE
        if path.is_file():
            data = gzip.decompress(path.read_bytes())
            if hashlib.sha256(data).hexdigest() == _SHA256:
                return data.decode()
    raise DataError(
        "the digits data set is not in the installed scikit-learn",
        "install it again: pip install --force-reinstall 'scikit-learn>=1.5'",
    )
