"""The contracts against the Python protocol code, on random cases both ways."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import BUILD, ROOT, environment, run

FOLDER = Path("tests/differential")


def differential(budget: Budget, say: Say) -> Outcome:
    """pytest; POT_DIFFERENTIAL_CASES says how many cases, and a test reports its own by record_property("cases", n)."""
    if not (ROOT / FOLDER).is_dir():
        return Outcome(0, f"{FOLDER} does not exist")
    BUILD.mkdir(parents=True, exist_ok=True)
    report = BUILD / "differential.xml"
    report.unlink(missing_ok=True)
    done = run(
        [sys.executable, "-m", "pytest", "-q", str(FOLDER), f"--junitxml={report}"],
        env=environment(POT_DIFFERENTIAL_CASES=str(budget.differential_cases)),
    )
    if not report.is_file():
        return Outcome(0, "pytest gave no report", [done.tail()])
    tests, cases, failed = read(report.read_text())
    problems = [f"failed: {name}" for name in failed]
    if done.code != 0 and not problems:
        problems.append(done.tail())
    if 0 < cases < budget.differential_cases:
        problems.append(f"{cases:,} cases, {budget.differential_cases:,} were wanted")
    return Outcome(tests, f"{tests} tests, {cases:,} cases", problems)


def read(text: str) -> tuple[int, int, list[str]]:
    """Tests that ran, cases that they reported, tests that failed."""
    ran, cases = 0, 0
    failed: list[str] = []
    for test in ElementTree.fromstring(text).iter("testcase"):
        if test.find("skipped") is not None:
            continue
        ran += 1
        if test.find("failure") is not None or test.find("error") is not None:
            failed.append(f"{test.get('classname')}.{test.get('name')}")
        cases += sum(int(item.get("value", "0")) for item in test.iter("property") if item.get("name") == "cases")
    return ran, cases, failed
