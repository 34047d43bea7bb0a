"""The storage layout of every contract against contracts/snapshots/storage.txt."""

from __future__ import annotations

import difflib
from typing import Any

from scripts.audit.compiler import Compiler, errors_of
from scripts.audit.copies import closure
from scripts.audit.layer import Budget, Outcome, Say
from scripts.audit.project import ROOT, SNAPSHOTS, AuditError, source_files

FILE = SNAPSHOTS / "storage.txt"
HOW = "if this is meant, run `make snapshots` and commit the new file"


def storage(budget: Budget, say: Say) -> Outcome:
    """No slot may move without a commit that says so."""
    layouts = measure()
    fresh = render(layouts)
    slots = sum(text.count("\n") for text in layouts.values())
    covered = f"{len(layouts)} contracts with storage, {slots} variables and fields"
    return Outcome(len(layouts), covered, compare(FILE.read_text() if FILE.is_file() else "", fresh))


def compare(old: str, new: str) -> list[str]:
    """The difference as one readable problem."""
    if old == new:
        return []
    where = FILE.relative_to(ROOT).as_posix()
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), where, "the sources", lineterm="", n=1)
    return ["\n".join(["the storage layout changed:", *diff, HOW])]


def measure() -> dict[str, str]:
    """The layout of each deployable contract of contracts/src that stores anything, as text."""
    files = source_files()
    wanted = {path.as_posix(): ["storageLayout", "evm.bytecode.object"] for path in files}
    with Compiler() as compiler:
        output = compiler.compile(closure(files), wanted)
    if errors := errors_of(output):
        raise AuditError(f"the sources do not compile: {errors[0]}")
    return {
        name: describe(content["storageLayout"])
        for path in sorted(output["contracts"])
        for name, content in sorted(output["contracts"][path].items())
        # abstract contracts have no code and lie in the layout of those that inherit them
        if content["storageLayout"]["storage"] and content["evm"]["bytecode"]["object"]
    }


def describe(layout: dict[str, Any]) -> str:
    """A line a variable: slot, offset, bytes, name, type; the fields of structs below, relative to their start."""
    types = layout["types"] or {}
    lines: list[str] = []
    shown: set[str] = set()

    def row(entry: dict[str, Any], indent: str) -> None:
        kind = types[entry["type"]]
        place = f"{indent}slot {entry['slot']} offset {entry['offset']:2d}"
        lines.append(f"{place:28s}{int(kind['numberOfBytes']):4d} bytes  {entry['label']}: {kind['label']}")
        fields(entry["type"], indent + "  ")

    def fields(name: str, indent: str) -> None:
        kind = types[name]
        for part in ("key", "value", "base"):
            if part in kind:
                fields(kind[part], indent)
        if "members" in kind and name not in shown:
            shown.add(name)
            lines.append(f"{indent}{kind['label']}")
            for member in kind["members"]:
                row(member, indent + "  ")

    for entry in layout["storage"]:
        row(entry, "  ")
    return "\n".join(lines) + "\n"


def render(layouts: dict[str, str]) -> str:
    """The snapshot file."""
    return "\n".join(f"{name}\n{text}" for name, text in sorted(layouts.items()))


def write() -> None:
    """Accept the layout as it is."""
    SNAPSHOTS.mkdir(parents=True, exist_ok=True)
    FILE.write_text(render(measure()))
