from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pot_chain.dashboard.codec import InvalidReport
from pot_chain.dashboard.model import RoundRow, RunReport, Score, tally_miners

WEI = st.integers(0, (1 << 128) - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
st.register_type_strategy(float, NUMBERS)
REPORTS = st.builds(RunReport, spec=st.dictionaries(st.text(), JSON, max_size=3))


@settings(max_examples=30)
@given(REPORTS)
def test_a_report_comes_back_as_it_was_written(report: RunReport) -> None:
    text = report.to_json()
    assert RunReport.from_json(text) == report
    assert RunReport.from_json(text).to_json() == text
    assert text.isascii()


@given(WEI)
def test_wei_are_exact_json_integers(wei: int) -> None:
    row = RoundRow(0, 0, [], {}, None, None, None, 1.0, wei)
    assert json.loads(json.dumps(dataclasses.asdict(row)))["paid_wei"] == wei


def test_the_keys_that_programs_rely_on(report: RunReport) -> None:
    document = json.loads(report.to_json())
    assert isinstance(document["escrow"]["funded_wei"], int)
    for path in (
        *("task_id", "rounds_expected", "rounds_finalized", "view_changes", "wall_seconds"),
        *("final.accuracy", "final.loss"),
        *("centralized.accuracy", "centralized.loss", "centralized.wall_seconds", "centralized.rounds"),
        *("gas.commitGradient", "gas.finalizeRound", "gas.claim", "bytes.gradient", "bytes.checkpoint"),
        *("escrow.funded_wei", "escrow.paid_wei", "escrow.refunded_wei", "escrow.left_wei"),
        *("ipfs.backend", "chain.client", "rounds", "events", "parameters_relative_difference"),
    ):
        value = document
        for key in path.split("."):
            assert key in value, path
            value = value[key]
    assert {"address", "rounds_accepted", "rounds_rejected", "paid_wei"} <= document["miners"][0].keys()
    assert {"address", "paid_wei"} <= document["validators"][0].keys()


def test_a_loss_that_diverged_is_null(report: RunReport) -> None:
    diverged = dataclasses.replace(report, final=Score(0.1, float("nan")))
    assert json.loads(diverged.to_json())["final"]["loss"] is None
    assert RunReport.from_json(diverged.to_json()).final == Score(0.1, None)


def _document(report: RunReport) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(report.to_json())
    return document


def _set(document: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    inner: Any = document
    for key in parents:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("task_id", "1", "report.task_id: expected a whole number, found '1'"),
        ("task_id", True, "report.task_id: expected a whole number, found True"),
        ("task_id", 1.0, "report.task_id: expected a whole number"),
        ("wall_seconds", None, "report.wall_seconds: expected a finite number, found None"),
        ("wall_seconds", float("inf"), "Infinity is not a JSON number"),
        ("rounds.3.rejected", {"0x1": 5}, "report.rounds[3].rejected['0x1']: expected a string"),
        ("rounds.0.accepted", "miner", "report.rounds[0].accepted: expected a list"),
        ("escrow", [], "report.escrow: expected an object, found list"),
        ("gas.commit_gradient", 1, "report.gas: unknown field 'commit_gradient'"),
        ("events.0.kind", "earthquake", "report.events[0].kind: expected one of poisoner_on"),
        ("extra", 1, "report: unknown field 'extra'"),
    ],
)
def test_a_wrong_field_is_named(report: RunReport, path: str, value: object, message: str) -> None:
    document = _document(report)
    _set(document, path, value)
    with pytest.raises(InvalidReport) as caught:
        RunReport.from_json(json.dumps(document))
    assert message in caught.value.message


def test_a_missing_field_is_named(report: RunReport) -> None:
    document = _document(report)
    del document["escrow"]["left_wei"]
    with pytest.raises(InvalidReport, match=r"report\.escrow: the field 'left_wei' is missing") as caught:
        RunReport.from_json(json.dumps(document))
    assert "report.json" in caught.value.hint


def test_whole_numbers_are_accepted_where_fractions_may_be(report: RunReport) -> None:
    document = _document(report) | {"wall_seconds": 48}
    assert RunReport.from_json(json.dumps(document)).wall_seconds == 48.0


def test_what_later_versions_may_leave_out_has_defaults(report: RunReport) -> None:
    document = _document(report)
    for key in ("events", "spec", "spec_cid", "model_cid", "versions", "machine", "started_at"):
        del document[key]
    assert RunReport.from_json(json.dumps(document)).events == []


@given(st.text() | JSON.map(json.dumps))
def test_nothing_but_a_report_is_a_report(text: str) -> None:
    with pytest.raises(InvalidReport):
        RunReport.from_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, "{", ""])
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidReport):
        RunReport.from_json(text)


def test_control_codes_of_a_key_do_not_reach_the_error(report: RunReport) -> None:
    with pytest.raises(InvalidReport) as caught:
        RunReport.from_json(json.dumps(_document(report) | {"\x1b[2J": 1}))
    assert "\x1b" not in caught.value.message


def test_tally_counts_rounds_by_miner() -> None:
    rows = [
        RoundRow(0, 0, ["a", "b"], {}, None, None, None, 1.0, 2),
        RoundRow(1, 0, ["a"], {"b": "not_finite"}, None, None, None, 1.0, 1),
    ]
    a, b, c = tally_miners(rows, {"a": 2, "b": 1, "c": 0}, {"b": "miner 2"})
    assert (a.rounds_accepted, a.rounds_rejected, a.paid_wei, a.label) == (2, 0, 2, "")
    assert (b.rounds_accepted, b.rounds_rejected, b.paid_wei, b.label) == (1, 1, 1, "miner 2")
    assert (c.rounds_accepted, c.rounds_rejected, c.paid_wei) == (0, 0, 0)
