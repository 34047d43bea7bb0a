"""What a run report promises, and which of it does not hold.

The headline of the page and ``RunReport.check`` both come from here, so that they cannot contradict each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pot_chain.dashboard.text import count_text, name_of, ranges_text
from pot_chain.protocol.units import format_amount

if TYPE_CHECKING:
    from pot_chain.dashboard.model import RoundRow, RunReport

ACCURACY_TOLERANCE: Final = 0.01
"""Greatest difference of the final accuracy from the centralised run's; a share of 1."""

PARAMETER_TOLERANCE: Final = 1e-5
"""Greatest relative L2 difference of the final parameters from the centralised run's when nothing was rejected."""


class Topic(StrEnum):
    """What a promise is about."""

    ROUNDS = "rounds"
    MODEL = "model"
    VERIFICATION = "verification"
    MONEY = "money"
    CONSENSUS = "consensus"


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that does not hold, as a sentence."""

    topic: Topic
    sentence: str


def broken_promises(report: RunReport) -> list[Broken]:
    """All promises of ``report`` that do not hold, by topic."""
    return [Broken(topic, sentence) for topic, check in _CHECKS for sentence in check(report)]


def expects_equal_parameters(report: RunReport) -> bool:
    """Whether every gradient of every round went into the model: then it must be the centralised run's."""
    members = len(report.miners)
    return bool(report.rounds) and all(not row.skipped and len(row.accepted) == members for row in report.rounds)


def _rounds(report: RunReport) -> Iterator[str]:
    rows = report.rounds
    if report.rounds_finalized != report.rounds_expected:
        yield f"Only {report.rounds_finalized} of {count_text(report.rounds_expected, 'round')} are final."
    if len(report.final_rounds) != report.rounds_finalized:
        yield (
            f"The report lists {count_text(len(report.final_rounds), 'final round')}, "
            f"but the chain counts {report.rounds_finalized}."
        )
    if [row.number for row in rows] != list(range(len(rows))):
        yield "The rounds are not listed once each, in order, from round 0."
    for row in rows:
        if row.skipped and (row.accepted or row.paid_wei):
            yield f"Round {row.number} was skipped, but accepted or paid something."
    for event in report.events:
        if event.round is not None and not 0 <= event.round <= len(rows):
            yield f"An event is dated to round {event.round}, which does not exist."


def _model(report: RunReport) -> Iterator[str]:
    for name, accuracy, loss in (
        ("final", report.final.accuracy, report.final.loss),
        ("centralised", report.centralized.accuracy, report.centralized.loss),
    ):
        if accuracy is None or not 0 <= accuracy <= 1:
            yield f"The {name} accuracy is not a number from 0 to 1."
        if loss is None or not math.isfinite(loss):
            yield f"The {name} loss is not a finite number."
    final, reference = report.final.accuracy, report.centralized.accuracy
    if final is not None and reference is not None and not abs(final - reference) <= ACCURACY_TOLERANCE + 1e-12:
        yield (
            f"The final accuracy {final:.4f} differs from the centralised run's {reference:.4f} "
            f"by more than {ACCURACY_TOLERANCE}."
        )
    yield from _curves(report)
    if expects_equal_parameters(report):
        difference = report.parameters_relative_difference
        if difference is None:
            yield "No gradient is missing, but the final parameters were not compared with the centralised run's."
        elif not difference <= PARAMETER_TOLERANCE:
            yield (
                f"No gradient is missing, but the final parameters differ from the centralised run's by "
                f"{difference:.1e}, more than {PARAMETER_TOLERANCE:.0e}."
            )


def _curves(report: RunReport) -> Iterator[str]:
    """The curves must end where the headline figures say."""
    if report.final_rounds:
        last = report.final_rounds[-1]
        yield from _ends("loss", "final", last.test_loss, report.final.loss)
        yield from _ends("accuracy", "final", last.accuracy, report.final.accuracy)
    if report.centralized.rounds:
        step = report.centralized.rounds[-1]
        yield from _ends("loss", "centralised", step.test_loss, report.centralized.loss)
        yield from _ends("accuracy", "centralised", step.accuracy, report.centralized.accuracy)


def _ends(what: str, name: str, curve: float | None, figure: float | None) -> Iterator[str]:
    if curve is None or figure is None or not math.isfinite(figure):
        return  # reported as a figure that is no number
    if not math.isclose(curve, figure, rel_tol=1e-5, abs_tol=1e-9):
        yield f"The {name} {what} is {figure:.6g}, but its curve ends at {curve:.6g}."


def _verification(report: RunReport) -> Iterator[str]:
    labels = report.labels
    accepted: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for row in report.rounds:
        accepted.update(row.accepted)
        rejected.update(list(row.rejected))
        if len(set(row.accepted)) != len(row.accepted):
            yield f"Round {row.number} accepts a miner twice."
        for address in sorted(set(row.accepted) & set(row.rejected)):
            yield f"Round {row.number} both accepts and rejects {name_of(address, labels)}."
        for address in row.rejected:
            if row.earned_wei.get(address):
                yield f"{name_of(address, labels)} was rejected in round {row.number}, but paid for it."
    known = {miner.address for miner in report.miners}
    if len(known) != len(report.miners):
        yield "A miner is listed twice."
    for address in sorted((set(accepted) | set(rejected)) - known):
        yield f"{name_of(address, labels)} took part in a round, but is not listed among the miners."
    for miner in report.miners:
        name = name_of(miner.address, labels)
        for what, claimed, counted in (
            ("accepted", miner.rounds_accepted, accepted[miner.address]),
            ("rejected", miner.rounds_rejected, rejected[miner.address]),
        ):
            if claimed != counted:
                yield (
                    f"{name} is said to be {what} in {count_text(claimed, 'round')}, but the rounds say {counted:,}."
                )
        if miner.paid_wei > 0 and not accepted[miner.address]:
            yield f"{name} was paid, but no gradient of it was accepted."
    yield from _poison(report)


def _poison(report: RunReport) -> Iterator[str]:
    for address, rounds in report.poisoned_rounds.items():
        name = name_of(address, report.labels)
        slipped = [row.number for row in report.rounds if row.number in rounds and address in row.accepted]
        if slipped:
            yield f"{name} sent poisoned gradients that were accepted in round {ranges_text(slipped)}."
        if not any(row.number in rounds and address in row.rejected for row in report.rounds):
            yield f"{name} sent poisoned gradients, but none was rejected."


def _money(report: RunReport) -> Iterator[str]:
    escrow = report.escrow
    amounts = {
        "funded": escrow.funded_wei,
        "paid": escrow.paid_wei,
        "refunded": escrow.refunded_wei,
        "left": escrow.left_wei,
    }
    for name, wei in amounts.items():
        if wei < 0:
            yield f"The amount {name} is negative."
    if escrow.funded_wei != escrow.paid_wei + escrow.refunded_wei + escrow.left_wei:
        total = format_amount(escrow.paid_wei + escrow.refunded_wei + escrow.left_wei)
        yield (
            f"The escrow does not add up: {format_amount(escrow.funded_wei)} funded, "
            f"but {total} paid, refunded and left."
        )
    if escrow.left_wei != 0:
        yield f"{format_amount(escrow.left_wei)} is left in the escrow."
    claimed = sum(payee.paid_wei for payee in report.payees)
    if claimed != escrow.paid_wei:
        yield (
            f"Miners and validators were paid {format_amount(claimed)}, but the escrow paid "
            f"{format_amount(escrow.paid_wei)}."
        )
    for payee in report.payees:
        if payee.paid_wei < 0:
            yield f"{name_of(payee.address, report.labels)} was paid a negative amount."
    allocated = sum(row.paid_wei for row in report.rounds)
    if allocated != escrow.paid_wei:
        yield (
            f"The rounds allocated {format_amount(allocated)}, but the escrow paid {format_amount(escrow.paid_wei)}."
        )
    yield from _earnings(report)


def _earnings(report: RunReport) -> Iterator[str]:
    """Where the rounds say who earned what, it must add up by round and by account."""
    detailed = [row for row in report.rounds if row.earned_wei]
    for row in detailed:
        if sum(row.earned_wei.values()) != row.paid_wei:
            yield f"What accounts earned in round {row.number} does not add up to what it paid."
    if not detailed or any(_lacks_detail(row) for row in report.rounds):
        return
    earned: Counter[str] = Counter()
    for row in detailed:
        earned.update(row.earned_wei)
    paid: Counter[str] = Counter()
    for payee in report.payees:
        paid[payee.address] += payee.paid_wei
    for address in dict.fromkeys([*paid, *earned]):
        if earned[address] != paid[address]:
            yield (
                f"{name_of(address, report.labels)} earned {format_amount(earned[address])}, "
                f"but was paid {format_amount(paid[address])}."
            )


def _lacks_detail(row: RoundRow) -> bool:
    return row.paid_wei != 0 and not row.earned_wei


def _consensus(report: RunReport) -> Iterator[str]:
    counted = sum(row.view for row in report.rounds)
    if counted != report.view_changes:
        yield f"{count_text(report.view_changes, 'view change')} reported, but the rounds say {counted:,}."
    if any(row.view < 0 for row in report.rounds):
        yield "A round was decided in a negative view."


_CHECKS: Final[tuple[tuple[Topic, Callable[[RunReport], Iterator[str]]], ...]] = (
    (Topic.ROUNDS, _rounds),
    (Topic.MODEL, _model),
    (Topic.VERIFICATION, _verification),
    (Topic.MONEY, _money),
    (Topic.CONSENSUS, _consensus),
)
