"""Safetensors files: one byte string for one set of tensors, and a reader that trusts nothing.

The format (https://github.com/huggingface/safetensors#format): a little-endian uint64 header length, a JSON header
``{name: {"data_offsets": [begin, end], "dtype": ..., "shape": [...]}}`` padded with spaces, then the tensors' bytes,
little-endian and row-major, without holes.

Why not the library's writer: what is voted on is a hash of these bytes, and the order of the header's keys, the
layout and the padding are the library's choice, free to change with its version. The format is small enough to fix
all of them here: canonical JSON, padded to a multiple of 8; tensors of the larger element type first, then by name,
so that each is aligned in the file. Reading goes through the library, whose parser is fuzzed and shared by many
users, after the checks that bound its work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import safetensors
from numpy.typing import NDArray

from pot_chain.protocol import canonical
from pot_chain.protocol.errors import PotError

Array = NDArray[Any]

MAX_HEADER_BYTES = 1 << 20
"""Far above what any registered model needs (about 100 bytes a tensor), far below what would hurt."""

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class GradientError(PotError):
    """Received tensors (a gradient, a model's parameters, a shard of data) that cannot be used.

    ``reason`` is the stable snake_case word that goes into a verdict.
    """

    reason: ClassVar[str] = "invalid"


class Malformed(GradientError):
    """Bytes that are no safetensors file."""

    reason = "malformed"


class TooLarge(GradientError):
    """More bytes than the receiver allows, or than the expected tensors can need."""

    reason = "too_large"


class WrongNames(GradientError):
    """Tensors missing, or tensors that nobody asked for."""

    reason = "wrong_names"


class WrongDtype(GradientError):
    """A tensor of another element type than expected."""

    reason = "wrong_dtype"


class WrongShape(GradientError):
    """A tensor of another shape than expected."""

    reason = "wrong_shape"


class NotFinite(GradientError):
    """A tensor that holds NaN or an infinity."""

    reason = "not_finite"


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor must be: ``dtype`` is a safetensors code, ``F32`` or ``I64``."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's data."""
        return _DTYPES[self.dtype].itemsize * math.prod(self.shape)


def write(tensors: Mapping[str, Array]) -> bytes:
    """The canonical safetensors bytes of float32 and int64 arrays; the same on every machine and library version.

    Raises:
        TypeError: an array of another element type (a bug of the caller: nothing is converted silently).
    """
    arrays = {name: _little_endian(name, array) for name, array in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, dict[str, object]] = {}
    offset = 0
    for name in order:
        array = arrays[name]
        header[name] = {
            "data_offsets": [offset, offset + array.nbytes],
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
        }
        offset += array.nbytes
    text = canonical.encode(header)
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(arrays[name].tobytes() for name in order)])


def read(data: bytes, expected: Mapping[str, TensorSpec], *, max_bytes: int) -> dict[str, Array]:
    """The tensors in ``data``, if they are exactly the ``expected`` ones and every float is finite.

    Any valid safetensors file is accepted, not only the canonical one, so that other software can write it. Sizes are
    checked before the header is parsed, names, types and shapes before any array is made. The arrays own their memory.

    Raises:
        TooLarge, Malformed, WrongNames, WrongDtype, WrongShape, NotFinite: see there.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"{len(data):,} bytes of tensors, at most {max_bytes:,} are allowed")
    if len(data) < 8:
        raise Malformed(f"{len(data)} bytes are too few for a safetensors file")
    header_bytes = int.from_bytes(data[:8], "little")
    if header_bytes > MAX_HEADER_BYTES:
        raise TooLarge(f"a safetensors header of {header_bytes:,} bytes, at most {MAX_HEADER_BYTES:,} are allowed")
    if len(data) < 8 + header_bytes:
        raise Malformed(
            f"the safetensors header should have {header_bytes:,} bytes, the file ends after {len(data) - 8:,}"
        )
    try:
        found: dict[str, Any] = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise Malformed(f"no valid safetensors file: {_printable(error)}") from error
    _require_names(found, expected)
    return {name: _checked(name, found[name], expected[name]) for name in sorted(expected)}


def require_finite(name: str, array: Array) -> None:
    """Raise ``NotFinite``, naming the tensor, if a float array holds NaN or an infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise NotFinite(f"tensor {name!r} holds {array.ravel()[bad]} (element {bad})")


def _little_endian(name: str, array: Array) -> Array:
    little = array.dtype.newbyteorder("<")
    if little not in _CODES:
        raise TypeError(f"tensor {name!r} has dtype {array.dtype}, only float32 and int64 can be written")
    return np.ascontiguousarray(array, dtype=little).reshape(array.shape)


def _require_names(found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise WrongNames(f"tensor '{_printable(missing[0])}' is missing ({len(missing)} of {len(expected)} are)")
    if unknown:
        raise WrongNames(f"unexpected tensor '{_printable(unknown[0])}' ({len(unknown)} too many)")


def _checked(name: str, found: Mapping[str, Any], spec: TensorSpec) -> Array:
    if found["dtype"] != spec.dtype:
        raise WrongDtype(f"tensor {name!r} has element type {_printable(found['dtype'])}, expected {spec.dtype}")
    if tuple(found["shape"]) != spec.shape:
        raise WrongShape(f"tensor {name!r} has shape {_printable(found['shape'])}, expected {list(spec.shape)}")
    native = _DTYPES[spec.dtype].newbyteorder("=")
    array = np.frombuffer(found["data"], dtype=_DTYPES[spec.dtype]).astype(native, copy=False).reshape(spec.shape)
    require_finite(name, array)
    return array


def _printable(value: object) -> str:
    """A stranger's text for a message: short, and without control characters that a terminal would obey."""
    text = ascii(str(value))[1:-1]
    return text if len(text) <= 120 else text[:117] + "..."
