"""The pictures of a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from pot_chain.dashboard.charts import (
    Band,
    GridRow,
    LineChart,
    Mark,
    Series,
    grid,
    line_chart,
    line_key,
    plottable,
    symbol,
)
from pot_chain.dashboard.model import CentralizedRound, EventKind, RoundRow, RunReport
from pot_chain.dashboard.text import (
    count_text,
    name_of,
    number_text,
    percent_text,
    reason_text,
    runs,
    shortened,
    visible,
)

_MARK_OF: Final = {EventKind.VALIDATOR_KILLED: "killed", EventKind.VALIDATOR_RESTARTED: "restarted"}

_LABEL_CHARACTERS: Final = 13


def loss_chart(report: RunReport) -> Markup:
    """Test loss by round beside the centralised run."""
    return _chart(report, "Test loss", lambda row: row.test_loss, number_text, lambda y: f"{y:.3g}")


def accuracy_chart(report: RunReport) -> Markup:
    """Accuracy by round beside the centralised run."""
    return _chart(report, "Accuracy", lambda row: row.accuracy, percent_text, lambda y: percent_text(y, 0))


def _chart(
    report: RunReport,
    title: str,
    measure: Callable[[RoundRow | CentralizedRound], float | None],
    write: Callable[[float], str],
    write_tick: Callable[[float], str],
) -> Markup:
    """The curve of the rounds over that of the centralised run: where they coincide, both stay visible."""
    ours = _points(report.final_rounds, measure)
    reference = _points(report.centralized.rounds, measure)
    described = [
        f"{name} from {write(curve[0][1])} to {write(curve[-1][1])}"
        for name, curve in (("this run", ours), ("centralised run", reference))
        if curve
    ]
    return line_chart(
        LineChart(
            title=f"{title} by round",
            description="; ".join(described) or "not measured",
            x_label="round",
            last_x=_last_round(report),
            series=[Series("centralised run", "reference", reference), Series("this run", "ours", ours)],
            write=write,
            write_tick=write_tick,
            marks=_marks(report),
            bands=_bands(report),
        )
    )


def _points(
    rows: list[RoundRow] | list[CentralizedRound], measure: Callable[[RoundRow | CentralizedRound], float | None]
) -> list[tuple[float, float]]:
    measured = ((row.number, measure(row)) for row in rows)
    return [(number, y) for number, y in measured if y is not None and plottable(y)]


def _last_round(report: RunReport) -> int:
    numbers = [row.number for row in report.rounds] + [row.number for row in report.centralized.rounds]
    return max(numbers, default=0)


def _marks(report: RunReport) -> list[Mark]:
    """Kills and restarts from the events; views from the rounds, which know all of them."""
    last = _last_round(report)
    marks = [
        Mark(event.round, _MARK_OF[event.kind], f"round {event.round}: {visible(event.text)}")
        for event in report.events
        if event.kind in _MARK_OF and event.round is not None and 0 <= event.round <= last
    ]
    marks += [
        Mark(row.number, "view", f"round {row.number}: decided in view {row.view}") for row in report.rounds if row.view
    ]
    return sorted(marks, key=lambda mark: mark.x)


def _bands(report: RunReport) -> list[Band]:
    """Rounds in which somebody sent poison."""
    return [
        Band(first, last, f"{name_of(address, report.labels)} sends poisoned gradients: rounds {first} to {last}")
        for address, rounds in report.poisoned_rounds.items()
        for first, last in runs(rounds)
    ]


def chart_legend(report: RunReport) -> list[tuple[Markup, str]]:
    """Key and meaning of what the curves show in this report."""
    kinds = {mark.kind for mark in _marks(report)}
    return [
        (line_key("ours"), "this run"),
        (line_key("reference"), "centralised run of the same spec, seed and samples"),
        *([(symbol("poisoned"), "poisoned gradients were sent")] if _bands(report) else []),
        *([(symbol("killed"), "validator killed")] if "killed" in kinds else []),
        *([(symbol("restarted"), "validator started again")] if "restarted" in kinds else []),
        *([(symbol("view"), "view change: another primary took over")] if "view" in kinds else []),
    ]


def participation(report: RunReport) -> Markup | None:
    """Who was accepted in which round; None if there is nothing to show or too much for a picture."""
    labels = report.labels
    rows = [
        GridRow(
            shortened(name_of(miner.address, labels), _LABEL_CHARACTERS),
            [_cell(row, miner.address, labels) for row in report.rounds],
        )
        for miner in report.miners
    ]
    rejected = sum(len(row.rejected) for row in report.rounds)
    accepted = sum(len(row.accepted) for row in report.rounds)
    described = f"{count_text(accepted, 'gradient')} accepted, {rejected:,} rejected; the tables name them"
    return grid("Gradients by miner and round", described, rows)


def participation_legend(report: RunReport) -> list[tuple[Markup, str]]:
    """Key and meaning of the symbols of ``participation``."""
    return [
        (symbol("accepted"), "accepted"),
        (symbol("rejected"), "rejected"),
        (symbol("absent"), "not in the round, or the round was skipped"),
    ]


def _cell(row: RoundRow, address: str, labels: dict[str, str]) -> tuple[str, str]:
    where = f"{name_of(address, labels)}, round {row.number}"
    if address in row.rejected:
        return "rejected", f"{where}: rejected, {reason_text(row.rejected[address])}"
    if address in row.accepted:
        return "accepted", f"{where}: accepted"
    return "absent", f"{where}: {'skipped' if row.skipped else 'absent'}"
