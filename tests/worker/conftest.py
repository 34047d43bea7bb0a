"""The digits data set, published in a real (embedded) store and read back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ipfs.embedded import EmbeddedStore
from worker.data import Dataset, fetch_manifest, load_dataset, load_source, pin_dataset
from worker.models import initial_parameters
from worker.runtime import configure_torch

configure_torch()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture(scope="session")
def digits(store: EmbeddedStore) -> Dataset:
    pinned = pin_dataset(load_source("digits"), store, shard_samples=256)
    return load_dataset(fetch_manifest(pinned.cid, store), store)


@pytest.fixture(scope="session")
def mlp() -> dict[str, object]:
    return {"inputs": 64, "hidden": [32], "classes": 10}


@pytest.fixture(scope="session")
def weights(mlp: dict[str, object]) -> dict[str, NDArray[np.float32]]:
    return initial_parameters("mlp", mlp, seed=7)
