"""A store kept by a Kubo daemon, which is used but not trusted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from ipfs.cid import Cid
from ipfs.dagpb import MAX_BLOCK_BYTES, Link
from ipfs.errors import BlockMissing, DaemonError, InvalidCid, Timeout, Unavailable, WrongBytes
from ipfs.kubo_address import KuboAddress
from ipfs.kubo_rpc import AnswerTooLong, KuboRpc, Refused
from ipfs.store import Store
from ipfs.unixfs import CHUNK_BYTES, LINKS_PER_NODE, file_cid, file_size, read_file

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds allowed for one block or one command."""

_BYTES_PER_SECOND: Final = 1024 * 1024  # slowest daemon for which an upload is waited for
_SMALL_ANSWER: Final = 64 * 1024
_PIN_LIST_BYTES: Final = 64 * 1024 * 1024  # half a million pins
_GC_SECONDS: Final = 600.0
_MISSING: Final = ("could not find", "not found", "context deadline exceeded")


class KuboStore(Store):
    """A :class:`~ipfs.store.Store` behind the RPC of a Kubo daemon. The daemon need not run yet when this is made.

    Args:
        address: ``http://127.0.0.1:5001`` or ``/ip4/127.0.0.1/tcp/5001``.
        timeout: seconds allowed for one block, and for one command.

    Raises:
        InvalidAddress: if the address has another form.
    """

    def __init__(self, address: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._rpc = KuboRpc(KuboAddress.parse(address))
        self._timeout = timeout
        self._name: str | None = None

    @property
    def name(self) -> str:
        """``kubo/<version>``; asks the daemon the first time.

        Raises:
            Unavailable: if it does not answer.
        """
        if self._name is None:
            (answer,) = self._lines("/version", expected=1)
            self._name = f"kubo/{str(answer.get('Version', 'unknown'))[:32]}"
        return self._name

    @property
    def address(self) -> str:
        return self._rpc.url

    def add(self, data: bytes, *, pin: bool = True) -> str:
        """See :meth:`Store.add <ipfs.store.Store.add>`.

        Raises:
            WrongBytes: if the daemon stored something else than was sent.
            Unavailable: if it does not do it.
        """
        data = bytes(data)
        options = {
            "pin": "true" if pin else "false",
            "quieter": "true",
            # The layout of ipfs.unixfs, whatever defaults the daemon is configured with.
            "cid-version": "1",
            "hash": "sha2-256",
            "raw-leaves": "true",
            "chunker": f"size-{CHUNK_BYTES}",
            "max-file-links": str(LINKS_PER_NODE),
            "trickle": "false",
            "inline": "false",
            # A gradient must not be found before it is revealed.
            "fast-provide-root": "false",
        }
        seconds = self._timeout + len(data) / _BYTES_PER_SECOND
        answers = self._rpc.call_json("/add", options=options, data=data, max_bytes=_SMALL_ANSWER, seconds=seconds)
        cid = str(file_cid(data))
        if not answers or answers[-1].get("Hash") != cid:
            raise WrongBytes(
                f"the IPFS daemon at {self._rpc.url} stored something else than {cid}, which was sent",
                "do not use this daemon: check its version and its disk",
            )
        return cid

    def get(self, cid: str, *, max_bytes: int, timeout: float | None = None) -> bytes:
        root = Cid.parse(cid)
        return read_file(root, _Source(self._rpc, root, self._timeout, timeout), max_bytes=max_bytes)

    def has(self, cid: str) -> bool:
        options = {"offline": "true", "progress": "false"}
        try:
            self._lines("/dag/stat", str(Cid.parse(cid)), options=options)
        except Refused as error:
            if _is_missing(error):
                return False
            raise
        return True

    def size(self, cid: str) -> int:
        root = Cid.parse(cid)
        return file_size(root, _Source(self._rpc, root, self._timeout, None))

    def pin(self, cid: str) -> None:
        """See :meth:`Store.pin <ipfs.store.Store.pin>`. The daemon fetches what it lacks, whatever its size."""
        options = {"recursive": "true", "timeout": _daemon_timeout(self._timeout)}
        try:
            self._lines("/pin/add", str(Cid.parse(cid)), options=options)
        except Refused as error:
            if _is_missing(error):
                raise _missing(cid, self._rpc.url, self._timeout) from error
            raise

    def unpin(self, cid: str) -> None:
        try:
            self._lines("/pin/rm", str(Cid.parse(cid)), options={"recursive": "true"})
        except Refused as error:
            if "not pinned" not in error.reason:
                raise

    def pins(self) -> frozenset[str]:
        options = {"type": "recursive", "stream": "true"}
        found = set()
        for line in self._lines("/pin/ls", options=options, max_bytes=_PIN_LIST_BYTES):
            try:
                found.add(str(Cid.parse(line.get("Cid", ""))))
            except InvalidCid:
                continue  # pinned by someone else: a directory of CIDv0, another codec
        return frozenset(found)

    def gc(self) -> int:
        lines = self._lines("/repo/gc", max_bytes=_PIN_LIST_BYTES, seconds=_GC_SECONDS)
        errors = [str(line["Error"]) for line in lines if line.get("Error")]
        if errors:
            raise DaemonError(f"the IPFS daemon at {self._rpc.url} could not collect: {errors[0]}", "see its log")
        return sum(1 for line in lines if "Key" in line)

    def close(self) -> None:
        self._rpc.close()

    def peer_addresses(self) -> list[str]:
        """The multiaddrs, peer id included, at which other daemons can :meth:`connect` to this one."""
        (answer,) = self._lines("/id", expected=1)
        return [str(address) for address in answer.get("Addresses") or ()]

    def connect(self, address: str) -> None:
        """Connect the daemon to a peer, so that each can fetch what the other has.

        Args:
            address: multiaddr with the peer id at its end, one of the peer's :meth:`peer_addresses`.

        Raises:
            Unavailable: if that fails.
        """
        self._lines("/swarm/connect", address, options={"timeout": _daemon_timeout(self._timeout)})

    def _lines(
        self,
        path: str,
        *args: str,
        options: dict[str, str] | None = None,
        max_bytes: int = _SMALL_ANSWER,
        seconds: float | None = None,
        expected: int | None = None,
    ) -> list[dict[str, Any]]:
        seconds = self._timeout if seconds is None else seconds
        lines = self._rpc.call_json(path, *args, options=options, max_bytes=max_bytes, seconds=seconds)
        if expected is not None and len(lines) != expected:
            raise DaemonError(
                f"what answers at {self._rpc.url} is no Kubo daemon: {len(lines)} objects in its answer to {path}",
                "check the address: it has to be that of the RPC API",
            )
        return lines


class _Source:
    """Where :func:`~ipfs.unixfs.read_file` gets the blocks of one file from. It checks none of them; the reader does.

    Inner nodes are fetched as blocks. Leaves come as one stream of content, cut to pieces, because a request for each
    takes three times as long.
    """

    def __init__(self, rpc: KuboRpc, root: Cid, block_seconds: float, timeout: float | None) -> None:
        self._rpc = rpc
        self._root = root
        self._block_seconds = block_seconds
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout

    @property
    def name(self) -> str:
        return f"the IPFS daemon at {self._rpc.url}"

    def block(self, cid: Cid) -> bytes:
        seconds = self._seconds()
        # The daemon has to give up first: then a block that no peer has and a daemon that is stuck are told apart.
        options = {"timeout": _daemon_timeout(seconds)}
        try:
            return self._rpc.call("/block/get", str(cid), options=options, max_bytes=MAX_BLOCK_BYTES, seconds=seconds)
        except AnswerTooLong as error:
            raise WrongBytes(
                f"{self.name} delivered more than the {MAX_BLOCK_BYTES} bytes of a block for {cid}",
                "do not trust this daemon: fetch the content from another one",
            ) from error
        except Refused as error:
            if _is_missing(error):
                raise _missing(str(cid), self._rpc.url, seconds) from error
            raise

    def stream(self, leaves: Sequence[Link], offset: int) -> Iterator[bytes]:
        length = sum(leaf.size for leaf in leaves)
        options = {"offset": str(offset), "length": str(length)}
        # Where this fails, the reader asks for the block it lacks, and that tells why: half of the time is left for it.
        with suppress(Unavailable):
            seconds = self._seconds() / 2
            with self._rpc.stream(
                "/cat", str(self._root), options=options, max_bytes=length, seconds=seconds
            ) as answer:
                for leaf in leaves:
                    piece = answer.take(leaf.size, self._seconds() / 2)
                    if piece is None:
                        return
                    yield piece

    def _seconds(self) -> float:
        """Time for the next block."""
        if self._deadline is None:
            return self._block_seconds
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Timeout(
                f"{self._root} did not arrive from {self.name} within {self._timeout} s",
                "allow more time, or fetch it from a nearer daemon",
            )
        return min(left, self._block_seconds)


def _daemon_timeout(seconds: float) -> str:
    """Kubo's own time-out for a request that we wait ``seconds`` for, as Go writes durations."""
    return f"{max(seconds / 2, seconds - 2):.3f}s"


def _is_missing(error: Refused) -> bool:
    return any(text in error.reason for text in _MISSING)


def _missing(cid: str, url: str, seconds: float) -> BlockMissing:
    return BlockMissing(
        f"the IPFS daemon at {url} found {cid} neither on its disk nor, within {seconds:.1f} s, at a peer",
        "check that a node that has it is running and connected, or allow more time",
    )
