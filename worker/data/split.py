"""A deterministic split into training and test samples, the same on every machine and library version."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 0.2


def split(samples: int, test_share: float = TEST_SHARE) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training and of the test samples, each in the order of a fixed permutation of ``range(samples)``.

    The permutation sorts the indices by sha256 of their decimal digits: no random generator whose stream could depend
    on a library's version or on the processor. At least one sample goes to each side.

    Raises:
        ValueError: fewer than 2 samples.
    """
    if samples < 2:
        raise ValueError(f"{samples} samples cannot be split")
    order = sorted(range(samples), key=lambda index: hashlib.sha256(str(index).encode()).digest())
    test = min(max(1, round(samples * test_share)), samples - 1)
    return np.array(order[test:], dtype=np.int64), np.array(order[:test], dtype=np.int64)
