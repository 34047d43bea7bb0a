"""Where mutants are tried.

Two ways, the fast one first. Fast: forge links the tests dynamically, so a test deploys what lies in the artifact of a
contract; a mutant is compiled alone, by a compiler that stays loaded, and put into the artifacts, and nothing is built.
Full: the mutated source stands in a copy of the project and forge builds and runs everything, which also reaches tests
that carry a library or a base contract in their own code.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.audit import forge
from scripts.audit.compiler import Compiler, errors_of
from scripts.audit.copies import closure, make_copy, write
from scripts.audit.mutation.mutants import Mutant
from scripts.audit.project import TESTS, AuditError, environment, run, source_files

CHEAP_SECONDS = 0.6
TIME_OUT = 120.0
# fewer runs than foundry.toml asks for: the survivors meet the full number
FAST_RUNS = {"FOUNDRY_FUZZ_RUNS": "32", "FOUNDRY_INVARIANT_RUNS": "2", "FOUNDRY_INVARIANT_DEPTH": "64"}

Code = dict[str, Any]
Contracts = dict[tuple[str, str], Code]


@dataclass(frozen=True)
class Trial:
    """What became of a mutant: `invalid`, `equivalent`, `killed` or `survived`."""

    mutant: Mutant
    status: str
    by: str = ""


class Baseline:
    """The sources as they are, how they compile and which suites test them; shared by all workers."""

    def __init__(self) -> None:
        files = source_files()
        self.mutated = [path.as_posix() for path in files]
        self.sources = closure(files)
        self.users = {file: [user for user in self.mutated if file in closure([Path(user)])] for file in self.mutated}
        with Compiler() as compiler:
            # without the optimizer a mutant compiles three times as fast; code that needs it gets it
            self.optimizer = bool(errors_of(self.compile(compiler, self.mutated, {}, optimizer=False)))
            self.plain = contracts(self.compile(compiler, self.mutated, {}, optimizer=self.optimizer))
            self.optimized = contracts(self.compile(compiler, self.mutated, {}, optimizer=True))
        self.suites: dict[str, float] = {}
        self.excluded: list[str] = []
        self.kills: dict[tuple[str, str], int] = defaultdict(int)
        self.lock = threading.Lock()

    def compile(
        self, compiler: Compiler, wanted: list[str], changed: Mapping[str, str], *, optimizer: bool
    ) -> dict[str, Any]:
        outputs = {path: ["evm.bytecode", "evm.deployedBytecode"] for path in wanted}
        return compiler.compile({**self.sources, **changed}, outputs, optimizer=optimizer, metadata=False)

    def settings(self) -> dict[str, str]:
        """How forge runs in the copies."""
        return {
            "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
            "FOUNDRY_OPTIMIZER": str(self.optimizer).lower(),
            # unoptimized code may be larger than a chain would take
            "FOUNDRY_CODE_SIZE_LIMIT": "1000000",
        }

    def measure(self, folder: Path) -> None:
        """Run the unchanged tests once: their times, and those that fail without the optimizer."""
        report = forge.run_tests(folder, ["-j", "1"], {**self.settings(), **FAST_RUNS})
        self.suites = {name.rpartition(":")[2]: took for name, took in report.suites.items()}
        self.excluded = sorted({test.name.partition("(")[0] for test in report.tests if not test.passed})
        if len(self.excluded) * 20 > len(report.tests) or not report.tests:
            raise AuditError(f"{len(self.excluded)} of {len(report.tests)} tests fail before any mutation")

    def order(self, file: str) -> tuple[list[str], list[str]]:
        """The suites to try first for a mutant of `file` (cheap or deadly so far), and the rest."""
        with self.lock:
            ranked = sorted(
                self.suites,
                key=lambda suite: (-self.kills[file, suite] / (self.suites[suite] + 0.1), self.suites[suite]),
            )
        first: list[str] = []
        spent = 0.0
        for suite in ranked:
            spent += self.suites[suite]
            if first and spent > CHEAP_SECONDS:
                break
            first.append(suite)
        return first, ranked[len(first) :]

    def record(self, file: str, suite: str) -> None:
        with self.lock:
            self.kills[file, suite] += 1


def contracts(output: Mapping[str, Any]) -> Contracts:
    """Everything with code in a compiler output."""
    return {
        (path, name): content["evm"]
        for path, named in output.get("contracts", {}).items()
        for name, content in named.items()
        if content["evm"]["bytecode"]["object"]
    }


def same(left: Contracts, right: Contracts) -> bool:
    """Whether no contract's code differs."""
    return all(left[key]["bytecode"]["object"] == code["bytecode"]["object"] for key, code in right.items())


class Bench:
    """One worker's compiler and copies."""

    def __init__(self, baseline: Baseline, name: str) -> None:
        self.baseline = baseline
        self.compiler = Compiler()
        self.name = name
        self.fast = self._copy(f"{name}-fast")
        self.full: Path | None = None
        self.env = baseline.settings()
        self.artifacts = {key: path for path in self._artifact_files() if (key := target_of(path)) in baseline.plain}
        self.originals = {key: path.read_text() for key, path in self.artifacts.items()}
        missing = set(baseline.plain) - set(self.artifacts)
        if missing:
            raise AuditError(f"no artifact of {sorted(missing)[0]}")

    def _artifact_files(self) -> list[Path]:
        return [
            path for path in (self.fast / "build/forge-test/out").rglob("*.json") if path.parent.name.endswith(".sol")
        ]

    def _copy(self, name: str) -> Path:
        folder = make_copy(name, [*source_files(), *source_files(TESTS)])
        # artifacts of an interrupted run may still hold a mutant
        shutil.rmtree(folder / "build", ignore_errors=True)
        forge.build(folder, self.baseline.settings())
        return folder

    def close(self) -> None:
        self.compiler.close()

    def try_mutant(self, mutant: Mutant) -> Trial:
        """Compile it, and run tests until one fails."""
        baseline = self.baseline
        changed = {mutant.file: mutant.apply(baseline.sources[mutant.file])}
        wanted = baseline.users[mutant.file]
        output = baseline.compile(self.compiler, wanted, changed, optimizer=baseline.optimizer)
        if errors_of(output):
            return Trial(mutant, "invalid")
        code = contracts(output)
        if same(baseline.plain, code):
            return Trial(mutant, "equivalent", "same bytecode")
        if by := self._run_fast(mutant, code):
            return Trial(mutant, "killed", by)
        if same(baseline.optimized, contracts(baseline.compile(self.compiler, wanted, changed, optimizer=True))):
            return Trial(mutant, "equivalent", "same bytecode when optimized")
        return self._run_full(mutant, changed[mutant.file])

    def _run_fast(self, mutant: Mutant, code: Contracts) -> str:
        try:
            for key, evm in code.items():
                artifact = json.loads(self.originals[key])
                for part in ("bytecode", "deployedBytecode"):
                    artifact[part]["object"] = "0x" + evm[part]["object"]
                    artifact[part]["linkReferences"] = evm[part]["linkReferences"]
                self.artifacts[key].write_text(json.dumps(artifact))
            for suites in self.baseline.order(mutant.file):
                if suites and (
                    by := self._tests(self.fast, FAST_RUNS, ["--match-contract", f"^({'|'.join(suites)})$"])
                ):
                    self.baseline.record(mutant.file, by.partition(".")[0])
                    return by
        finally:
            for key in code:
                self.artifacts[key].write_text(self.originals[key])
        return ""

    def _run_full(self, mutant: Mutant, text: str) -> Trial:
        if self.full is None:
            self.full = self._copy(f"{self.name}-full")
        path = self.full / mutant.file
        try:
            write(path, text)
            done = run(["forge", "build"], cwd=self.full, env=environment(**self.env))
            if done.code != 0:
                return Trial(mutant, "invalid", "the tests do not compile with it")
            by = self._tests(self.full, {}, [])
        finally:
            write(path, self.baseline.sources[mutant.file])
        return Trial(mutant, "killed" if by else "survived", by)

    def _tests(self, folder: Path, runs: Mapping[str, str], selection: list[str]) -> str:
        """The first test that fails, as Suite.test; empty when all pass."""
        # forge replays the counterexamples of earlier runs, which belong to other mutants
        shutil.rmtree(folder / "cache", ignore_errors=True)
        if self.baseline.excluded:
            selection = [*selection, "--no-match-test", f"^({'|'.join(self.baseline.excluded)})\\("]
        done = run(
            ["forge", "test", "--fail-fast", "-j", "1", *selection],
            cwd=folder,
            env=environment(**self.env, **runs),
            timeout=TIME_OUT,
        )
        if done.timed_out:
            return "time-out"
        if done.code == 0:
            if " 0 tests passed" in done.output or "tests passed" not in done.output:
                raise AuditError(f"forge ran no tests:\n{done.tail()}")
            return ""
        found = first_failure(done.output)
        if not found:
            raise AuditError(f"forge failed without a failing test:\n{done.tail()}")
        return found


def first_failure(output: str) -> str:
    """Suite.test of the first failure in the output of `forge test`."""
    suite = ""
    for line in output.splitlines():
        if line.startswith("Ran ") and ":" in line:
            suite = line.rpartition(":")[2].strip()
        elif line.startswith("[FAIL") and suite:
            return f"{suite}.{line.rpartition('] ')[2].partition('(')[0]}"
    return ""


def target_of(artifact: Path) -> tuple[str, str]:
    """Path and name of the contract that an artifact holds."""
    metadata = json.loads(artifact.read_text()).get("metadata") or {}
    target = metadata.get("settings", {}).get("compilationTarget", {})
    return next(iter(target.items())) if target else ("", "")


def workers() -> int:
    """Two, or as many as there are cores to spare."""
    return max(1, min(2, os.cpu_count() or 1))
