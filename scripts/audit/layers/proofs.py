"""Symbolic proofs by halmos: contracts/test/symbolic, functions check_…"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from scripts.audit.copies import make_copy
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import AUDIT_BIN, ROOT, TESTS, environment, run, source_files

FOLDER = TESTS / "symbolic"
DECLARED = re.compile(r"^\s*function\s+(check_\w+)\s*\(", re.MULTILINE)
# proofs of this name take minutes and are left to the full run
LONG = "check_Long"
VERDICTS = {1: "counterexample", 2: "timed out", 3: "stuck", 4: "every path reverts", 5: "halmos failed"}


def proofs(budget: Budget, say: Say) -> Outcome:
    """Every declared proof must be found and hold."""
    files = [path for path in source_files(FOLDER) if path.name.endswith(".t.sol")]
    if not files:
        return Outcome(0, f"no proofs in {FOLDER}")
    return prove(make_copy("proofs", files), files, quick=budget.quick)


def prove(folder: Path, files: list[Path], *, quick: bool) -> Outcome:
    """Run halmos in a project folder that holds `files` and their imports."""
    declared = [name for path in files for name in DECLARED.findall((ROOT / path).read_text())]
    if quick:
        declared = [name for name in declared if not name.startswith(LONG)]
    if not declared:
        return Outcome(0, f"no proofs in {FOLDER}")
    report = folder / "halmos.json"
    report.unlink(missing_ok=True)
    command: list[str | Path] = [AUDIT_BIN / "halmos", "--root", folder, "--forge-build-out", "build/forge-test/out"]
    command += ["--config", ROOT / "halmos.toml", "--match-contract", ".*", "--no-status", "--json-output", report]
    command += ["--match-test", f"^check_(?!{LONG[6:]})" if quick else "^check_"]
    done = run(command, cwd=folder, env=environment(), timeout=240 if quick else 1800)
    if done.timed_out:
        return Outcome(len(declared), f"{len(declared)} proofs", ["halmos did not end in time"])
    if not report.is_file():
        return Outcome(0, "halmos gave no report", [done.tail(20)])
    return judge(json.loads(report.read_text()), declared)


def judge(report: dict[str, Any], declared: list[str]) -> Outcome:
    """Compare what was declared with what was proven."""
    results = [(suite, test) for suite, tests in report["test_results"].items() for test in tests]
    problems = [
        f"{suite.rpartition(':')[2]}.{test['name']}: {VERDICTS.get(test['exitcode'], 'failed')}"
        for suite, test in results
        if test["exitcode"] != 0
    ]
    if len(results) != len(declared):
        problems.append(f"{len(declared)} proofs are declared, {len(results)} ran")
    paths = sum(test["num_paths"][0] for _, test in results if test.get("num_paths"))
    bounded = [f"{test['name']} holds up to the loop bound" for _, test in results if test.get("num_bounded_loops")]
    covered = f"{len(results)} proofs over {paths:,} paths, {len(bounded)} of them up to a loop bound"
    return Outcome(len(results), covered, problems, bounded)
