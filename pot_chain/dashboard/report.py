"""``report.html``: a run as one page that needs nothing else, neither script nor network."""

from __future__ import annotations

import functools
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pot_chain.dashboard import figures, text
from pot_chain.dashboard.findings import findings
from pot_chain.dashboard.model import MinerTotal, RunReport, ValidatorTotal


@dataclass(frozen=True, slots=True)
class Payee:
    """A line of the tables of miners and validators.

    Attributes:
        reasons: why gradients were rejected, and in which rounds.
        paid: ETH, exact, with as many decimals as the others of the table.
        share: of everything paid, a share of 1.
    """

    name: str
    address: str
    accepted: int
    rejected: int
    reasons: tuple[tuple[str, str], ...]
    paid: str
    share: float


def render_html(report: RunReport) -> str:
    """The page. What strangers wrote (addresses, reasons, labels) is escaped, and characters that print nothing are
    replaced; the result encodes as UTF-8.
    """
    return _environment().get_template("report.html.j2").render(_context(report))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pot_chain.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": text.rounded_amount,
        "bytes": text.bytes_text,
        "ether": text.ether_text,
        "number": text.number_text,
        "percent": text.percent_text,
        "reason": text.reason_text,
        "seconds": text.seconds_text,
    }
    return environment


def _printable(value: Any) -> Any:
    return text.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _context(report: RunReport) -> dict[str, Any]:
    """What the template reads."""
    found = findings(report)
    seconds = [row.seconds for row in report.final_rounds]
    return {
        "report": report,
        "name": str(report.spec.get("name") or f"task {report.task_id}"),
        "findings": found,
        "holds": all(finding.holds for finding in found),
        "broken": sum(not finding.holds for finding in found),
        "started": _moment(report.started_at),
        "loss_chart": figures.loss_chart(report),
        "accuracy_chart": figures.accuracy_chart(report),
        "chart_legend": figures.chart_legend(report),
        "participation": figures.participation(report),
        "participation_legend": figures.participation_legend(report),
        "miners": _payees(report, report.miners),
        "validators": _payees(report, report.validators),
        "paid_miners": sum(miner.paid_wei for miner in report.miners),
        "paid_validators": sum(validator.paid_wei for validator in report.validators),
        "paid_rounds": text.aligned_amounts([row.paid_wei for row in report.rounds]),
        "reference": {row.number: row for row in report.centralized.rounds},
        "named": lambda address: text.name_of(address, report.labels),
        "median_seconds": statistics.median(seconds) if seconds else None,
        "slowest": max(report.final_rounds, key=lambda row: row.seconds, default=None),
        "has_content": any(row.checkpoint or row.record or row.transaction for row in report.rounds),
        "spec": _json_lines(report.spec),
    }


def _payees(report: RunReport, payees: Sequence[MinerTotal | ValidatorTotal]) -> list[Payee]:
    total = sum(payee.paid_wei for payee in report.payees)
    rounds: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in report.rounds:
        for address, reason in row.rejected.items():
            rounds[address][text.reason_text(reason)].append(row.number)
    return [
        Payee(
            name=text.name_of(payee.address, report.labels),
            address=payee.address,
            accepted=payee.rounds_accepted if isinstance(payee, MinerTotal) else 0,
            rejected=payee.rounds_rejected if isinstance(payee, MinerTotal) else 0,
            reasons=tuple((reason, text.ranges_text(numbers)) for reason, numbers in rounds[payee.address].items()),
            paid=paid,
            share=payee.paid_wei / total if total > 0 else 0.0,
        )
        for payee, paid in zip(payees, text.aligned_amounts([payee.paid_wei for payee in payees]), strict=True)
    ]


def _json_lines(value: object) -> Markup:
    """Indented JSON, escaped; its line breaks stay, all else that prints nothing is replaced."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return Markup("\n").join(text.visible(line) for line in lines)


def _moment(unix_time: int | None) -> str:
    try:
        return "" if unix_time is None else datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return f"Unix time {unix_time}"
