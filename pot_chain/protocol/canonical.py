"""Canonical JSON: one byte string for one value, so that a document has one digest."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from pot_chain.protocol.errors import ProtocolError

MAX_DEPTH: Final = 32
"""Nesting allowed in a document; ours have five levels."""

_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
"""Strings, to be passed over, and brackets."""


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
        NotCanonical: too long, malformed, too deeply nested, duplicate keys, or not byte-identical to ``encode`` of its
            value.
    """
    value = parse(data, max_bytes=max_bytes)
    try:
        same = encode(value) == data
    except ProtocolError as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if not same:
        raise NotCanonical(
            "not canonical JSON: keys unsorted or repeated, extra white space, or a number spelled otherwise"
        )
    return value


def parse(data: bytes, *, max_bytes: int) -> Any:
    """JSON that a stranger wrote, in any spelling; bounded in length and in depth.

    Python's parser recurses in C, and libraries raise the recursion limit for the whole process (web3's do, to
    100,000): without a bound of our own, a frame of brackets would end the process with a segmentation fault.

    Raises:
        NotCanonical: too long, too deeply nested, or no JSON.
    """
    if len(data) > max_bytes:
        raise NotCanonical(f"a document of {len(data)} bytes is larger than the {max_bytes} allowed")
    depth = 0
    for token in _NESTING.finditer(data):
        depth += 1 if token[0] in b"[{" else -1 if token[0] in b"]}" else 0
        if depth > MAX_DEPTH:
            raise NotCanonical(f"a document is nested more than {MAX_DEPTH} deep")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error


def digest(data: bytes) -> bytes:
    """sha2-256 of a manifest's bytes: the digest by which chain and IPFS know it."""
    return hashlib.sha256(data).digest()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
