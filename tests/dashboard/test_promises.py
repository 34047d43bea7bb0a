from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.dashboard import findings as verdict
from pot_chain.dashboard.findings import findings
from pot_chain.dashboard.model import EventKind, RoundRow, RunEvent, RunReport, Score, tally_miners
from pot_chain.dashboard.promises import PARAMETER_TOLERANCE, Topic, broken_promises

Change = Callable[[RunReport], RunReport]


def _with(**values: Any) -> Change:
    return lambda report: dataclasses.replace(report, **values)


def _row(index: int, /, **values: Any) -> Change:
    def change(report: RunReport) -> RunReport:
        rows = list(report.rounds)
        rows[index] = dataclasses.replace(rows[index], **values)
        return dataclasses.replace(report, rounds=rows)

    return change


def _part(name: str, **values: Any) -> Change:
    return lambda report: dataclasses.replace(report, **{name: dataclasses.replace(getattr(report, name), **values)})


def _miner(index: int, **values: Any) -> Change:
    def change(report: RunReport) -> RunReport:
        miners = list(report.miners)
        miners[index] = dataclasses.replace(miners[index], **values)
        return dataclasses.replace(report, miners=miners)

    return change


def _poison_accepted(report: RunReport) -> RunReport:
    """The poisoner's gradient slips into round 7."""
    poisoner = report.miners[2].address
    changed = _row(7, accepted=[*report.rounds[7].accepted, poisoner], rejected={})(report)
    return dataclasses.replace(
        changed, miners=tally_miners(changed.rounds, {m.address: m.paid_wei for m in report.miners}, report.labels)
    )


def _poison_unnoticed(report: RunReport) -> RunReport:
    """A miner is said to send poison in rounds in which nobody rejects it."""
    event = RunEvent(1.0, EventKind.POISONER_ON, "", 15, report.miners[0].address)
    return dataclasses.replace(report, events=[*report.events, event])


def _all_accepted(report: RunReport) -> RunReport:
    """A run without faults: every miner in every round."""
    everyone = [miner.address for miner in report.miners]
    rows = [dataclasses.replace(row, accepted=everyone, rejected={}, earned_wei={}) for row in report.rounds]
    miners = tally_miners(rows, {miner.address: miner.paid_wei for miner in report.miners}, report.labels)
    return dataclasses.replace(
        report, rounds=rows, miners=miners, events=[], parameters_relative_difference=PARAMETER_TOLERANCE
    )


def test_the_sample_keeps_its_promises(report: RunReport) -> None:
    assert report.check() == []
    assert all(finding.holds and finding.details for finding in findings(report))


@pytest.mark.parametrize(
    ("topic", "change", "sentence"),
    [
        (Topic.ROUNDS, _with(rounds_finalized=19), "Only 19 of 20 rounds are final."),
        (Topic.ROUNDS, _with(rounds_finalized=21), "The report lists 20 final rounds, but the chain counts 21."),
        (Topic.ROUNDS, _row(3, number=4), "The rounds are not listed once each, in order, from round 0."),
        (Topic.ROUNDS, _row(3, skipped=True), "Round 3 was skipped, but accepted or paid something."),
        (
            Topic.ROUNDS,
            _with(events=[RunEvent(1.0, EventKind.NOTE, "", 21)]),
            "An event is dated to round 21, which does not exist.",
        ),
        (Topic.MODEL, _with(final=Score(None, 0.1)), "The final accuracy is not a number from 0 to 1."),
        (Topic.MODEL, _with(final=Score(1.01, 0.1)), "The final accuracy is not a number from 0 to 1."),
        (Topic.MODEL, _with(final=Score(0.95, float("nan"))), "The final loss is not a finite number."),
        (Topic.MODEL, _part("centralized", loss=None), "The centralised loss is not a finite number."),
        (
            Topic.MODEL,
            _part("centralized", accuracy=0.9),
            "The final accuracy 0.9583 differs from the centralised run's 0.9000 by more than 0.01.",
        ),
        (Topic.MODEL, _row(19, accuracy=0.9), "The final accuracy is 0.958333, but its curve ends at 0.9."),
        (Topic.MODEL, _part("centralized", loss=0.2), "The centralised loss is 0.2, but its curve ends at 0.142925."),
        (
            Topic.MODEL,
            lambda report: _with(parameters_relative_difference=2e-5)(_all_accepted(report)),
            "No gradient is missing, but the final parameters differ from the centralised run's by 2.0e-05, "
            "more than 1e-05.",
        ),
        (
            Topic.MODEL,
            lambda report: _with(parameters_relative_difference=float("nan"))(_all_accepted(report)),
            "No gradient is missing, but the final parameters differ from the centralised run's by nan, "
            "more than 1e-05.",
        ),
        (
            Topic.MODEL,
            lambda report: _with(parameters_relative_difference=None)(_all_accepted(report)),
            "No gradient is missing, but the final parameters were not compared with the centralised run's.",
        ),
        (
            Topic.VERIFICATION,
            lambda report: _row(2, rejected={report.miners[0].address: "duplicate"})(report),
            "Round 2 both accepts and rejects miner 1.",
        ),
        (
            Topic.VERIFICATION,
            lambda report: _row(2, accepted=[*report.rounds[2].accepted, report.miners[0].address])(report),
            "Round 2 accepts a miner twice.",
        ),
        (
            Topic.VERIFICATION,
            lambda report: _row(7, earned_wei={report.miners[2].address: 1})(report),
            "miner 3 was rejected in round 7, but paid for it.",
        ),
        (
            Topic.VERIFICATION,
            lambda report: _row(2, rejected={"0xstranger": "duplicate"})(report),
            "0xstranger took part in a round, but is not listed among the miners.",
        ),
        (Topic.VERIFICATION, lambda r: _with(miners=[*r.miners, r.miners[0]])(r), "A miner is listed twice."),
        (
            Topic.VERIFICATION,
            _miner(0, rounds_accepted=21),
            "miner 1 is said to be accepted in 21 rounds, but the rounds say 20.",
        ),
        (
            Topic.VERIFICATION,
            _miner(2, rounds_rejected=1),
            "miner 3 is said to be rejected in 1 round, but the rounds say 5.",
        ),
        (
            Topic.VERIFICATION,
            _miner(2, address="0xidle", label="idle"),
            "idle was paid, but no gradient of it was accepted.",
        ),
        (Topic.VERIFICATION, _poison_accepted, "miner 3 sent poisoned gradients that were accepted in round 7."),
        (Topic.VERIFICATION, _poison_unnoticed, "miner 1 sent poisoned gradients, but none was rejected."),
        (
            Topic.MONEY,
            _part("escrow", refunded_wei=0),
            "The escrow does not add up: 1.000000000000000007 ETH funded, but 0.955 ETH paid, refunded and left.",
        ),
        (Topic.MONEY, _part("escrow", left_wei=1), "0.000000000000000001 ETH is left in the escrow."),
        (Topic.MONEY, _part("escrow", refunded_wei=-1), "The amount refunded is negative."),
        (
            Topic.MONEY,
            _miner(1, paid_wei=1),
            "Miners and validators were paid 0.795000000000000001 ETH, but the escrow paid 0.955 ETH.",
        ),
        (Topic.MONEY, _miner(1, paid_wei=-1), "miner 2 was paid a negative amount."),
        (Topic.MONEY, _miner(1, paid_wei=1), "miner 2 earned 0.16 ETH, but was paid 0.000000000000000001 ETH."),
        (Topic.MONEY, _row(0, paid_wei=0), "The rounds allocated 0.905 ETH, but the escrow paid 0.955 ETH."),
        (Topic.MONEY, _row(0, paid_wei=1), "What accounts earned in round 0 does not add up to what it paid."),
        (Topic.CONSENSUS, _with(view_changes=0), "0 view changes reported, but the rounds say 1."),
        (Topic.CONSENSUS, _row(0, view=-1), "A round was decided in a negative view."),
    ],
)
def test_a_broken_promise_is_told(report: RunReport, topic: Topic, change: Change, sentence: str) -> None:
    broken = change(report)
    assert sentence in broken.check()
    assert sentence in [fault.sentence for fault in broken_promises(broken) if fault.topic is topic]
    assert not all(finding.holds for finding in findings(broken))


def test_a_run_without_faults_promises_the_centralised_parameters(report: RunReport) -> None:
    assert _all_accepted(report).check() == []


def test_rejected_gradients_excuse_other_parameters(report: RunReport) -> None:
    assert _with(parameters_relative_difference=0.5)(report).check() == []


def test_skipped_rounds_are_no_fault_as_long_as_all_expected_ones_are_final(report: RunReport) -> None:
    skipped = RoundRow(20, 0, [], {}, None, None, None, 60.0, 0, skipped=True)
    assert _with(rounds=[*report.rounds, skipped])(report).check() == []


def test_rounds_without_earnings_by_account_are_checked_by_their_totals(report: RunReport) -> None:
    plain = _with(rounds=[dataclasses.replace(row, earned_wei={}) for row in report.rounds])(report)
    assert plain.check() == []


def test_a_miner_poisons_until_it_stops_or_the_run_ends(report: RunReport, poisoner: str) -> None:
    assert report.poisoned_rounds == {poisoner: set(range(6, 11))}
    endless = [event for event in report.events if event.kind is not EventKind.POISONER_OFF]
    assert _with(events=endless)(report).poisoned_rounds == {poisoner: set(range(6, 20))}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a frozen value
@given(data=st.data())
def test_no_single_wei_can_go_astray(report: RunReport, data: st.DataObject) -> None:
    """Whatever single amount changes by whatever, the report tells."""
    delta = data.draw(st.integers(-(10**18), 10**18).filter(bool))
    where = data.draw(
        st.sampled_from(["funded_wei", "paid_wei", "refunded_wei", "left_wei", "miner", "validator", "row"])
    )
    if where == "miner":
        index = data.draw(st.integers(0, len(report.miners) - 1))
        changed = _miner(index, paid_wei=report.miners[index].paid_wei + delta)(report)
    elif where == "validator":
        index = data.draw(st.integers(0, len(report.validators) - 1))
        validators = list(report.validators)
        validators[index] = dataclasses.replace(validators[index], paid_wei=validators[index].paid_wei + delta)
        changed = _with(validators=validators)(report)
    elif where == "row":
        number = data.draw(st.integers(0, len(report.rounds) - 1))
        changed = _row(number, paid_wei=report.rounds[number].paid_wei + delta)(report)
    else:
        changed = _part("escrow", **{where: getattr(report.escrow, where) + delta})(report)
    assert changed.check()


def test_the_verdict_does_not_drown_in_faults(report: RunReport) -> None:
    rows = [dataclasses.replace(row, paid_wei=row.paid_wei + 1) for row in report.rounds]
    money = next(finding for finding in findings(_with(rounds=rows)(report)) if "wei" in finding.title)
    assert len(money.details) == verdict.MOST_FAULTS + 1
    assert money.details[-1] == "And 11 more faults of this kind."
