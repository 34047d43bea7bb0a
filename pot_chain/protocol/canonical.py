"""Canonical JSON: one byte string for one value, so that a document has one digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pot_chain.protocol.errors import ProtocolError


class NotCanonical(ProtocolError):
    """Bytes that are JSON but not the canonical form, or no JSON at all."""


def encode(value: Any) -> bytes:
    """Canonical UTF-8 JSON of ``value``: sorted keys, no white space, shortest round-trip floats.

    Raises:
        ProtocolError: NaN, infinity, or a type that JSON has not.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"a value cannot be written as canonical JSON: {error}") from error


def decode(data: bytes, *, max_bytes: int = 1 << 20) -> Any:
    """Parse canonical JSON; refuses every other spelling of the same value.

    Raises:
        NotCanonical: too long, malformed, duplicate keys, or not byte-identical to ``encode`` of its value.
    """
    if len(data) > max_bytes:
        raise NotCanonical(f"a document of {len(data)} bytes is larger than the {max_bytes} allowed")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        same = encode(value) == data
    except (ValueError, ProtocolError, RecursionError) as error:
        raise NotCanonical(f"not canonical JSON: {error}") from error
    if not same:
        raise NotCanonical(
            "not canonical JSON: keys unsorted or repeated, extra white space, or a number spelled otherwise"
        )
    return value


def digest(data: bytes) -> bytes:
    """sha2-256 of a manifest's bytes: the digest by which chain and IPFS know it."""
    return hashlib.sha256(data).digest()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
