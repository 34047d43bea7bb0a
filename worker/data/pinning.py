"""Publishes a data set: shards and a manifest in the content store."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker import tensorfile
from worker.data.errors import DataError
from worker.data.manifest import DatasetManifest, Shard, shard_payload
from worker.data.sources import ArrayData
from worker.data.store import ContentStore

TARGET_SHARD_BYTES = 1 << 20
"""Small enough that a miner fetches little beside its own samples, large enough for a short manifest."""
MAX_SHARDS = 1024
"""A manifest of so many shards stays well below one block."""


@dataclass(frozen=True)
class PinnedDataset:
    """A published data set; ``cid`` is that of the manifest, one raw block, ``digest`` its 32 bytes."""

    manifest: DatasetManifest
    cid: str
    digest: bytes


def pin_dataset(data: ArrayData, store: ContentStore, *, shard_samples: int | None = None) -> PinnedDataset:
    """Write the shards of ``data`` and its manifest to ``store``.

    The same data give the same CIDs on every machine.

    Args:
        shard_samples: samples of one shard; by default what fits ``TARGET_SHARD_BYTES``, more if that were too many
            shards.

    Raises:
        DataError: a shard or the manifest would exceed its limit.
    """
    features = list(data.x.shape[1:])
    samples = len(data.x) + len(data.x_test)
    if shard_samples is None:
        fitting = TARGET_SHARD_BYTES // shard_payload(1, features)
        shard_samples = max(1, fitting, math.ceil(samples / (MAX_SHARDS - 2)))
    if shard_samples < 1:
        raise DataError(f"shards of {shard_samples} samples", "a shard holds at least one sample")
    shards = math.ceil(len(data.x) / shard_samples) + math.ceil(len(data.x_test) / shard_samples)
    if shards > MAX_SHARDS:
        raise DataError(
            f"{samples} samples in shards of {shard_samples} need {shards} shards, at most {MAX_SHARDS} are allowed",
            "put more samples into a shard",
        )
    manifest = DatasetManifest.checked(
        name=data.name,
        samples=len(data.x),
        test_samples=len(data.x_test),
        features=features,
        classes=data.classes,
        shards=_pin_shards(data.x, data.y, store, shard_samples),
        test_shards=_pin_shards(data.x_test, data.y_test, store, shard_samples),
    )
    encoded = manifest.encode()
    return PinnedDataset(manifest, store.add(encoded), hashlib.sha256(encoded).digest())


def _pin_shards(x: NDArray[np.float32], y: NDArray[np.int64], store: ContentStore, size: int) -> list[Shard]:
    shards = []
    for begin in range(0, len(x), size):
        part_x, part_y = x[begin : begin + size], y[begin : begin + size]
        encoded = tensorfile.write({"x": part_x, "y": part_y})
        shards.append(Shard(cid=store.add(encoded), samples=len(part_x), sha256=hashlib.sha256(encoded).hexdigest()))
    return shards
