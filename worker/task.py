"""What every role loads of a task: its spec, its data and its checkpoints, all by digest and all verified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ipfs.store import Store
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.manifests import Checkpoint
from pot_chain.protocol.spec import MAX_SPEC_BYTES, TaskSpec
from worker.data import Dataset, fetch_manifest, load_dataset
from worker.models import parameter_shapes, require_fit
from worker.tensors import Shapes, Tensors, decode, encode, encoded_limit


@dataclass(frozen=True)
class TrainingTask:
    """A task's spec and the store that its content is in."""

    spec: TaskSpec
    spec_digest: Digest
    store: Store
    cache_dir: Path | None = None

    @classmethod
    def load(cls, store: Store, spec_digest: Digest, cache_dir: Path | None = None) -> TrainingTask:
        """Fetch and check the spec with ``spec_digest``.

        Raises:
            ProtocolError: the spec or its model's parameters break a rule. Errors of the store pass through.
        """
        spec = TaskSpec.from_bytes(store.get_manifest(spec_digest, max_bytes=MAX_SPEC_BYTES))
        task = cls(spec, spec_digest, store, cache_dir)
        require_fit(
            spec.model.name,
            spec.model.params,
            features=task.dataset.manifest.features,
            classes=task.dataset.manifest.classes,
        )
        return task

    @cached_property
    def shapes(self) -> Shapes:
        """Shape of every parameter by name."""
        return parameter_shapes(self.spec.model.name, self.spec.model.params)

    @cached_property
    def dataset(self) -> Dataset:
        """The samples; shards are fetched when they are needed."""
        if self.spec.data.manifest is None:
            raise ProtocolError("the spec on chain names a built-in dataset instead of a pinned manifest")
        return load_dataset(fetch_manifest(self.spec.data.manifest, self.store), self.store, self.cache_dir)

    def checkpoint(self, digest: Digest) -> Checkpoint:
        """The manifest of the checkpoint ``digest``."""
        checkpoint = Checkpoint.from_bytes(self.store.get_manifest(digest))
        if checkpoint.spec != self.spec_digest:
            raise ProtocolError(f"checkpoint {digest.hex()} belongs to another task spec")
        return checkpoint

    def parameters(self, digest: Digest) -> dict[str, NDArray[np.float32]]:
        """The parameters of the checkpoint ``digest``: float32 by name, in canonical order."""
        data = self.store.get(self.checkpoint(digest).parameters, max_bytes=encoded_limit(self.shapes))
        return decode(data, self.shapes)

    def pin_parameters(self, parameters: Tensors, rounds: int) -> Checkpoint:
        """Pin ``parameters`` as the checkpoint after ``rounds`` rounds; equal parameters give equal digests."""
        checkpoint = make_checkpoint(self.store, self.spec_digest, parameters, rounds)
        self.store.put_manifest(checkpoint.to_bytes())
        return checkpoint


def make_checkpoint(store: Store, spec_digest: Digest, parameters: Tensors, rounds: int) -> Checkpoint:
    """Pin the file of ``parameters`` and return the manifest that names it."""
    data = encode(parameters)
    return Checkpoint(spec_digest, rounds, store.add(data), len(data))
