"""What the data layer needs from storage; ``ipfs`` provides it, tests use a dictionary."""

from __future__ import annotations

from typing import Protocol


class ContentStore(Protocol):
    """Immutable content by CID. The store verifies that what it returns hashes to the CID."""

    def add(self, data: bytes, /) -> str:
        """Store and pin ``data``; returns its CID."""
        ...

    def get(self, cid: str, /, *, max_bytes: int) -> bytes:
        """The content of ``cid``; refuses content of more than ``max_bytes`` bytes."""
        ...
