"""Clusters whose locks and files are given back after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import Cluster


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters; arguments are those of ``Cluster`` without its folder."""
    clusters: list[Cluster] = []

    def make(size: int = 4, **options: Any) -> Cluster:
        clusters.append(Cluster(tmp_path / str(len(clusters)), size, **options))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Four validators, all started, nothing delivered yet."""
    made = make_cluster()
    made.start()
    return made
