"""How a task and its rounds look, as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from ipfs.errors import IpfsError
from ipfs.store import Store
from pot_chain.chain.history import TaskHistory
from pot_chain.cli.output import amount, facts, percent, table
from pot_chain.owner.tasks import RoundView, TaskView, read_task_spec
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.outcome import LOSS_UNIT
from pot_chain.protocol.spec import TaskSpec

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class SpecView:
    """A task's spec, or why it cannot be had."""

    spec: TaskSpec | None
    problem: str = ""

    @classmethod
    def of(cls, store: Store, task: TaskHistory) -> SpecView:
        """Fetch it; a spec that is missing or breaks a rule is no error here, only a fact about the task."""
        try:
            return cls(read_task_spec(store, task))
        except (PotError, IpfsError) as error:
            return cls(None, error.message)


def task_facts(view: TaskView, spec: SpecView) -> Table:
    """What stands above the rounds."""
    history, params = view.history, view.history.params
    rows = [("task", f"{view.task_id}: {task_title(spec)}"), ("state", task_state(view)), ("owner", history.owner)]
    rows.append(("rounds", f"{len(history.finals)} of {params.rounds} final"))
    rows.append(("miners", f"{len(view.members)} joined, {params.min_miners} to {params.max_miners} wanted"))
    if params.stop_loss_after:
        limit = f"a loss above {params.stop_loss / LOSS_UNIT:g} ends it, from {params.stop_loss_after} final rounds on"
        rows.append(("stop-loss", limit))
    rows.append(("escrow", escrow_text(view)))
    if view.losses:
        rows.append(("loss", f"{sparkline([loss for _, loss in view.losses])}  {view.losses[-1][1]:.4f}"))
    return facts([(name, escape(text)) for name, text in rows])


def escrow_text(view: TaskView) -> str:
    """Where the budget is."""
    params, token = view.history.params, view.history.params.token
    parts = [
        f"{amount(params.budget, token)} funded",
        f"{amount(view.allocated, token)} earned",
        f"{amount(view.paid, token)} paid out",
    ]
    if view.history.refunded:
        parts.append(f"{amount(view.history.refunded, token)} refunded")
    return ", ".join(parts)


def rounds_table(view: TaskView, accuracy: Mapping[int, float] | None = None, last: int | None = None) -> Table:
    """The rounds, oldest first.

    Args:
        accuracy: on the test set by round; a column is made for it unless None.
        last: only so many.
    """
    columns = ["ROUND", "STATE", "VIEW", "LOSS", *(["ACCURACY"] if accuracy is not None else [])]
    rows = table(*columns, "ACCEPTED", "REJECTED", "EARNED", right=["ROUND", "VIEW", "LOSS", "ACCURACY", "EARNED"])
    shown = view.rounds if last is None else view.rounds[-last:]
    for item in shown:
        record, final = item.record, item.history.final
        cells = [
            str(item.number),
            {"final": "[green]final[/]", "skipped": "[yellow]skipped[/]"}.get(item.state, "open"),
            str(final.view) if final else "",
            f"{record.train_loss:.4f}" if record else "",
        ]
        if accuracy is not None:
            cells.append(percent(accuracy[item.number]) if item.number in accuracy else "")
        earned = amount(sum(record.earned.values()), view.history.params.token) if record else ""
        rows.add_row(*cells, _accepted(item), escape(_rejected(item)), earned)
    return rows


def round_line(view: TaskView, item: RoundView, accuracy: float | None) -> str:
    """A round that has ended, as one line of a log."""
    if item.state == "skipped":
        return f"round {item.number}: skipped"
    parts = [f"round {item.number}: final in view {item.history.final.view if item.history.final else 0}"]
    if item.record is not None:
        parts.append(f"loss {item.record.train_loss:.4f}")
    if accuracy is not None:
        parts.append(f"accuracy {percent(accuracy)}")
    parts.append(f"accepted {_accepted(item)}")
    if _rejected(item):
        parts.append(f"rejected {_rejected(item)}")
    if item.record is not None:
        parts.append(f"earned {amount(sum(item.record.earned.values()), view.history.params.token)}")
    return ", ".join(parts)


def sparkline(values: list[float], width: int = 40) -> str:
    """``values`` as a row of bars, the latest at the right; the highest bar is the greatest value."""
    shown = values[-width:]
    low, high = min(shown), max(shown)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * steps) if high > low else 0] for value in shown)


def task_json(view: TaskView, spec: SpecView) -> dict[str, Any]:
    """The task for scripts; amounts are strings, for JSON numbers may lose digits."""
    params = view.history.params
    return {
        "task_id": view.task_id,
        "state": view.history.state.name.lower(),
        "owner": view.history.owner,
        "name": spec.spec.name if spec.spec else None,
        "spec": spec.spec.model_dump(mode="json") if spec.spec else None,
        "problem": spec.problem or None,
        "token": params.token,
        "members": list(view.members),
        "min_miners": params.min_miners,
        "max_miners": params.max_miners,
        "rounds_wanted": params.rounds,
        "rounds_final": len(view.history.finals),
        "stop_loss": {"loss": params.stop_loss / LOSS_UNIT, "after": params.stop_loss_after}
        if params.stop_loss_after
        else None,
        "cancelled_after_round": view.history.cancel_after,
        "checkpoint": "0x" + view.history.checkpoint.hex(),
        "escrow": {
            "funded": str(params.budget),
            "earned": str(view.allocated),
            "paid": str(view.paid),
            "refunded": str(view.history.refunded),
        },
        "rounds": [round_json(item) for item in view.rounds],
    }


def round_json(item: RoundView) -> dict[str, Any]:
    """A round for scripts."""
    final, record = item.history.final, item.record
    return {
        "round": item.number,
        "state": item.state,
        "members": item.members,
        "commits": len(item.history.commits),
        "view": final.view if final else None,
        "transaction": final.transaction if final else None,
        "checkpoint": "0x" + final.checkpoint.hex() if final else None,
        "record": "0x" + final.record.hex() if final else None,
        "problem": item.problem or None,
        "loss": record.train_loss if record else None,
        "accepted": list(record.accepted) if record else None,
        "rejected": dict(record.rejected) if record else None,
        "earned": {account: str(units) for account, units in record.earned.items()} if record else None,
    }


def task_title(spec: SpecView) -> str:
    """What the task is, in a few words."""
    if spec.spec is None:
        return f"its spec cannot be shown ({spec.problem})"
    return f"{spec.spec.name} ({spec.spec.model.name}, {spec.spec.training.mode})"


def task_state(view: TaskView) -> str:
    """Where the task stands, in a few words."""
    history, params = view.history, view.history.params
    text = history.state.name.lower()
    if history.state.name == "OPEN":
        return f"{text}: starts when {params.min_miners - len(view.members)} more miners join"
    if history.cancel_after is not None and not history.ended:
        return f"{text}: ends with round {history.cancel_after}"
    return text


def _accepted(item: RoundView) -> str:
    if item.record is not None:
        return f"{len(item.record.accepted)} of {item.members}"
    if item.history.open:
        return f"{len(item.history.commits)} of {item.members} committed"
    return ""


def _rejected(item: RoundView) -> str:
    """Reasons and how often, or why the record is not there."""
    if item.record is None:
        return f"record: {item.problem}" if item.problem else ""
    counts = Counter(item.record.rejected.values())
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
