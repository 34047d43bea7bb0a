"""Addresses, digests and their canonical order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from eth_utils import to_canonical_address, to_checksum_address

from pot_chain.protocol.errors import ProtocolError

Address: TypeAlias = str
"""EIP-55 checksummed hex string of 20 bytes."""

Digest: TypeAlias = bytes
"""32 bytes."""

ZERO_ADDRESS: Final[Address] = "0x" + "00" * 20
ZERO_DIGEST: Final[Digest] = bytes(32)

_CACHED: Final = 4096
"""Addresses whose checksum is remembered (under a megabyte)."""


def parse_address(text: object) -> Address:
    """An EIP-55 checksummed address from ``text``; all-lower-case hex is accepted, a wrong checksum is not."""
    if isinstance(text, str) and len(text) == 42 and text.startswith("0x"):
        checksummed = _checksummed(text)
        if checksummed is not None:
            return checksummed
    raise ProtocolError(
        f"not an address: {text!r}", "expected 0x and 40 hex digits; with mixed case the EIP-55 checksum must be right"
    )


@lru_cache(maxsize=_CACHED)
def _checksummed(text: str) -> Address | None:
    """``text`` (42 characters) with its checksum; None if it is no address or has a wrong one.

    A record of a round with 128 members names more than 500 addresses, most of them several times, and is parsed more
    than once: 50 us each would hold up the event loop.
    """
    try:
        checksummed = str(to_checksum_address(text))
    except ValueError:
        return None
    return checksummed if text in (checksummed, text.lower()) else None


def address_bytes(address: Address) -> bytes:
    """The 20 bytes of ``address``."""
    return bytes(to_canonical_address(address))


def canonical_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """``addresses`` ascending by their 20 bytes: the order of members, validators and leaves everywhere."""
    return tuple(sorted(addresses, key=address_bytes))


def hex_digest(digest: Digest) -> str:
    """``digest`` as 0x and 64 hex digits, the spelling used in JSON."""
    return "0x" + digest.hex()


def parse_digest(text: object) -> Digest:
    """32 bytes from 0x and 64 lower-case hex digits."""
    if isinstance(text, str) and len(text) == 66 and text.startswith("0x") and text == text.lower():
        try:
            digest = bytes.fromhex(text[2:])
        except ValueError:
            digest = b""
        if len(digest) == 32:  # fromhex skips white space
            return digest
    raise ProtocolError(f"not a 32-byte digest: {text!r}", "expected 0x and 64 lower-case hex digits")
