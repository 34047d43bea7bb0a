"""Lines and branches of contracts/src that the tests reach, from forge's lcov report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.audit.copies import make_copy
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import SOURCES, TESTS, AuditError, environment, run, source_files

LINES, BRANCHES = 0.99, 0.95
RUNS = {"FOUNDRY_FUZZ_RUNS": "64", "FOUNDRY_INVARIANT_RUNS": "4", "FOUNDRY_INVARIANT_DEPTH": "64"}


@dataclass
class Covered:
    """Hits of one file by line and by branch."""

    lines: dict[int, int] = field(default_factory=dict)
    branches: dict[tuple[int, str, str], int] = field(default_factory=dict)


def coverage(budget: Budget, say: Say) -> Outcome:
    """At least 99 % of the lines and 95 % of the branches."""
    folder = make_copy("coverage", [*source_files(), *source_files(TESTS)])
    report = folder / "lcov.info"
    report.unlink(missing_ok=True)
    command = ["forge", "coverage", "-j", "1", "--report", "lcov", "--report-file", str(report)]
    done = run(command, cwd=folder, env=environment(**RUNS))
    if "Stack too deep" in done.output + done.errors:
        # the plain code generator without the optimizer cannot hold every function
        done = run([*command, "--ir-minimum"], cwd=folder, env=environment(**RUNS))
    if done.code != 0 or not report.is_file():
        raise AuditError(f"forge coverage failed:\n{done.tail(20)}")
    return judge(parse(report.read_text()))


def parse(text: str) -> dict[str, Covered]:
    """The files below contracts/src in an lcov report."""
    files: dict[str, Covered] = {}
    current = Covered()
    for line in text.splitlines():
        word, _, rest = line.partition(":")
        if word == "SF":
            current = files.setdefault(rest, Covered())
        elif word == "DA":
            number, hits = rest.split(",")[:2]
            current.lines[int(number)] = max(int(hits), current.lines.get(int(number), 0))
        elif word == "BRDA":
            number, block, branch, hits = rest.split(",")
            current.branches[int(number), block, branch] = 0 if hits == "-" else int(hits)
    return {path: covered for path, covered in files.items() if path.startswith(f"{SOURCES.as_posix()}/")}


def judge(files: Mapping[str, Covered]) -> Outcome:
    """Shares over all files together; what is missed is listed either way."""
    lines = [hits for covered in files.values() for hits in covered.lines.values()]
    branches = [hits for covered in files.values() for hits in covered.branches.values()]
    missed = [f"line not reached: {path}:{n}" for path, c in files.items() for n, hits in c.lines.items() if not hits]
    missed += [
        f"branch not taken: {path}:{key[0]}"
        for path, c in files.items()
        for key, hits in c.branches.items()
        if not hits
    ]
    problems = []
    texts = []
    for name, hits, least in (("lines", lines, LINES), ("branches", branches, BRANCHES)):
        reached = sum(hit > 0 for hit in hits)
        texts.append(f"{reached} of {len(hits)} {name} ({100 * reached / max(1, len(hits)):.1f} %)")
        if reached < least * len(hits) or not hits:
            problems.append(f"{reached} of {len(hits)} {name} are covered, {100 * least:.0f} % are wanted")
    return Outcome(len(lines), f"{', '.join(texts)} in {len(files)} files", problems, missed)
