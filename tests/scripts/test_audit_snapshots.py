"""Tables, storage layouts, gas figures, and what a layer must do to pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.audit.__main__ import Row, run_one
from scripts.audit.layer import QUICK, Budget, Layer, Outcome, Say
from scripts.audit.layers import gas, storage
from scripts.audit.project import ROOT, AuditError, environment
from scripts.audit.table import table

MEMO = ROOT / "scripts" / "audit" / "solc_memo"


def test_table_aligns_and_wraps() -> None:
    text = table(["name", "n"], [["a", "1"], ["b " * 50, "1000"]], right={1})
    lines = text.splitlines()
    assert lines[2].endswith("     1")
    assert len(lines) == 5
    assert len({len(line) for line in lines[1:4]}) == 1


LAYOUT = {
    "storage": [
        {"label": "_count", "slot": "0", "offset": 0, "type": "t_u"},
        {"label": "_tasks", "slot": "1", "offset": 0, "type": "t_m"},
    ],
    "types": {
        "t_u": {"label": "uint256", "numberOfBytes": "32"},
        "t_b": {"label": "bool", "numberOfBytes": "1"},
        "t_m": {"label": "mapping(uint256 => struct S)", "numberOfBytes": "32", "key": "t_u", "value": "t_s"},
        "t_s": {
            "label": "struct S",
            "numberOfBytes": "32",
            "members": [{"label": "flag", "slot": "0", "offset": 31, "type": "t_b"}],
        },
    },
}


def test_layout_shows_the_fields_of_structs_behind_mappings() -> None:
    lines = storage.describe(LAYOUT).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "slot 0 offset 0 32 bytes _count: uint256",
        "slot 1 offset 0 32 bytes _tasks: mapping(uint256 => struct S)",
        "struct S",
        "slot 0 offset 31 1 bytes flag: bool",
    ]


def test_a_moved_slot_is_shown_as_a_diff() -> None:
    old = storage.render({"A": storage.describe(LAYOUT)})
    assert storage.compare(old, old) == []
    (problem,) = storage.compare(old, old.replace("slot 1", "slot 2"))
    assert "-  slot 1" in problem
    assert "+  slot 2" in problem
    assert "make snapshots" in problem


def test_gas_figures_come_from_the_logs() -> None:
    assert gas.collect(["b: 7", "no figure", "a, first: 12"]) == {"a, first": 12, "b": 7}


def test_one_name_for_two_gas_figures_is_an_error() -> None:
    assert gas.collect(["a: 7", "a: 7"]) == {"a": 7}
    with pytest.raises(AuditError):
        gas.collect(["a: 7", "a: 8"])


def test_any_change_of_gas_is_a_problem() -> None:
    assert gas.compare({"a": 1}, {"a": 1}) == []
    lines = gas.compare({"a": 1000, "gone": 2}, {"a": 999, "new": 3})
    assert lines[:3] == [
        "'a': 1,000 -> 999 (-1)",
        "gas.json has 'gone', which no test reports any more",
        "gas.json lacks 'new' (3)",
    ]


def test_a_goal_is_met_or_named() -> None:
    assert gas.missed({"a": 10}, {"a": 10}, {}) == []
    assert gas.missed({"a": 11}, {"a": 10}, {"a": "why"}) == []
    assert gas.missed({"a": 10}, {"a": 10}, {"a": "met after all"}) != []
    assert gas.missed({"a": 11}, {"a": 10, "b": 5}, {}) == [
        "no test reports 'b', whose goal is 5",
        "'a' costs 11, the goal is 10",
    ]


def test_gas_table_puts_the_goals_first() -> None:
    lines = gas.show({"other": 1, "a": 11, "b": 4}, {"b": 5, "a": 10, "c": 1}).splitlines()[2:]
    assert [line.split() for line in lines] == [
        ["b", "4", "5", "yes"],
        ["a", "11", "10", "NO"],
        ["c", "1", "not", "measured"],
        ["other", "1"],
    ]


def test_the_goals_are_those_of_the_project() -> None:
    assert set(gas.load_goals()) >= {"finalizeRound_ecdsa_3of4", "claim_again_1000"}


@pytest.mark.parametrize(
    ("outcome", "passed"),
    [
        (Outcome(1, ""), True),
        (Outcome(0, ""), False),
        (Outcome(1, "", ["wrong"]), False),
        (Outcome(1, "", [], ["note"]), True),
    ],
)
def test_a_layer_passes_only_with_items_and_without_problems(outcome: Outcome, passed: bool) -> None:
    assert Row("layer", outcome, 0.0).passed is passed


@pytest.mark.parametrize("error", [AuditError("no tool"), ValueError("a bug in the audit")])
def test_a_layer_that_breaks_fails_and_the_audit_goes_on(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work(budget: Budget, say: Say) -> Outcome:
        raise error

    row = run_one(Layer("some layer", work), QUICK)
    assert not row.passed
    assert str(error) in row.outcome.problems[0]
    assert "FAILED some layer" in capsys.readouterr().out


def test_the_compiler_memory_refuses_to_call_itself(tmp_path: Path) -> None:
    env = {"AUDIT_SOLC": str(MEMO), "AUDIT_SOLC_MEMORY": str(tmp_path)}
    done = subprocess.run([sys.executable, MEMO, "--version"], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "names this memory itself" in done.stderr


def test_the_compiler_memory_is_never_its_own_compiler() -> None:
    env = environment()
    assert env["FOUNDRY_SOLC"] == str(MEMO)
    assert Path(env["AUDIT_SOLC"]) == ROOT / "scripts" / "solc"
