"""The verdict on a run in words: what it shows, and what it failed to show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pot_chain.dashboard.model import EventKind, RunReport
from pot_chain.dashboard.promises import (
    PARAMETER_TOLERANCE,
    Topic,
    broken_promises,
    expects_equal_parameters,
)
from pot_chain.dashboard.text import count_text, name_of, percent_text, seconds_text
from pot_chain.protocol.units import format_amount

MOST_FAULTS: Final = 10
"""Of one topic; ``RunReport.check`` tells all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the run was to show; ``details`` are facts, or what contradicts it."""

    title: str
    holds: bool
    details: tuple[str, ...]


def findings(report: RunReport) -> list[Finding]:
    """A finding for each topic of the promises, in the order in which a reader asks."""
    broken = broken_promises(report)
    found = []
    for topic, title, facts in _TOPICS:
        faults = [fault.sentence for fault in broken if fault.topic is topic]
        if len(faults) > MOST_FAULTS:
            faults = [*faults[:MOST_FAULTS], f"And {count_text(len(faults) - MOST_FAULTS, 'more fault')} of this kind."]
        found.append(Finding(title, not faults, tuple(faults or facts(report))))
    return found


def _rounds(report: RunReport) -> list[str]:
    skipped = len(report.rounds) - len(report.final_rounds)
    facts = [
        f"{report.rounds_finalized} of {count_text(report.rounds_expected, 'round')} finalized on chain, each with "
        f"a certificate that the contract verified, in {seconds_text(report.wall_seconds)}."
    ]
    if skipped:
        facts.append(f"{count_text(skipped, 'round')} skipped, unpaid.")
    return facts


def _model(report: RunReport) -> list[str]:
    final, reference = report.final.accuracy, report.centralized.accuracy
    facts = []
    if final is not None and reference is not None:
        points = 100 * (final - reference)
        facts.append(
            f"Accuracy {percent_text(final)}; the same training in one process reaches {percent_text(reference)} "
            f"({points:+.2f} points)."
        )
    difference = report.parameters_relative_difference
    if difference is not None and math.isfinite(difference):
        if expects_equal_parameters(report):
            facts.append(
                f"No gradient was left out, and the final parameters equal the centralised run's: relative difference "
                f"{difference:.1e} (at most {PARAMETER_TOLERANCE:.0e})."
            )
        else:
            facts.append(
                f"Its final parameters differ from the centralised run's by a relative {difference:.1e}: "
                f"rejected and absent gradients are not in them."
            )
    return facts


def _verification(report: RunReport) -> list[str]:
    rejected = sum(miner.rounds_rejected for miner in report.miners)
    accepted = sum(miner.rounds_accepted for miner in report.miners)
    facts = [f"{count_text(accepted, 'gradient')} accepted, {rejected:,} rejected."]
    for address, rounds in report.poisoned_rounds.items():
        caught = sum(address in row.rejected for row in report.rounds if row.number in rounds)
        facts.append(
            f"{name_of(address, report.labels)} sent poisoned gradients: rejected in {count_text(caught, 'round')}, "
            "accepted in none, unpaid for them."
        )
    return facts


def _money(report: RunReport) -> list[str]:
    escrow = report.escrow
    return [
        f"{format_amount(escrow.funded_wei)} funded = {format_amount(escrow.paid_wei)} paid "
        f"+ {format_amount(escrow.refunded_wei)} refunded; nothing is left in the contract."
    ]


def _consensus(report: RunReport) -> list[str]:
    killed = sum(event.kind is EventKind.VALIDATOR_KILLED for event in report.events)
    restarted = sum(event.kind is EventKind.VALIDATOR_RESTARTED for event in report.events)
    facts = [f"{count_text(len(report.validators), 'validator')}, {count_text(report.view_changes, 'view change')}."]
    if killed:
        facts.append(f"{count_text(killed, 'validator')} killed in mid-run, {restarted} started again.")
    return facts


_TOPICS: Final[tuple[tuple[Topic, str, Callable[[RunReport], list[str]]], ...]] = (
    (Topic.ROUNDS, "Every round is final", _rounds),
    (Topic.MODEL, "The model is as good as centralised training makes it", _model),
    (Topic.VERIFICATION, "Bad work was neither used nor paid", _verification),
    (Topic.MONEY, "The money adds up to the wei", _money),
    (Topic.CONSENSUS, "The validators agreed", _consensus),
)
