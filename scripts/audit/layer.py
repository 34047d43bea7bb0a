"""What a layer is, and how much of it a run wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """How far a run goes."""

    quick: bool
    fuzz_runs: int
    invariant_calls: int
    differential_cases: int
    mutants: int | None
    mutation_seconds: float


FULL = Budget(
    quick=False,
    fuzz_runs=10_000,
    invariant_calls=1_000_000,
    differential_cases=10_000,
    mutants=None,
    mutation_seconds=25 * 60,
)
QUICK = Budget(
    quick=True,
    fuzz_runs=256,
    invariant_calls=20_000,
    differential_cases=300,
    mutants=8,
    mutation_seconds=90,
)


@dataclass(frozen=True)
class Outcome:
    """What a layer covered and what it found wrong; notes are printed but fail nothing."""

    items: int
    covered: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Say = Callable[[str], None]


@dataclass(frozen=True)
class Layer:
    """A named piece of evidence."""

    name: str
    work: Callable[[Budget, Say], Outcome]
