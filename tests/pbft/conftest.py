"""Clusters whose locks and files are given back after each test, and what this slice of tests has shown.

While the tests of this folder run, branches of the consensus core are traced. The summary tells how many seeds were
simulated, how many mutants were killed, what the explorer saw, and how many branches were taken; a whole run of the
folder fails below ``LEAST_BRANCHES``.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

import pot_chain.pbft as core

from .cluster import Cluster

HERE = Path(__file__).parent
CORE = Path(core.__file__).parent
LEAST_BRANCHES = 95.0
"""Per cent."""
SHOWN = ("seeds simulated", "mutants killed", "forks with f + 1 liars", "states explored")
"""Properties that tests record (``record_property``), in the order in which they are told."""
_tracer: coverage.Coverage | None = None


@pytest.fixture(scope="module", autouse=True)
def traced_core() -> Iterator[None]:
    """Trace the core while a module of this folder runs, unless somebody else traces already."""
    global _tracer
    if coverage.Coverage.current() is not None:
        yield
        return
    if _tracer is None:
        _tracer = coverage.Coverage(data_file=None, branch=True, source=[str(CORE)], omit=[str(CORE / "sim" / "*")])
        _tracer.set_option("run:disable_warnings", ["module-not-measured", "no-data-collected"])
    _tracer.start()
    yield
    _tracer.stop()


def branches() -> tuple[int, int]:
    """Branches of the core that were taken, and all there are."""
    assert _tracer is not None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "coverage.json"
        _tracer.json_report(outfile=str(target))
        totals = json.loads(target.read_text())["totals"]
    return totals["covered_branches"], totals["num_branches"]


def _whole(config: pytest.Config) -> bool:
    """Whether all tests of this folder were asked for."""
    chosen = config.option.keyword or config.option.markexpr or config.option.deselect or config.option.maxfail
    wanted = {Path(argument).resolve() for argument in config.args}
    return not chosen and any(path == HERE or path in HERE.parents for path in wanted)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _tracer is not None and _whole(session.config) and not session.testsfailed:
        taken, total = branches()
        if 100 * taken < LEAST_BRANCHES * total:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _tracer is None:
        return
    shown: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call":
            shown.update({name: int(value) for name, value in report.user_properties if name in SHOWN})
    told = [f"{shown[name]:,} {name}" for name in SHOWN if shown[name]]
    taken, total = branches()
    told.append(f"{taken} of {total} branches of the core ({100 * taken / total:.1f} %, goal {LEAST_BRANCHES:.0f} %)")
    terminalreporter.write_line("consensus: " + ", ".join(told))


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
