"""Named float32 tensors: gradients and parameters, their canonical bytes, and their form as one flat vector.

Canonical order is the order of the sorted names everywhere: in files, in flat vectors, in sums.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from worker import tensorfile
from worker.tensorfile import (
    GradientError,
    Malformed,
    NotFinite,
    TensorSpec,
    TooLarge,
    WrongDtype,
    WrongNames,
    WrongShape,
)

__all__ = [
    "GradientError",
    "Malformed",
    "NotFinite",
    "Shapes",
    "Tensors",
    "TooLarge",
    "WrongDtype",
    "WrongNames",
    "WrongShape",
    "content_digest",
    "decode",
    "element_count",
    "encode",
    "encoded_limit",
    "flatten",
    "require_finite",
    "shapes_of",
    "unflatten",
]

Tensors = Mapping[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


def encode(tensors: Tensors) -> bytes:
    """Canonical safetensors bytes: equal tensors give equal bytes, hence one CID, on every machine and library version.

    Values are written as they are, also NaN and infinities: ``decode`` is where they are refused.

    Raises:
        TypeError: an array that is not float32.
    """
    for name, array in tensors.items():
        if array.dtype.newbyteorder("=") != np.float32:
            raise TypeError(f"tensor {name!r} has dtype {array.dtype}, expected float32")
    return tensorfile.write(tensors)


def decode(data: bytes, expected_shapes: Shapes, max_bytes: int | None = None) -> dict[str, NDArray[np.float32]]:
    """Tensors received from somebody else, in canonical order, checked before they are used.

    Args:
        data: a safetensors file.
        expected_shapes: exactly the tensors that must be there (``worker.models.parameter_shapes``).
        max_bytes: largest file to look at; by default what these shapes can need (``encoded_limit``).

    Raises:
        GradientError: a subclass whose ``reason`` says what is wrong; see ``worker.tensorfile``.
    """
    limit = encoded_limit(expected_shapes) if max_bytes is None else max_bytes
    expected = {name: TensorSpec("F32", tuple(shape)) for name, shape in expected_shapes.items()}
    return tensorfile.read(data, expected, max_bytes=limit)


def encoded_limit(shapes: Shapes) -> int:
    """Most bytes that a file of tensors of these shapes can have: what a receiver needs to fetch at most."""
    return 8 + tensorfile.MAX_HEADER_BYTES + 4 * element_count(shapes)


def shapes_of(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Shape by name, in canonical order."""
    return {name: tensors[name].shape for name in sorted(tensors)}


def element_count(shapes: Shapes) -> int:
    """Number of elements of all tensors together."""
    return sum(math.prod(shape) for shape in shapes.values())


def content_digest(tensors: Tensors) -> bytes:
    """sha2-256 of the canonical bytes (32 bytes): equal if and only if the tensors are, however a file spelled them."""
    return hashlib.sha256(encode(tensors)).digest()


def flatten(tensors: Tensors) -> NDArray[np.float32]:
    """One float32 vector ``[element_count]``: the tensors in canonical order, each row-major. A copy."""
    if not tensors:
        return np.empty(0, dtype=np.float32)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def unflatten(vector: NDArray[np.float32], shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """Inverse of ``flatten``: views into ``vector``, in canonical order.

    Raises:
        WrongShape: the vector has not ``element_count(shapes)`` elements.
    """
    if vector.shape != (element_count(shapes),):
        raise WrongShape(f"a vector of shape {vector.shape} where {element_count(shapes)} elements are needed")
    tensors: dict[str, NDArray[np.float32]] = {}
    offset = 0
    for name in sorted(shapes):
        size = math.prod(shapes[name])
        tensors[name] = vector[offset : offset + size].reshape(shapes[name])
        offset += size
    return tensors


def require_finite(tensors: Tensors) -> None:
    """Raise ``NotFinite``, naming the tensor, if any element is NaN or infinite."""
    for name in sorted(tensors):
        tensorfile.require_finite(name, tensors[name])
