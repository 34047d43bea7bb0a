"""Calling forge and reading what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.audit.project import AuditError, Finished, environment, run

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
FAILED_TEST = re.compile(r"^\[FAIL[^\n]*?\] (\w+)\(", re.MULTILINE)


@dataclass(frozen=True)
class TestResult:
    """One test as forge reports it."""

    suite: str
    name: str
    passed: bool
    reason: str
    fuzz_runs: int = 0
    calls: int = 0
    reverts: int = 0
    invariant: bool = False
    logs: tuple[str, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """Suite and name as people say them."""
        return f"{self.suite.rpartition(':')[2]}.{self.name.partition('(')[0]}"


@dataclass(frozen=True)
class Report:
    """A whole run: its tests and the time of each suite."""

    tests: list[TestResult]
    suites: dict[str, float]

    @property
    def failures(self) -> list[str]:
        return [f"{test.title}: {test.reason}" for test in self.tests if not test.passed]


def seconds(duration: str) -> float:
    """`1s 20ms 3µs` as a number."""
    return sum(float(value) * UNITS[unit] for value, unit in re.findall(r"(\d+)(h|ms|µs|ns|m|s)\b", duration))


def parse(text: str) -> Report:
    """The output of `forge test --json`."""
    tests: list[TestResult] = []
    suites: dict[str, float] = {}
    for suite, content in json.loads(text).items():
        suites[suite] = seconds(content["duration"])
        for name, result in content["test_results"].items():
            kind: dict[str, Any] = result["kind"] if isinstance(result["kind"], dict) else {}
            invariant = kind.get("Invariant", {})
            tests.append(
                TestResult(
                    suite=suite,
                    name=name,
                    passed=result["status"] == "Success",
                    reason=result["reason"] or result["status"],
                    fuzz_runs=int(kind.get("Fuzz", {}).get("runs", 0)),
                    calls=int(invariant.get("calls", 0)),
                    reverts=int(invariant.get("reverts", 0)),
                    invariant="Invariant" in kind,
                    logs=tuple(result["decoded_logs"]),
                )
            )
    return Report(tests, suites)


def run_tests(
    folder: Path, arguments: Sequence[str] = (), env: Mapping[str, str] | None = None, timeout: float = 3600
) -> Report:
    """`forge test --json` in a project folder."""
    done = run(["forge", "test", "--json", *arguments], cwd=folder, env=environment(**(env or {})), timeout=timeout)
    if done.timed_out:
        raise AuditError(f"forge test did not end within {timeout:.0f} s")
    start = done.output.find("{")
    if start < 0:
        raise AuditError(f"forge test gave no report:\n{done.tail()}")
    return parse(done.output[start:])


def build(folder: Path, env: Mapping[str, str] | None = None, arguments: Sequence[str] = ()) -> None:
    """`forge build`, or an error that shows why not."""
    done = run(["forge", "build", *arguments], cwd=folder, env=environment(**(env or {})))
    if done.code != 0:
        raise AuditError(f"the contracts do not build:\n{done.tail(20)}")


def failed_tests(done: Finished) -> list[str]:
    """The names of the tests that a plain `forge test` shows as failed."""
    return sorted(set(FAILED_TEST.findall(done.output)))
