"""Unit and fuzz tests, and stateful invariants, counted from forge's own report."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

from scripts.audit import forge
from scripts.audit.copies import make_copy
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import ROOT, TESTS, AuditError, environment, run, source_files

INVARIANTS = "^(invariant|statefulFuzz)"
# what the tests create from artifacts, compiled as it is deployed; the tests themselves are compiled quickly
DEPLOYED = ["contracts/src", "contracts/test/mocks/BlsHarness.sol"]
ON_DEPLOYED = {"POT_ARTIFACTS": "build/forge/out"}


def whole_copy(name: str) -> Path:
    """Sources and tests, built; no counterexamples of earlier runs, which forge would replay."""
    folder = make_copy(name, [*source_files(), *source_files(TESTS)])
    shutil.rmtree(folder / "cache", ignore_errors=True)
    forge.build(folder, {"FOUNDRY_PROFILE": "default"}, DEPLOYED)
    forge.build(folder)
    return folder


def unit_and_fuzz(budget: Budget, say: Say) -> Outcome:
    """Everything but the invariants."""
    settings = ON_DEPLOYED | {
        "FOUNDRY_FUZZ_RUNS": str(budget.fuzz_runs),
        "FOUNDRY_FUZZ_MAX_TEST_REJECTS": str(100 * budget.fuzz_runs),
    }
    report = forge.run_tests(whole_copy("unit"), ["-j", "1", "--no-match-test", INVARIANTS], settings)
    fuzzed = [test for test in report.tests if test.fuzz_runs]
    runs = sum(test.fuzz_runs for test in fuzzed)
    covered = f"{len(report.tests)} tests in {len(report.suites)} suites; {len(fuzzed)} of them fuzzed, {runs:,} inputs"
    return Outcome(len(report.tests), covered, report.failures)


def invariants(budget: Budget, say: Say) -> Outcome:
    """Random sequences of calls; as many runs as the wanted number of calls takes."""
    folder = whole_copy("invariants")
    depth = int(tomllib.loads((ROOT / "foundry.toml").read_text())["invariant"]["depth"])
    count = len(listed(folder))
    if not count:
        return Outcome(0, "no invariants found")
    runs = -(-budget.invariant_calls // (count * depth))
    settings = ON_DEPLOYED | {"FOUNDRY_INVARIANT_RUNS": str(runs)}
    report = forge.run_tests(folder, ["-j", "1", "--match-test", INVARIANTS], settings)
    calls = sum(test.calls for test in report.tests)
    reverts = sum(test.reverts for test in report.tests)
    problems = report.failures
    if len(report.tests) != count:
        problems.append(f"{count} invariants are declared, {len(report.tests)} ran")
    if calls < budget.invariant_calls and not problems:
        problems.append(f"{calls:,} calls, {budget.invariant_calls:,} were wanted")
    covered = f"{calls:,} calls, {reverts:,} reverted; {count} invariants x {runs} runs x {depth} calls"
    return Outcome(calls, covered, problems)


def listed(folder: Path) -> list[str]:
    """The invariant functions of the project."""
    command = ["forge", "test", "--list", "--json", "--match-test", INVARIANTS]
    done = run(command, cwd=folder, env=environment())
    start = done.output.find("{")
    if done.code != 0 or start < 0:
        raise AuditError(f"forge cannot list the tests:\n{done.tail()}")
    found: dict[str, dict[str, list[str]]] = json.loads(done.output[start:])
    return [f"{name}.{test}" for suites in found.values() for name, tests in suites.items() for test in tests]
