"""Runs many seeds on several processes and adds up what they show."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from pot_chain.pbft.sim.build import GENUINE, Build
from pot_chain.pbft.sim.scenario import SIZES, draw
from pot_chain.pbft.sim.world import Result, World

_CHUNK = 20
_TWICE_EVERY = 50
"""Every so many seeds one is run twice, to see that it replays exactly."""


class SeedLeftOut(Exception):
    """A seed that was asked for was not run: failing seeds are fixed, never excluded."""


@dataclass
class Report:
    """Sums over a campaign; ``failures`` holds the results with a violation."""

    seeds: int = 0
    seconds: float = 0.0
    events: int = 0
    messages: int = 0
    certificates: int = 0
    replayed: int = 0
    failures: list[Result] = field(default_factory=list)
    views: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.events += result.events
        self.messages += result.messages
        self.certificates += len(result.certificates)
        self.views[result.max_view] += 1
        self.counts.update(result.counts)
        if result.violation is not None:
            self.failures.append(result)


@dataclass(frozen=True)
class Campaign:
    """``seeds`` under ``build``.

    Attributes:
        sizes: epoch sizes to choose from.
        liars: Byzantine validators, None for what each seed draws.
        jobs: processes; 1 runs in this one.
        stop_at_failure: whether one violation is enough.
    """

    seeds: Sequence[int]
    build: Build = GENUINE
    sizes: tuple[int, ...] = SIZES
    liars: int | None = None
    jobs: int = 1
    stop_at_failure: bool = False

    def run(self) -> Report:
        """Run all seeds.

        Raises:
            SeedLeftOut: fewer or other seeds ran than were asked for.
        """
        report = Report()
        started = time.perf_counter()
        ran: list[int] = []
        for result in self._results():
            report.add(result)
            ran.append(result.seed)
            if result.violation is not None and self.stop_at_failure:
                break
        else:
            if sorted(ran) != sorted(self.seeds):
                raise SeedLeftOut(f"{sorted(set(self.seeds) - set(ran))} were asked for and did not run")
        report.seconds = time.perf_counter() - started
        report.replayed = sum(seed % _TWICE_EVERY == 0 for seed in ran)
        return report

    def todo(self) -> Iterable[int]:
        """The seeds to run, in order."""
        return self.seeds

    def _results(self) -> Iterator[Result]:
        seeds = list(self.todo())
        if self.jobs == 1:
            for seed in seeds:
                yield self._play(seed)
            return
        chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
        with ProcessPoolExecutor(self.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                for results in pool.map(self._play_all, chunks):
                    yield from results
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _play_all(self, seeds: list[int]) -> list[Result]:
        return [self._play(seed) for seed in seeds]

    def _play(self, seed: int) -> Result:
        scenario = draw(seed, sizes=self.sizes, liars=self.liars)
        result = World(scenario, self.build).run()
        if seed % _TWICE_EVERY == 0:
            again = World(scenario, self.build).run().trace_hash
            if again != result.trace_hash:
                raise RuntimeError(f"seed {seed} does not replay: {result.trace_hash}, then {again}")
        return result


def processors() -> int:
    """Processes that this machine can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
