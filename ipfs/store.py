"""What a content store does, whichever it is: a Kubo daemon or a folder of blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self

from ipfs.cid import digest_of, raw_cid
from ipfs.errors import TooLarge
from ipfs.unixfs import CHUNK_BYTES

MANIFEST_BYTES: Final = CHUNK_BYTES
"""Largest manifest, bytes: it is one raw block, so that its sha2-256 digest on chain suffices to fetch and check it."""


class Store(ABC):
    """Files named by their CID (see :mod:`ipfs.unixfs` for the layout). Safe for use by several threads.

    Every operation can be repeated without harm, so a caller that crashed in the middle simply does it again.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What keeps the content: ``kubo/<version>`` or ``embedded``."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What :func:`ipfs.open_store` opens this store with; holds no credentials."""

    @abstractmethod
    def add(self, data: bytes, *, pin: bool = True) -> str:
        """Store the file ``data`` and return its CID. The content is not announced to the network.

        Args:
            data: the content.
            pin: keep it until :meth:`unpin`; without a pin the next :meth:`gc` may remove it.

        Raises:
            Unavailable: if the store does not do it.
        """

    @abstractmethod
    def get(self, cid: str, *, max_bytes: int, timeout: float | None = None) -> bytes:
        """The content of the file ``cid``, each block checked against its CID.

        Args:
            cid: raw or dag-pb CID.
            max_bytes: largest content accepted, bytes. Not much more is ever held in memory, whatever the store sends.
            timeout: seconds for the whole fetch; None means the store's own default.

        Raises:
            BadContent: the content is unacceptable wherever it comes from: :class:`InvalidCid`, :class:`InvalidBlock`,
                :class:`TooLarge`.
            Unavailable: it cannot be had here and now: :class:`BlockMissing`, :class:`WrongBytes`, :class:`Timeout`,
                :class:`DaemonDown`, :class:`DaemonError`.
        """

    @abstractmethod
    def has(self, cid: str) -> bool:
        """Whether the whole content is held locally; asks no other node.

        Raises:
            InvalidCid: if ``cid`` is no CID.
            BadContent, Unavailable: if the store cannot tell: the DAG is malformed or damaged, or the daemon is down.
        """

    @abstractmethod
    def size(self, cid: str) -> int:
        """Bytes of content that the verified root block of ``cid`` states; reads that block only.

        Raises:
            BadContent, Unavailable: as :meth:`get`.
        """

    @abstractmethod
    def pin(self, cid: str) -> None:
        """Keep the content of ``cid`` and all its blocks; pinning twice is pinning once.

        What strangers publish should be fetched with :meth:`get` first: a pin has no limit on the size.

        Raises:
            BadContent, Unavailable: the content is not all here and cannot be had, or is no valid DAG. Nothing is
                pinned then.
        """

    @abstractmethod
    def unpin(self, cid: str) -> None:
        """Give the content of ``cid`` up; nothing happens if it is not pinned.

        Raises:
            InvalidCid: if ``cid`` is no CID.
        """

    @abstractmethod
    def pins(self) -> frozenset[str]:
        """The CIDs that are pinned (of the kind this package uses; others in a shared daemon are left out)."""

    @abstractmethod
    def gc(self) -> int:
        """Remove every block that no pin needs; the number of blocks removed.

        On a daemon that is shared with others this removes their unpinned blocks too.
        """

    @abstractmethod
    def close(self) -> None:
        """Release connections; the store can still be used and opens them again."""

    def put_manifest(self, data: bytes) -> bytes:
        """Pin a small document as one raw block and return its 32-byte sha2-256 digest, which is what goes on chain.

        Raises:
            TooLarge: if it has more than :data:`MANIFEST_BYTES`.
            Unavailable: as :meth:`add`.
        """
        if len(data) > MANIFEST_BYTES:
            raise TooLarge(
                f"a manifest of {len(data)} bytes does not fit into one block of {MANIFEST_BYTES}",
                "store the large part as a file and name its CID in the manifest",
            )
        return digest_of(self.add(data))

    def get_manifest(self, digest: bytes, *, max_bytes: int = MANIFEST_BYTES, timeout: float | None = None) -> bytes:
        """The document with the sha2-256 ``digest`` (32 bytes).

        Raises:
            BadContent, Unavailable: as :meth:`get`.
        """
        return self.get(raw_cid(digest), max_bytes=max_bytes, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
