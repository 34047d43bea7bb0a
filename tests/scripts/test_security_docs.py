"""The security documents name tests; each of them must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs" / "security").glob("*.md"))
ATTACKS = ROOT / "docs" / "security" / "attacks.md"
NAMED = re.compile(r"`((?:test|testFuzz|invariant|check)_\w+|tests/[\w/.]+\.py(?:::\w+)?)`")
DEFINED = re.compile(r"^\s*function ((?:test|testFuzz|invariant|check)_\w+)\(", re.MULTILINE)


def contract_tests() -> set[str]:
    """Names of all tests, invariants and proofs of the contracts."""
    return {
        name for path in (ROOT / "contracts" / "test").rglob("*.t.sol") for name in DEFINED.findall(path.read_text())
    }


def exists(name: str, known: set[str]) -> bool:
    """Whether a named test is there: of the contracts, or a file of Python tests, or a function in one."""
    if not name.startswith("tests/"):
        return name in known
    path, _, function = name.partition("::")
    return (ROOT / path).is_file() and (not function or f"def {function}(" in (ROOT / path).read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_test_exists(document: Path) -> None:
    known = contract_tests()
    assert known, "no contract tests found: look at the pattern"
    assert [name for name in NAMED.findall(document.read_text()) if not exists(name, known)] == []


def test_every_attack_has_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)$", ATTACKS.read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 30
    assert [number for number, row in rows if not NAMED.search(row)] == []
