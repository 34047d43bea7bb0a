"""Gas of whole transactions against gas.json, and the goals of issue and documentation."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scripts.audit import forge
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.layers.forge_tests import ON_DEPLOYED, whole_copy
from scripts.audit.project import ROOT, AuditError, alone
from scripts.audit.table import table

SNAPSHOT = ROOT / "gas.json"
GOALS = Path(__file__).parents[1] / "gas_goals.toml"
FIGURE = re.compile(r"^(.+?): (\d+)$")


def gas(budget: Budget, say: Say) -> Outcome:
    """Every figure must be the committed one, and every goal met."""
    figures = measure()
    goals = load_goals()
    known = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.is_file() else {}
    unmet = load_unmet()
    problems = compare(known, figures) + missed(figures, goals, unmet)
    met = sum(figures[key] <= goal for key, goal in goals.items() if key in figures)
    notes = [
        f"{name!r} costs {figures.get(name, 0):,}, the goal is {goals[name]:,}: {why}" for name, why in unmet.items()
    ]
    return Outcome(len(figures), f"{len(figures)} transactions, {met} of {len(goals)} goals met", problems, notes)


def measure() -> dict[str, int]:
    """What the tests in GasTest log, each call a transaction of its own."""
    arguments = ["-vv", "-j", "1", "--isolate", "--match-contract", "GasTest$"]
    report = forge.run_tests(whole_copy("gas"), arguments, ON_DEPLOYED)
    if report.failures:
        raise AuditError("the gas tests fail:\n" + "\n".join(report.failures))
    return collect([line for test in report.tests for line in test.logs])


def collect(logs: list[str]) -> dict[str, int]:
    """Named figures in the logs; a name that two tests use for different figures is an error."""
    figures: dict[str, int] = {}
    for line in logs:
        if match := FIGURE.match(line):
            name, value = match.group(1), int(match.group(2))
            if figures.setdefault(name, value) != value:
                raise AuditError(f"two gas figures are called {name!r}: {figures[name]} and {value}")
    return dict(sorted(figures.items()))


def load_goals() -> dict[str, int]:
    """The most that a transaction may cost."""
    goals: dict[str, int] = tomllib.loads(GOALS.read_text())["goals"]
    return goals


def load_unmet() -> dict[str, str]:
    """Goals that are known not to be met, with the reason."""
    unmet: dict[str, str] = tomllib.loads(GOALS.read_text()).get("unmet", {})
    return unmet


def compare(known: Mapping[str, int], fresh: Mapping[str, int]) -> list[str]:
    """One line a figure that came, went or changed."""
    lines = []
    for name in sorted(known.keys() | fresh.keys()):
        old, new = known.get(name), fresh.get(name)
        if old is None:
            lines.append(f"gas.json lacks {name!r} ({new:,})")
        elif new is None:
            lines.append(f"gas.json has {name!r}, which no test reports any more")
        elif old != new:
            lines.append(f"{name!r}: {old:,} -> {new:,} ({new - old:+,})")
    return [*lines, "if this is meant, run `make snapshots` and commit gas.json"] if lines else []


def missed(figures: Mapping[str, int], goals: Mapping[str, int], unmet: Mapping[str, str]) -> list[str]:
    """Goals that are not measured, not met without a reason, or met in spite of one."""
    lines = [f"no test reports {name!r}, whose goal is {goal:,}" for name, goal in goals.items() if name not in figures]
    return lines + [
        f"{name!r} costs {figures[name]:,}, the goal is {goal:,}"
        for name, goal in goals.items()
        if (figures.get(name, 0) > goal) != (name in unmet)
    ]


def show(figures: Mapping[str, int], goals: Mapping[str, int]) -> str:
    """The figures with a goal first, in the order of the goals."""
    names = [*goals, *(name for name in figures if name not in goals)]
    rows = []
    for name in names:
        used, goal = figures.get(name), goals.get(name)
        verdict = "" if goal is None else "not measured" if used is None else "yes" if used <= goal else "NO"
        rows.append([name, "" if used is None else f"{used:,}", "" if goal is None else f"{goal:,}", verdict])
    return table(["transaction", "gas", "goal", "goal met"], rows, right={1, 2})


def write(path: Path, figures: Mapping[str, int]) -> None:
    """The figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> int:
    """`make gas`: measure, print, write."""
    parser = argparse.ArgumentParser(description="Gas of whole transactions.")
    parser.add_argument("outputs", nargs="*", type=Path, help="JSON files to write besides build/gas.json")
    arguments = parser.parse_args()
    with alone():
        figures, goals = measure(), load_goals()
    print(show(figures, goals))
    for path in [ROOT / "build" / "gas.json", *arguments.outputs]:
        write(path, figures)
    problems = missed(figures, goals, load_unmet())
    print("\n".join([*problems, *(f"{name}: {why}" for name, why in load_unmet().items())]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
