"""Static analysis. A finding is fixed or argued away in place, never hidden by a setting.

// the token is called last, after every effect
// slither-disable-next-line reentrancy-events
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from scripts.audit.copies import make_copy
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import AUDIT_BIN, ROOT, AuditError, environment, run, source_files

DIRECTIVE = re.compile(r"^\s*//\s*slither-disable-next-line\s+([a-z0-9,-]+)[ ,]*(.*)$")
ANY_DIRECTIVE = re.compile(r"slither-disable")
COMMENT = re.compile(r"^\s*//(?!/)\s*(.*)$")
BLIND = re.compile(r"Impossible to generate IR for (\S+) \(contracts/")
LEAST_WORDS = 4
CONVENTIONS = Path(__file__).parents[1] / "slither_conventions.toml"


def slither(budget: Budget, say: Say) -> Outcome:
    """All detectors over the sources alone; findings that only concern dependencies do not count."""
    files = source_files()
    problems, suppressed = [], 0
    for path in files:
        count, unargued = suppressions((ROOT / path).read_text())
        suppressed += count
        problems += [f"{path}:{line}: {complaint}" for line, complaint in unargued]
    answer, printed = analyse(make_copy("slither", files))
    analysed = re.search(r"analyzed \((\d+) contracts with (\d+) detectors\)", printed)
    if not analysed:
        raise AuditError(f"slither analysed nothing:\n{printed[-1000:]}")
    problems += findings(answer)
    problems += [f"slither cannot analyse {name}" for name in BLIND.findall(printed)]
    contracts, detectors = analysed.groups()
    covered = f"{contracts} contracts, {detectors} detectors, {suppressed} argued suppressions"
    return Outcome(int(contracts), covered, problems)


def analyse(folder: Path) -> tuple[dict[str, Any], str]:
    """Run slither in a project folder; its JSON answer and what it printed."""
    report = folder / "slither.json"
    report.unlink(missing_ok=True)
    config = ROOT / "slither.config.json"
    command: list[str | Path] = [
        AUDIT_BIN / "slither",
        ".",
        "--config-file",
        config,
        "--json",
        report,
        "--warn-unused-ignores",
    ]
    done = run(command, cwd=folder, env=environment())
    if not report.is_file():
        raise AuditError(f"slither gave no report:\n{done.tail()}")
    answer: dict[str, Any] = json.loads(report.read_text())
    if not answer["success"]:
        raise AuditError(f"slither failed: {answer['error']}\n{done.tail()}")
    return answer, done.output + done.errors


def findings(answer: dict[str, Any]) -> list[str]:
    """What slither reports, a line each, without the matters of style that the project has decided as a whole."""
    conventions = tomllib.loads(CONVENTIONS.read_text())["conventions"]
    lines: list[str] = []
    for finding in answer["results"].get("detectors", []):
        if finding["check"] == "unused-ignore-directive":
            unused = [entry for entry in finding["unused_ignores"] if "/node_modules/" not in entry["file"]]
            lines += [f"{Path(entry['file']).name}:{entry['line']}: suppresses nothing" for entry in unused]
            continue
        if finding["check"] in conventions and finding["impact"] in ("Informational", "Optimization"):
            continue
        first = finding["description"].strip().splitlines()[0]
        lines.append(f"{finding['impact'].lower()}, {finding['check']}: {first}")
    return lines


def suppressions(text: str) -> tuple[int, list[tuple[int, str]]]:
    """How many suppressions a file has, and what is wrong with which (line, complaint)."""
    lines = text.splitlines()
    count = 0
    wrong: list[tuple[int, str]] = []
    for index, line in enumerate(lines):
        if not ANY_DIRECTIVE.search(line):
            continue
        match = DIRECTIVE.match(line)
        if match is None:
            wrong.append((index + 1, "only `// slither-disable-next-line <detector>` may suppress"))
            continue
        count += 1
        if "all" in match.group(1).split(","):
            wrong.append((index + 1, "a suppression names its detectors"))
        above = COMMENT.match(lines[index - 1]) if index else None
        reason = match.group(2) or (above.group(1) if above else "")
        if len(reason.split()) < LEAST_WORDS or ANY_DIRECTIVE.search(reason):
            wrong.append((index + 1, "a suppression without a reason next to it"))
    return count, wrong
