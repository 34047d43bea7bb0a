"""What the demonstration promises to show; the command fails if the run did not show it."""

from __future__ import annotations

from pot_chain.cli.demonstration.scenario import Scenario
from pot_chain.dashboard.model import EventKind, RunReport
from pot_chain.protocol.units import format_amount

ACCURACY_TOLERANCE = 0.01
PARAMETER_TOLERANCE = 1e-5


def unmet(report: RunReport, scenario: Scenario) -> list[str]:
    """Promises of the scenario that the run did not keep, as sentences."""
    broken = []
    if report.rounds_finalized != scenario.rounds:
        broken.append(f"{report.rounds_finalized} of {scenario.rounds} rounds are final.")
    if report.escrow.left_wei != 0:
        broken.append(f"{report.escrow.left_wei} wei are left in the contract.")
    if report.final.accuracy is None or report.centralized.accuracy is None:
        broken.append("The accuracy is unknown.")
    elif abs(report.final.accuracy - report.centralized.accuracy) > ACCURACY_TOLERANCE:
        broken.append("The accuracy differs from the centralised run's by more than one point.")
    return broken + (_unmet_faults(report, scenario) if scenario.faults else _unmet_parity(report))


def _unmet_faults(report: RunReport, scenario: Scenario) -> list[str]:
    broken = []
    poisoner = next((event.node for event in report.events if event.kind is EventKind.POISONER_ON), "")
    first, last = scenario.poisoned_rounds
    for row in report.rounds:
        if first <= row.number <= last and not row.skipped:
            if poisoner not in row.rejected:
                broken.append(f"The poisoned gradient of round {row.number} was not rejected.")
            if row.earned_wei.get(poisoner, 0):
                broken.append(f"The poisoner was paid for round {row.number}.")
        elif row.rejected:
            broken.append(f"An honest gradient was rejected in round {row.number}.")
    killed = report.rounds[scenario.kill_round]
    if killed.view < 1:
        broken.append(f"The primary of round {killed.number} was killed, and yet the round was decided in its view.")
    restarted = next((e for e in report.events if e.kind is EventKind.VALIDATOR_RESTARTED), None)
    if restarted is None or restarted.round is None:
        return [*broken, "The killed validator was not started again."]
    since = [row for row in report.rounds if row.number >= (restarted.round or 0)]
    if not any(row.earned_wei.get(restarted.node, 0) for row in since):
        broken.append("The validator that was started again has taken no part since.")
    return broken


def _unmet_parity(report: RunReport) -> list[str]:
    distance = report.parameters_relative_difference
    if distance is None or not distance <= PARAMETER_TOLERANCE:
        return [f"The parameters differ from the centralised run's by {distance} (relative), more than 1e-5."]
    return []


def summary(report: RunReport) -> str:
    """The result in a few lines."""
    rejected = sum(miner.rounds_rejected for miner in report.miners)
    escrow = report.escrow
    return "\n".join(
        (
            f"rounds final      {report.rounds_finalized} of {report.rounds_expected}, "
            f"{report.view_changes} view change(s), {rejected} gradient(s) rejected",
            f"accuracy          {_percent(report.final.accuracy)}, "
            f"centralised {_percent(report.centralized.accuracy)}; "
            f"parameters differ by {report.parameters_relative_difference:.1e} (relative)",
            f"escrow            {format_amount(escrow.funded_wei)} = {format_amount(escrow.paid_wei)} paid "
            f"+ {format_amount(escrow.refunded_wei)} refunded + {escrow.left_wei} wei left",
            f"time              {report.wall_seconds:.1f} s of training, "
            f"{report.wall_seconds / max(1, len(report.rounds)):.2f} s a round; "
            f"centralised {report.centralized.wall_seconds:.2f} s",
            f"content store     {report.ipfs.backend}" + (f" ({report.ipfs.reason})" if report.ipfs.reason else ""),
        )
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.2f} %"
