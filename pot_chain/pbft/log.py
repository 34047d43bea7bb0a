"""An append-only log of records that survives a crash at any instruction.

File: header = magic (8), log id (8 random bytes), owner (32), crc32 (4); then records::

    sequence (4)  length (4)  crc32 of the body, chained (4)  crc32 of log id and this header (4)  body (length)

The body's checksum starts from the previous record's, so that records can be neither dropped nor reordered. Only one
record is ever being written when the machine stops, so a *torn tail* is the last thing in the file: it is cut off, and
nothing is lost, because a record that was not durable has had no effect. If a readable record header with a later
sequence number follows the fault, the file is *damaged before its tail* and the log does not open. The random log id
keeps foreign bytes in a body from looking like a header.
"""

from __future__ import annotations

import os
import secrets
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from pot_chain.pbft.errors import LogDamaged, LogLocked, LogWriteFailed

MAX_RECORD_BYTES = 1 << 20
_MAGIC = b"PoTvote1"
_FILE_HEADER = struct.Struct(">8s8s32sI")
_RECORD_HEADER = struct.Struct(">IIII")
_RESTORE_HINT = "restore the log from a copy, or start with a new one: the validator then abstains from all open rounds"


_sync_data = getattr(os, "fdatasync", os.fsync)
"""Makes a file's content and size durable; times can wait."""


class Storage(Protocol):
    """The bytes under a log. Each method that writes returns only when what it wrote is durable."""

    name: str

    def read(self) -> bytes: ...

    def append(self, data: bytes) -> None: ...

    def truncate(self, size: int) -> None: ...

    def replace(self, data: bytes) -> None:
        """Exchange the whole content atomically."""

    def close(self) -> None: ...


class FileStorage:
    """A file, readable by its owner only and locked against other processes as long as it is open.

    Raises:
        LogLocked: another process, or another object in this one, has it open.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._sync_folder()
        except Timeout as error:
            raise LogLocked(
                f"the signing log {path} is in use",
                "another validator process runs with the same state folder: stop it first",
            ) from error
        except OSError as error:
            self._lock.release()
            raise LogWriteFailed(
                f"the signing log {path} cannot be opened: {error.strerror or error}",
                "check the state folder and its permissions",
            ) from error

    def read(self) -> bytes:
        return self._path.read_bytes()

    def append(self, data: bytes) -> None:
        os.lseek(self._file, 0, os.SEEK_END)
        self._write(self._file, data)
        _sync_data(self._file)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)
        os.fsync(self._file)

    def replace(self, data: bytes) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._write(descriptor, data)
            os.fsync(descriptor)
            temporary.replace(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(self._file)
        self._file = descriptor
        self._sync_folder()

    def close(self) -> None:
        if self._file == -1:
            return
        os.close(self._file)
        self._file = -1  # a late write must fail, not land in whatever file gets the number next
        self._lock.release()

    @staticmethod
    def _write(descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def _sync_folder(self) -> None:
        """A new name is durable only when its folder is."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class RecordLog:
    """Records over a ``Storage``.

    Args:
        owner: 32 bytes that name whose log this is; a log of another owner does not open.

    Attributes:
        created: whether there was no log before.
        records: the bodies found at opening, oldest first; the reader may clear the list.

    Raises:
        LogDamaged: damage before the tail, or another owner's log.
    """

    def __init__(self, storage: Storage, owner: bytes) -> None:
        self._storage = storage
        self._owner = owner
        self._failed = False
        self._id = b""
        self._sequence = 0
        self._chain = 0
        self.size = 0
        content = storage.read()
        self.created = not content
        self.records: list[bytes] = [] if self.created else self._load(content)
        if self.created:
            self.rewrite([])

    def append(self, body: bytes) -> None:
        """Make ``body`` durable.

        Raises:
            LogWriteFailed: it is unknown what reached the disk. A failed sync must never be retried (the kernel may
                have dropped the pages), so the log takes nothing more until it is opened again.
        """
        record = self._frame(body)
        self._guarded(lambda: self._storage.append(record))
        self.size += len(record)

    def rewrite(self, bodies: list[bytes]) -> None:
        """Replace all records by ``bodies``, atomically."""
        self._id, self._sequence = secrets.token_bytes(8), 0
        header = _FILE_HEADER.pack(_MAGIC, self._id, self._owner, 0)[:-4]
        self._chain = zlib.crc32(header)
        content = header + self._chain.to_bytes(4, "big") + b"".join(self._frame(body) for body in bodies)
        self._guarded(lambda: self._storage.replace(content))
        self.size = len(content)

    def close(self) -> None:
        """Release the file and its lock."""
        self._storage.close()

    def _guarded(self, write: Callable[[], None]) -> None:
        if self._failed:
            raise LogWriteFailed(f"the signing log {self._storage.name} failed earlier", "restart the validator")
        self._failed = True
        try:
            write()
        except OSError as error:
            raise LogWriteFailed(
                f"the signing log {self._storage.name} could not be written: {error.strerror or error}",
                "free space or repair the disk, then restart the validator",
            ) from error
        self._failed = False

    def _frame(self, body: bytes) -> bytes:
        if len(body) > MAX_RECORD_BYTES:
            raise ValueError(f"a log record has at most {MAX_RECORD_BYTES} bytes, got {len(body)}")
        self._chain = zlib.crc32(body, self._chain)
        fields = struct.pack(">III", self._sequence, len(body), self._chain)
        self._sequence += 1
        return fields + zlib.crc32(fields, zlib.crc32(self._id)).to_bytes(4, "big") + body

    def _load(self, content: bytes) -> list[bytes]:
        if len(content) < _FILE_HEADER.size or content[:8] != _MAGIC:
            raise LogDamaged(f"{self._storage.name} is no signing log", _RESTORE_HINT)
        _, self._id, owner, checksum = _FILE_HEADER.unpack_from(content)
        self._chain = zlib.crc32(content[: _FILE_HEADER.size - 4])
        if checksum != self._chain:
            raise LogDamaged(f"the header of the signing log {self._storage.name} is damaged", _RESTORE_HINT)
        if owner != self._owner:
            raise LogDamaged(
                f"the signing log {self._storage.name} belongs to another key or another deployment",
                "give each validator key and each deployment its own state folder",
            )
        records: list[bytes] = []
        at = _FILE_HEADER.size
        while at < len(content):
            body = self._record_at(content, at)
            if body is None:
                self._cut(content, at)
                break
            records.append(body)
            self._chain = zlib.crc32(body, self._chain)
            self._sequence += 1
            at += _RECORD_HEADER.size + len(body)
        self.size = at
        return records

    def _record_at(self, content: bytes, at: int) -> bytes | None:
        header = self._header_at(content, at)
        if header is None or header[0] != self._sequence:
            return None
        body = content[at + _RECORD_HEADER.size : at + _RECORD_HEADER.size + header[1]]
        return body if len(body) == header[1] and zlib.crc32(body, self._chain) == header[2] else None

    def _header_at(self, content: bytes, at: int) -> tuple[int, int, int] | None:
        """(sequence, length, body checksum) if a sound record header starts at ``at``."""
        if at + _RECORD_HEADER.size > len(content):
            return None
        sequence, length, body_checksum, checksum = _RECORD_HEADER.unpack_from(content, at)
        if checksum != zlib.crc32(content[at : at + 12], zlib.crc32(self._id)):
            return None
        return sequence, length, body_checksum

    def _cut(self, content: bytes, at: int) -> None:
        """Cut a torn tail off; refuse if what follows shows that the fault is not the tail."""
        tail = len(content) - at
        later = tail > MAX_RECORD_BYTES + _RECORD_HEADER.size or any(
            header is not None and header[0] > self._sequence
            for header in (self._header_at(content, place) for place in range(at, len(content)))
        )
        if later:
            raise LogDamaged(
                f"the signing log {self._storage.name} is damaged at byte {at}, before its last record", _RESTORE_HINT
            )
        self._guarded(lambda: self._storage.truncate(at))
