"""Try many mutants with several workers, and count."""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from scripts.audit.mutation import argued
from scripts.audit.mutation.bench import Baseline, Bench, Trial, workers
from scripts.audit.mutation.generate import generate
from scripts.audit.mutation.mutants import Mutant
from scripts.audit.project import BUILD, alone

SEED = 0x506F54
GOAL = 0.95


@dataclass
class Campaign:
    """The outcome of a run."""

    generated: int
    trials: list[Trial]
    sources: Mapping[str, str]
    problems: list[str]
    argued: set[Mutant]
    excluded: list[str]
    seconds: float
    counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = Counter(trial.status for trial in self.trials)

    @property
    def survivors(self) -> list[Mutant]:
        """Survivors that nobody has argued away."""
        return [t.mutant for t in self.trials if t.status == "survived" and t.mutant not in self.argued]

    @property
    def counted(self) -> int:
        """Mutants that a test could have killed."""
        return self.counts["killed"] + len(self.survivors)

    @property
    def score(self) -> float:
        """The share of these that tests did kill."""
        return self.counts["killed"] / self.counted if self.counted else 0.0

    def summary(self) -> str:
        """One line for the table."""
        rate = 60 * len(self.trials) / self.seconds if self.seconds else 0.0
        explained = self.counts["survived"] - len(self.survivors)
        return (
            f"{len(self.trials)} of {self.generated} mutants ({rate:.0f}/min): {self.counts['killed']} killed, "
            f"{len(self.survivors)} survived, {explained} argued, {self.counts['equivalent']} same code, "
            f"{self.counts['invalid']} invalid; score {100 * self.score:.1f} %"
        )

    def details(self) -> list[str]:
        """Survivors with their diffs, then what is wrong with the list of argued ones."""
        listed = [f"survived: {mutant.describe(self.sources[mutant.file])}" for mutant in self.survivors]
        return listed + self.problems


def select(mutants: list[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    """A sample that hangs only on the seed, in random order, so that a run cut short is a sample too."""
    shuffled = list(mutants)
    random.Random(seed).shuffle(shuffled)
    return shuffled if sample is None else shuffled[:sample]


def campaign(
    *,
    sample: int | None = None,
    limit: float | None = None,
    files: str = "",
    seed: int = SEED,
    say: Callable[[str], None] = lambda line: None,
) -> Campaign:
    """Try `sample` mutants (all if None) until `limit` seconds have gone by."""
    started = time.monotonic()
    baseline = Baseline()
    benches = [Bench(baseline, f"mutation-{number}") for number in range(workers())]
    try:
        baseline.measure(benches[0].fast)
        if baseline.excluded:
            say(f"not used, they fail without the optimizer: {', '.join(baseline.excluded)}")
        generated = generate(benches[0].compiler, baseline.sources, baseline.mutated)
        chosen = select([mutant for mutant in generated if files in mutant.file], sample, seed)
        trials = _try_all(benches, chosen, started + limit if limit else None, say)
    finally:
        for bench in benches:
            bench.close()
    entries = argued.load()
    return Campaign(
        generated=len(generated),
        trials=trials,
        sources=baseline.sources,
        problems=entries.problems(generated, trials, baseline.sources),
        argued={trial.mutant for trial in trials if entries.covers(trial.mutant, baseline.sources)},
        excluded=baseline.excluded,
        seconds=time.monotonic() - started,
    )


def _try_all(benches: list[Bench], chosen: list[Mutant], end: float | None, say: Callable[[str], None]) -> list[Trial]:
    waiting = iter(chosen)
    trials: list[Trial] = []
    lock = threading.Lock()
    stop = threading.Event()

    def work(bench: Bench) -> None:
        while not stop.is_set():
            with lock:
                mutant = next(waiting, None)
            if mutant is None or (end is not None and time.monotonic() > end):
                return
            try:
                trial = bench.try_mutant(mutant)
            except BaseException:
                stop.set()
                raise
            with lock:
                trials.append(trial)
                if trial.status == "survived":
                    say(f"survived: {mutant.describe(bench.baseline.sources[mutant.file])}")
                if len(trials) % 50 == 0:
                    say(f"{len(trials)} of {len(chosen)} mutants tried")

    with ThreadPoolExecutor(len(benches)) as pool:
        for future in [pool.submit(work, bench) for bench in benches]:
            future.result()
    return trials


def main() -> int:
    """`python -m scripts.audit.mutation.campaign`: mutation testing alone."""
    parser = argparse.ArgumentParser(description="Mutation testing of contracts/src.")
    parser.add_argument("--sample", type=int, help="how many mutants (default: all)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes")
    parser.add_argument("--files", default="", help="only sources whose path contains this")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    with alone():
        done = campaign(
            sample=arguments.sample,
            limit=60 * arguments.minutes if arguments.minutes else None,
            files=arguments.files,
            seed=arguments.seed,
            say=lambda line: print(line, flush=True),
        )
    write_report(done)
    print("\n".join([*done.problems, done.summary()]))
    return 0 if done.counted and done.score >= GOAL and not done.problems else 1


def write_report(done: Campaign) -> None:
    """Every trial in build/audit/mutants.json."""
    rows = [
        {
            "file": trial.mutant.file,
            "line": trial.mutant.line(done.sources[trial.mutant.file]),
            "operator": trial.mutant.operator,
            "change": list(trial.mutant.before_after(done.sources[trial.mutant.file])),
            "status": trial.status,
            "by": trial.by,
        }
        for trial in done.trials
    ]
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "mutants.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
