"""Pins that are given up again unless what they were made for succeeds."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ipfs.errors import IpfsError
from ipfs.store import Store
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.errors import PotError


class Pins:
    """The content store within one undertaking; ``with Pins(store) as pins`` unpins on failure what is new.

    Content that was pinned before stays pinned: another task may need it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: frozenset[str] = frozenset()
        self._added: list[str] = []

    def add(self, data: bytes, /) -> str:
        """Pin ``data`` and return its CID."""
        cid = self._store.add(data)
        self._added.append(cid)
        return cid

    def get(self, cid: str, /, *, max_bytes: int) -> bytes:
        """See ``Store.get``."""
        return self._store.get(cid, max_bytes=max_bytes)

    def put_manifest(self, data: bytes) -> Digest:
        """See ``Store.put_manifest``."""
        from ipfs import raw_cid

        digest = self._store.put_manifest(data)
        self._added.append(raw_cid(digest))
        return digest

    def keep(self) -> None:
        """The undertaking has succeeded, or may yet succeed."""
        self._added.clear()

    def __enter__(self) -> Self:
        self._before = self._store.pins()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, PotError | IpfsError):
            return  # interrupted at an unknown point: content too much is better than content that is missing
        for cid in dict.fromkeys(self._added):
            if cid not in self._before:
                try:
                    self._store.unpin(cid)
                except IpfsError:
                    return  # the store is gone: the error that ended the undertaking says more
