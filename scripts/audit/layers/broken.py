"""Copies of the contracts with a classic bug each: some layer must notice every one.

A patch in contracts/test/broken is a unified diff against contracts/src with two lines on top:

    bug: quorum off by one
    expected: unit and fuzz tests
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.audit import forge
from scripts.audit.copies import closure, make_copy, write
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.layers import forge_tests, proofs, slither
from scripts.audit.project import BUILD, ROOT, SOURCES, TESTS, AuditError, environment, run, source_files
from scripts.audit.table import table

FOLDER = ROOT / TESTS / "broken"
NAME = "broken"
# a quick build: no optimizer, tests linked to what they deploy
SETTINGS = {
    "FOUNDRY_OPTIMIZER": "false",
    "FOUNDRY_DYNAMIC_TEST_LINKING": "true",
    "FOUNDRY_CODE_SIZE_LIMIT": "1000000",
    "FOUNDRY_FUZZ_RUNS": "128",
}


@dataclass(frozen=True)
class Patch:
    """One bug."""

    name: str
    bug: str
    expected: str
    text: str


def read(name: str, text: str) -> Patch:
    """The header and the diff; both lines of the header are needed."""
    header, _, _ = text.partition("--- ")
    fields = dict(re.findall(r"^(bug|expected): (.+)$", header, re.MULTILINE))
    if set(fields) != {"bug", "expected"}:
        raise AuditError(f"{name}: the first lines must be `bug: …` and `expected: …`")
    if fields["expected"] not in {layer for layer, _ in LAYERS}:
        raise AuditError(f"{name}: no layer is called {fields['expected']!r}")
    touched = re.findall(r"^\+\+\+ b/(\S+)", text, re.MULTILINE)
    if not touched or not all(path.startswith(f"{SOURCES.as_posix()}/") for path in touched):
        raise AuditError(f"{name}: a patch changes contracts/src and nothing else")
    return Patch(name, fields["bug"], fields["expected"], text)


def broken(budget: Budget, say: Say) -> Outcome:
    """Apply each patch to a copy and ask the layers, the cheap ones first; in the quick run, every fourth."""
    patches = [read(path.name, path.read_text()) for path in sorted(FOLDER.glob("*.patch"))]
    if budget.quick:
        patches = patches[::4]
    rows: list[list[str]] = []
    problems: list[str] = []
    for patch in patches:
        try:
            caught = catch(patch)
        except AuditError as error:
            problems.append(f"{patch.name}: {error}")
            continue
        layer, how = caught or ("nothing", "")
        if caught is None:
            problems.append(f"{patch.name} ({patch.bug}): no layer noticed")
        say(f"{patch.bug}: caught by {layer}")
        rows.append([patch.name, patch.bug, patch.expected, layer, how])
    shown = [table(["patch", "bug", "expected", "caught by", "which"], rows)] if rows else []
    caught_count = sum(row[3] != "nothing" for row in rows)
    return Outcome(len(patches), f"{caught_count} of {len(patches)} bugs caught", problems, shown)


def catch(patch: Patch) -> tuple[str, str] | None:
    """The first layer that notices, and what in it."""
    folder = apply(patch, whole())
    try:
        forge.build(folder, SETTINGS)
        for name, notices in LAYERS:
            if how := notices(folder):
                control(name, notices)
                return name, how
    finally:
        whole()
    return None


@cache
def control(name: str, notices: Callable[[Path], str]) -> None:
    """A layer that also complains about the sources as they are has noticed nothing."""
    if how := notices(whole()):
        raise AuditError(f"{name} fail on the sources as they are: {how}")


def whole() -> Path:
    """The copy, with the sources as they are."""
    return make_copy(NAME, [*source_files(), *source_files(TESTS)])


def apply(patch: Patch, folder: Path) -> Path:
    """Apply a patch in `folder`, strictly."""
    file = folder / "build" / "patch"
    write(file, patch.text)
    before = {path: (folder / path).read_text() for path in source_files()}
    # without the ceiling git takes the folder for a part of the checkout and skips every file
    env = environment(GIT_CEILING_DIRECTORIES=str(BUILD))
    done = run(["git", "apply", "--whitespace=nowarn", str(file)], cwd=folder, env=env)
    if done.code != 0:
        raise AuditError(f"the patch does not apply: {done.errors.strip()}")
    if all((folder / path).read_text() == text for path, text in before.items()):
        raise AuditError("the patch changes nothing")
    return folder


def by_tests(folder: Path) -> str:
    """Unit and fuzz tests."""
    # ceilings of gas hold for optimized code
    return failing(folder, ["--no-match-test", forge_tests.INVARIANTS, "--no-match-contract", "^GasTest$"])


def by_invariants(folder: Path) -> str:
    """Stateful invariants, with the runs of foundry.toml."""
    return failing(folder, ["--match-test", forge_tests.INVARIANTS])


def failing(folder: Path, selection: list[str]) -> str:
    command = ["forge", "test", "--fail-fast", "-j", "1", *selection]
    # counterexamples of an earlier patch would be replayed
    shutil.rmtree(folder / "cache", ignore_errors=True)
    done = run(command, cwd=folder, env=environment(**SETTINGS), timeout=600)
    if done.timed_out:
        return "time-out"
    if done.code != 0 and not forge.failed_tests(done):
        raise AuditError(f"forge failed without a failing test:\n{done.tail()}")
    return ", ".join(forge.failed_tests(done)[:2])


def by_slither(folder: Path) -> str:
    """Findings that the sources as they are do not have."""
    usual = findings(make_copy("slither", source_files()))
    patched = make_copy("slither-broken", source_files())
    for path in source_files():
        write(patched / path, (folder / path).read_text())
    return ", ".join(sorted(findings(patched) - usual)[:1])


def findings(folder: Path) -> set[str]:
    """Findings without line numbers, which a patch moves."""
    answer, _ = slither.analyse(folder)
    return {re.sub(r"#\d+(-\d+)?", "", line) for line in slither.findings(answer)}


def by_proofs(folder: Path) -> str:
    """Symbolic proofs that no longer hold."""
    files = [path for path in source_files(proofs.FOLDER) if path.name.endswith(".t.sol")]
    if not files:
        return ""
    patched = make_copy("proofs-broken", files)
    for path in closure(files):
        write(patched / path, (folder / path).read_text())
    return ", ".join(problem.partition(":")[0] for problem in proofs.prove(patched, files, quick=True).problems[:1])


LAYERS: list[tuple[str, Callable[[Path], str]]] = [
    ("unit and fuzz tests", by_tests),
    ("invariants", by_invariants),
    ("slither", by_slither),
    ("proofs", by_proofs),
]
