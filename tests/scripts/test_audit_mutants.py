"""The mutator: what it changes, what it leaves alone, and the list of argued survivors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.audit.compiler import Compiler, errors_of
from scripts.audit.mutation import argued
from scripts.audit.mutation.bench import Trial
from scripts.audit.mutation.campaign import Campaign, select
from scripts.audit.mutation.generate import generate
from scripts.audit.mutation.mutants import Mutant
from scripts.audit.project import AuditError

FILE = "contracts/src/Sample.sol"
SOURCE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice 1 + 1 in a comment, é is two bytes
contract Sample {
    error TooMuch(uint256 given, uint256 allowed);

    event Paid(address from, address to);

    uint256 private constant LIMIT = 7 days;
    uint256 public total;
    bool private open = true;

    modifier whenOpen() {
        require(open && total /* < */ < LIMIT, "closed");
        _;
    }

    function pay(address from, address to, uint256 amount) external whenOpen returns (uint256) {
        if (amount >= LIMIT) revert TooMuch(amount, LIMIT);
        total += amount;
        emit Paid(from, to);
        for (uint256 i = 0; i < 3; ++i) {
            if (i == amount) break;
        }
        return total == 0 ? amount : total;
    }

    function raw(uint256 x) external pure returns (uint256 y) {
        assembly {
            if iszero(x) { revert(0, 0) }
            y := add(x, 0x20)
        }
    }
}
"""


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with Compiler() as running:
        yield running


@pytest.fixture(scope="module")
def mutants(compiler: Compiler) -> list[Mutant]:
    return generate(compiler, {FILE: SOURCE}, [FILE])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if (amount >= LIMIT) revert TooMuch(amount, LIMIT);", "if (amount > LIMIT) revert TooMuch(amount, LIMIT);"),
        ("if (amount >= LIMIT) revert TooMuch(amount, LIMIT);", "if (false) revert TooMuch(amount, LIMIT);"),
        ("if (amount >= LIMIT) revert TooMuch(amount, LIMIT);", "if (amount >= LIMIT) revert TooMuch(LIMIT, amount);"),
        ("total += amount;", "total -= amount;"),
        ("total += amount;", "total = amount;"),
        ("total += amount;", "{}"),
        ("emit Paid(from, to);", "emit Paid(to, from);"),
        ("emit Paid(from, to);", "{}"),
        ("if (i == amount) break;", "if (i == amount) continue;"),
        ("if (i == amount) break;", "if (true) break;"),
        ("return total == 0 ? amount : total;", "return (amount);"),
        ("return total == 0 ? amount : total;", "return 0;"),
        ("uint256 private constant LIMIT = 7 days;", "uint256 private constant LIMIT = 8 days;"),
        ("bool private open = true;", "bool private open = false;"),
        ('require(open && total /* < */ < LIMIT, "closed");', 'require(open && total /* < */ <= LIMIT, "closed");'),
        ('require(open && total /* < */ < LIMIT, "closed");', 'require(true, "closed");'),
        ('require(open && total /* < */ < LIMIT, "closed");', 'require(open || total /* < */ < LIMIT, "closed");'),
        (
            "function pay(address from, address to, uint256 amount) external whenOpen returns (uint256) {",
            "function pay(address from, address to, uint256 amount) external returns (uint256) {",
        ),
        ("y := add(x, 0x20)", "y := sub(x, 0x20)"),
        ("y := add(x, 0x20)", "y := add(x, 0x21)"),
        ("y := add(x, 0x20)", "{}"),
        ("if iszero(x) { revert(0, 0) }", "if 0 { revert(0, 0) }"),
        ("if iszero(x) { revert(0, 0) }", "if x { revert(0, 0) }"),
    ],
)
def test_the_mutants_hold_each_operator(mutants: list[Mutant], before: str, after: str) -> None:
    assert (before, after) in {mutant.before_after(SOURCE) for mutant in mutants}


def test_comments_types_and_declarations_stay(mutants: list[Mutant]) -> None:
    lines = {before for before, _ in (mutant.before_after(SOURCE) for mutant in mutants)}
    assert not any(line.startswith(("///", "pragma", "error", "event", "//")) for line in lines)
    assert all(
        "/* < */" in after for before, after in (m.before_after(SOURCE) for m in mutants) if "< LIMIT, " in after
    )


def test_a_loop_keeps_its_step(mutants: list[Mutant]) -> None:
    changed = {after for before, after in (mutant.before_after(SOURCE) for mutant in mutants) if "++i" in before}
    assert "for (uint256 i = 0; i < 3; --i) {" in changed
    assert not any("; )" in line or "{})" in line for line in changed)


def test_every_mutant_is_named_once_and_most_compile(compiler: Compiler, mutants: list[Mutant]) -> None:
    assert len({(mutant.start, mutant.end, mutant.replacement) for mutant in mutants}) == len(mutants)
    broken = [m for m in mutants if errors_of(compiler.compile({FILE: m.apply(SOURCE)}, {"*": ["abi"]}))]
    assert len(broken) < len(mutants) / 10


def test_a_source_that_does_not_compile_is_an_error(compiler: Compiler) -> None:
    with pytest.raises(AuditError):
        generate(compiler, {FILE: "contract {"}, [FILE])


def test_a_sample_hangs_on_the_seed_only(mutants: list[Mutant]) -> None:
    assert select(mutants, 5, 1) == select(mutants, 5, 1) != select(mutants, 5, 2)
    assert sorted(select(mutants, None, 3), key=mutants.index) == mutants


MUTANT = Mutant(FILE, SOURCE.encode().index(b"+="), SOURCE.encode().index(b"+=") + 2, "+=", "-=", "arithmetic")
ENTRY = f'[[equivalent]]\nfile = "{FILE}"\noriginal = "total  += amount;"\nmutated = "total -= amount;"\n'
REASON = 'reason = "the amount is always zero here"\n'


def test_an_argued_mutant_is_found_by_its_lines() -> None:
    entries = argued.parse(ENTRY + REASON)
    assert entries.covers(MUTANT, {FILE: SOURCE})
    assert entries.problems([MUTANT], [Trial(MUTANT, "survived")], {FILE: SOURCE}) == []


def test_an_argument_about_a_mutant_that_is_gone_or_killed_is_a_problem() -> None:
    entries = argued.parse(ENTRY + REASON)
    assert len(entries.problems([], [], {FILE: SOURCE})) == 1
    assert len(entries.problems([MUTANT], [Trial(MUTANT, "killed", "ATest.test_A")], {FILE: SOURCE})) == 1


@pytest.mark.parametrize(
    "text", [ENTRY, ENTRY + 'reason = "it is equivalent"', 2 * (ENTRY + REASON), ENTRY + REASON + "x = 1"]
)
def test_an_entry_needs_a_reason_and_stands_once(text: str) -> None:
    with pytest.raises(AuditError):
        argued.parse(text)


def test_the_score_counts_neither_invalid_nor_equivalent_nor_argued_mutants() -> None:
    other = Mutant(FILE, 0, 1, "/", "", "test")
    statuses = [(MUTANT, "killed"), (other, "survived"), (MUTANT, "invalid"), (MUTANT, "equivalent")]
    trials = [Trial(mutant, status) for mutant, status in statuses]
    done = Campaign(9, trials, {FILE: SOURCE}, [], set(), [], 60.0)
    assert (done.counted, done.score, done.survivors) == (2, 0.5, [other])
    argued_away = Campaign(9, trials, {FILE: SOURCE}, [], {other}, [], 60.0)
    assert (argued_away.counted, argued_away.score, argued_away.survivors) == (1, 1.0, [])
    assert Campaign(9, [], {FILE: SOURCE}, [], set(), [], 60.0).score == 0.0
