"""A store without a daemon: a folder of blocks with the same CIDs as Kubo, for one machine.

Layout of the folder::

    blocks/<c>/<cid>   one file a block; <c> is the last but one character of the CID
    pins/<cid>         an empty file for each pinned root
    tmp/               files being written; only ever moved from here
    lock               held while blocks and pins change places

Several processes may use the folder at once. Blocks are written and synced outside the lock, then moved to their places
and pinned inside it, so that a collection never sees a file half there.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock
from filelock import Timeout as LockTimeout

from ipfs.car import read_car, write_car
from ipfs.cid import RAW, Cid
from ipfs.dagpb import MAX_BLOCK_BYTES, Link
from ipfs.errors import BlockMissing, InvalidCar, InvalidCid, StoreError
from ipfs.store import Store
from ipfs.unixfs import Block, blocks_of, file_size, read_file, tree

_LOCK_SECONDS: Final = 60.0
_STALE_SECONDS: Final = 24 * 3600.0


class EmbeddedStore(Store):
    """A :class:`~ipfs.store.Store` in a folder.

    Args:
        folder: made if it does not exist.

    Raises:
        StoreError: if the folder cannot be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self._blocks = self._folder / "blocks"
        self._pins = self._folder / "pins"
        self._tmp = self._folder / "tmp"
        with self._io("open"):
            for path in (self._blocks, self._pins, self._tmp):
                path.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return "embedded"

    @property
    def address(self) -> str:
        return f"embedded:{self._folder}"

    def add(self, data: bytes, *, pin: bool = True) -> str:
        root = self._store(blocks_of(data), pin_last=pin)
        assert root is not None  # even the empty file has a block
        return str(root)

    def get(self, cid: str, *, max_bytes: int, timeout: float | None = None) -> bytes:
        """See :meth:`Store.get <ipfs.store.Store.get>`. A disk needs no time-out: ``timeout`` has no effect."""
        return read_file(Cid.parse(cid), _Source(self._folder, self._read), max_bytes=max_bytes)

    def has(self, cid: str) -> bool:
        try:
            self._complete(Cid.parse(cid))
        except BlockMissing:
            return False
        return True

    def size(self, cid: str) -> int:
        return file_size(Cid.parse(cid), _Source(self._folder, self._read))

    def pin(self, cid: str) -> None:
        root = Cid.parse(cid)
        with self._lock():
            self._complete(root)
            self._write_pins([root])

    def unpin(self, cid: str) -> None:
        path = self._pins / str(Cid.parse(cid))
        with self._lock(), self._io("write"):
            path.unlink(missing_ok=True)
            _sync_folder(self._pins)

    def pins(self) -> frozenset[str]:
        with self._io("read"):
            return frozenset(str(cid) for cid in _cids_in(self._pins))

    def gc(self) -> int:
        """See :meth:`Store.gc <ipfs.store.Store.gc>`. Removes nothing if a pinned file lacks an inner node.

        Raises:
            BlockMissing, WrongBytes, InvalidBlock: if the blocks of a pin cannot be listed.
        """
        removed = 0
        with self._lock(), self._io("collect"):
            kept: set[Cid] = set()
            for root in _cids_in(self._pins):
                kept.update(tree(root, self._read_checked))
            for shard in self._blocks.iterdir():
                for cid in [cid for cid in _cids_in(shard) if cid not in kept]:
                    (shard / str(cid)).unlink(missing_ok=True)
                    removed += 1
            # What a killed process was writing; a live one takes seconds.
            for leftover in self._tmp.glob("*.tmp"):
                with suppress(FileNotFoundError):  # its writer may be removing it right now
                    if leftover.stat().st_mtime < time.time() - _STALE_SECONDS:
                        leftover.unlink()
        return removed

    def close(self) -> None:
        """Nothing is held open."""

    def export_car(self, cids: Sequence[str], path: str | os.PathLike[str]) -> int:
        """Write the files ``cids`` with all their blocks to the CAR archive ``path``; returns its length in bytes.

        The archive appears under its name only when it is complete.

        Raises:
            BlockMissing, WrongBytes, InvalidBlock, InvalidCid: if a file is not completely and soundly here.
            InvalidCar: for no CID or too many.
            StoreError: if the archive cannot be written.
        """
        roots = [Cid.parse(cid) for cid in dict.fromkeys(cids)]
        target = Path(path).expanduser().absolute()
        with self._io("write", target):
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream:
                    written = write_car(stream, roots, self._export(roots))
                    stream.flush()
                    os.fsync(stream.fileno())
                temporary.replace(target)
                _sync_folder(target.parent)
            finally:
                temporary.unlink(missing_ok=True)
        return written

    def import_car(self, path: str | os.PathLike[str], *, pin: bool = True) -> list[str]:
        """Take over the blocks of a CAR archive; returns the CIDs of its roots, pinned unless ``pin`` is False.

        Raises:
            InvalidCar: if it is malformed, lies about a block or lacks blocks of a root; nothing is pinned then.
            StoreError: if it cannot be read.
        """
        source = Path(path).expanduser().absolute()
        with self._io("read", source), source.open("rb") as stream:
            roots, blocks = read_car(stream, str(source))
            self._store(blocks, pin_last=False)
        with self._lock():
            for root in roots:
                try:
                    self._complete(root)
                except BlockMissing as error:
                    raise InvalidCar(f"{source} lacks blocks of its root {root}", "export the archive again") from error
            if pin:
                self._write_pins(roots)
        return [str(root) for root in roots]

    def _export(self, roots: Iterable[Cid]) -> Iterator[Block]:
        written: set[Cid] = set()
        for root in roots:
            for cid in tree(root, self._read_checked):
                if cid not in written:
                    written.add(cid)
                    yield Block(cid, self._read_checked(cid))

    def _path(self, cid: Cid) -> Path:
        name = str(cid)
        return self._blocks / name[-2] / name

    def _read(self, cid: Cid) -> bytes:
        with self._io("read"):
            try:
                with self._path(cid).open("rb") as file:
                    return file.read(MAX_BLOCK_BYTES + 1)
            except FileNotFoundError:
                raise self._missing(cid) from None

    def _missing(self, cid: Cid) -> BlockMissing:
        return BlockMissing(
            f"the block {cid} is not in {self._folder}",
            "fetch it from a node that has it, or import a CAR archive that contains it",
        )

    def _read_checked(self, cid: Cid) -> bytes:
        return cid.check(self._read(cid), str(self._folder))

    def _complete(self, root: Cid) -> None:
        """Raise BlockMissing unless every block of the file is here; leaves are looked for, not read."""
        for cid in tree(root, self._read_checked):
            if cid.codec == RAW and not self._path(cid).is_file():
                raise self._missing(cid)

    def _store(self, blocks: Iterable[Block], *, pin_last: bool) -> Cid | None:
        """Make the blocks durable and, if asked, pin the last one, which is then the root of all; returns its CID."""
        staged: dict[Cid, Path] = {}
        last: Cid | None = None
        try:
            for block in blocks:
                last = block.cid
                if block.cid not in staged:
                    staged[block.cid] = self._stage(block)
            with self._lock(), self._io("write"):
                for cid, temporary in staged.items():
                    self._path(cid).parent.mkdir(exist_ok=True)
                    temporary.replace(self._path(cid))
                for shard in {self._path(cid).parent for cid in staged}:
                    _sync_folder(shard)
                _sync_folder(self._blocks)
                if pin_last and last is not None:
                    self._write_pins([last])
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)
        return last

    def _stage(self, block: Block) -> Path:
        """A temporary file with the block, durable: a link to the block if it is here already, sound."""
        final = self._path(block.cid)
        temporary = self._tmp / f"{secrets.token_hex(16)}.tmp"
        with self._io("write"):
            try:
                if final.stat().st_size == len(block.data) and final.read_bytes() == block.data:
                    os.link(final, temporary)
                    return temporary
            except OSError:
                pass  # not here, just collected, or a file system without links: write it
            with temporary.open("xb") as file:
                file.write(block.data)
                file.flush()
                os.fsync(file.fileno())
        return temporary

    def _write_pins(self, roots: Iterable[Cid]) -> None:
        with self._io("write"):
            for root in roots:
                (self._pins / str(root)).touch()
            _sync_folder(self._pins)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude other threads and processes from changing what is where. Not reentrant."""
        # An instance of its own each time: one shared by threads would let them all in.
        lock = FileLock(self._folder / "lock", timeout=_LOCK_SECONDS, is_singleton=False)
        try:
            with self._io("lock"):
                lock.acquire()
        except LockTimeout:
            raise StoreError(
                f"{self._folder} has been locked by another process for {_LOCK_SECONDS:.0f} s",
                "stop that process, then try again",
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _io(self, verb: str, path: Path | None = None) -> Iterator[None]:
        """Turn what the operating system refuses into a StoreError."""
        try:
            yield
        except LockTimeout:  # an OSError too
            raise
        except OSError as error:
            raise StoreError(
                f"cannot {verb} {path or self._folder}: {error.strerror or error}",
                "check that the path exists, is writable for you and that its disk is not full",
            ) from error


class _Source:
    """The blocks of a folder for :func:`~ipfs.unixfs.read_file`."""

    def __init__(self, folder: Path, read: Callable[[Cid], bytes]) -> None:
        self.name = str(folder)
        self.block = read

    def stream(self, leaves: Sequence[Link], offset: int) -> Iterator[bytes]:
        return iter(())  # nothing is faster than the blocks


def _cids_in(folder: Path) -> Iterator[Cid]:
    """The CIDs that name files in ``folder``; files of others are passed over."""
    for path in folder.iterdir():
        try:
            yield Cid.parse(path.name)
        except InvalidCid:
            continue


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, where the system can (Windows cannot open folders)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
