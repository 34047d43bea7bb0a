"""Reads a published data set: only the shards that a batch needs, each verified before it is used."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker import tensorfile
from worker.data.errors import DataError
from worker.data.manifest import MAX_MANIFEST_BYTES, DatasetManifest, Shard, shard_bytes, shard_specs
from worker.data.store import ContentStore

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]

MEMORY_CACHE_BYTES = 256 << 20


def fetch_manifest(cid: str, store: ContentStore) -> DatasetManifest:
    """The manifest at ``cid``, checked.

    Raises:
        DataError: it is no valid manifest. Errors of the store pass through.
    """
    return DatasetManifest.decode(store.get(cid, max_bytes=MAX_MANIFEST_BYTES))


def load_dataset(manifest: DatasetManifest, store: ContentStore, cache_dir: Path | None = None) -> Dataset:
    """A reader of the data set; fetches nothing yet.

    Args:
        cache_dir: folder that keeps shards between runs; several processes may share it. None: memory only.
    """
    return Dataset(manifest, store, cache_dir)


class Dataset:
    """Samples of a published data set by number; safe to use from several threads."""

    def __init__(self, manifest: DatasetManifest, store: ContentStore, cache_dir: Path | None = None) -> None:
        self.manifest = manifest
        self._store = store
        self._cache_dir = cache_dir
        self._ends = np.array(list(accumulate(shard.samples for shard in manifest.shards)), dtype=np.int64)
        self._memory: OrderedDict[str, Batch] = OrderedDict()
        self._memory_bytes = 0
        self._lock = threading.Lock()

    @property
    def samples(self) -> int:
        """Number of training samples."""
        return self.manifest.samples

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """The training samples numbered ``indices``, in that order: x float32 ``[n, *features]``, y int64 ``[n]``.

        Raises:
            IndexError: a number outside 0 to ``samples`` - 1.
            DataError: a shard is not what the manifest promises. Errors of the store pass through.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.samples):
            raise IndexError(f"sample numbers run from 0 to {self.samples - 1}")
        x = np.empty((len(wanted), *self.manifest.features), dtype=np.float32)
        y = np.empty(len(wanted), dtype=np.int64)
        owner = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(owner):
            shard = self.manifest.shards[number]
            shard_x, shard_y = self._shard(shard)
            places = np.flatnonzero(owner == number)
            inside = wanted[places] - (self._ends[number] - shard.samples)
            x[places], y[places] = shard_x[inside], shard_y[inside]
        return x, y

    def test_batches(self, size: int = 1024) -> Iterator[Batch]:
        """All test samples in order, at most ``size`` at a time, one shard in memory.

        Raises:
            DataError: a shard is not what the manifest promises. Errors of the store pass through.
        """
        for shard in self.manifest.test_shards:
            x, y = self._shard(shard)
            for begin in range(0, len(y), size):
                yield x[begin : begin + size], y[begin : begin + size]

    def _shard(self, shard: Shard) -> Batch:
        with self._lock:
            if shard.cid in self._memory:
                self._memory.move_to_end(shard.cid)
                return self._memory[shard.cid]
            x, y = self._decoded(shard, self._bytes_of(shard))
            self._memory[shard.cid] = x, y
            self._memory_bytes += x.nbytes + y.nbytes
            while self._memory_bytes > MEMORY_CACHE_BYTES and len(self._memory) > 1:
                _, (old_x, old_y) = self._memory.popitem(last=False)
                self._memory_bytes -= old_x.nbytes + old_y.nbytes
            return x, y

    def _bytes_of(self, shard: Shard) -> bytes:
        # Without a sha256 a cached file could not be checked, and an unchecked file is never used.
        if self._cache_dir is None or shard.sha256 is None:
            return self._fetched(shard)
        cached = self._cache_dir / shard.cid
        with _explained(self._cache_dir):
            data = cached.read_bytes() if cached.exists() else b""
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            data = self._fetched(shard)
            with _explained(self._cache_dir):
                _write_whole(cached, data)
        return data

    def _fetched(self, shard: Shard) -> bytes:
        data = self._store.get(shard.cid, max_bytes=shard_bytes(shard.samples, self.manifest.features))
        if shard.sha256 is not None and hashlib.sha256(data).hexdigest() != shard.sha256:
            raise self._bad(shard, "its sha256 is not the one in the manifest")
        return data

    def _decoded(self, shard: Shard, data: bytes) -> Batch:
        features = self.manifest.features
        try:
            found = tensorfile.read(
                data, shard_specs(shard.samples, features), max_bytes=shard_bytes(shard.samples, features)
            )
        except tensorfile.GradientError as error:
            raise self._bad(shard, error.message) from error
        x, y = found["x"], found["y"]
        if y.min() < 0 or y.max() >= self.manifest.classes:
            raise self._bad(shard, f"labels run from {y.min()} to {y.max()}, not 0 to {self.manifest.classes - 1}")
        return x, y

    def _bad(self, shard: Shard, cause: str) -> DataError:
        return DataError(
            f"shard {shard.cid} of data set {self.manifest.name!r}: {cause}",
            "the data set was published wrongly: its owner must publish it again with `pot data add`",
        )


@contextmanager
def _explained(cache_dir: Path) -> Iterator[None]:
    """What the operating system says about the cache, as a ``DataError``."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the data cache {cache_dir} cannot be used: {error.strerror or error}",
            "make the folder writable and its disk not full, or choose another folder",
        ) from error


def _write_whole(path: Path, data: bytes) -> None:
    """Write so that a reader in another process sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".shard-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
