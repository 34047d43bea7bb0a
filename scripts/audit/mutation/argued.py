"""Survivors that someone has argued to be equivalent: contracts/snapshots/mutants.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scripts.audit.mutation.bench import Trial
from scripts.audit.mutation.mutants import Mutant, normalise
from scripts.audit.project import SNAPSHOTS, AuditError

FILE = SNAPSHOTS / "mutants.toml"
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Argued:
    """Reasons by file, original line and mutated line."""

    reasons: Mapping[Key, str]

    def covers(self, mutant: Mutant, sources: Mapping[str, str]) -> bool:
        """Whether a reason is given for this mutant."""
        return key_of(mutant, sources) in self.reasons

    def problems(self, generated: Iterable[Mutant], trials: Iterable[Trial], sources: Mapping[str, str]) -> list[str]:
        """Entries that match no mutant any more, and entries that a test refutes."""
        exist = {key_of(mutant, sources) for mutant in generated}
        stale = [
            f"mutants.toml argues about a mutant that no longer exists: {key}" for key in self.reasons.keys() - exist
        ]
        refuted = [
            f"mutants.toml calls equivalent what {trial.by} kills: {trial.mutant.describe(sources[trial.mutant.file])}"
            for trial in trials
            if trial.status == "killed" and self.covers(trial.mutant, sources)
        ]
        return sorted(stale) + refuted


def key_of(mutant: Mutant, sources: Mapping[str, str]) -> Key:
    """What names a mutant across edits elsewhere in the file."""
    return mutant.file, *mutant.before_after(sources[mutant.file])


def parse(text: str) -> Argued:
    """Read the entries; each needs all four fields."""
    reasons: dict[Key, str] = {}
    for number, entry in enumerate(tomllib.loads(text).get("equivalent", []), start=1):
        if set(entry) != {"file", "original", "mutated", "reason"}:
            raise AuditError(f"mutants.toml, entry {number}: file, original, mutated and reason are needed")
        if len(entry["reason"].split()) < 4:
            raise AuditError(f"mutants.toml, entry {number}: that is no reason: {entry['reason']!r}")
        key = (entry["file"], normalise(entry["original"]), normalise(entry["mutated"]))
        if key in reasons:
            raise AuditError(f"mutants.toml, entry {number} stands there twice")
        reasons[key] = entry["reason"]
    return Argued(reasons)


def load() -> Argued:
    """The committed file; none is the same as an empty one."""
    return parse(FILE.read_text() if FILE.is_file() else "")
