"""Scikit-learn's digits: 1,797 images of handwritten digits, 8x8 pixels, 10 classes, shipped inside its wheel.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (test part).
"""

from __future__ import annotations

import numpy as np

from worker.data.sources import ArrayData
from worker.data.split import split

_LARGEST_PIXEL = 16


def load_digits() -> ArrayData:
    """1,438 training and 359 test images, ``[1, 8, 8]``, pixels 0 to 16 scaled to 0 to 1."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    x = (bunch.images / _LARGEST_PIXEL).astype(np.float32)[:, np.newaxis, :, :]
    y = bunch.target.astype(np.int64)
    train, test = split(len(x))
    return ArrayData("digits", x[train], y[train], x[test], y[test], classes=10)
