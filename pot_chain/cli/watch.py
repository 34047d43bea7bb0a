"""Watching a task: a live screen for people, lines for logs and scripts."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ipfs.store import Store
from pot_chain.chain.network import ChainClient
from pot_chain.cli.output import stdout
from pot_chain.cli.views import (
    SpecView,
    round_json,
    round_line,
    rounds_table,
    task_facts,
    task_json,
    task_state,
    task_title,
)
from pot_chain.owner.records import RecordReader
from pot_chain.owner.tasks import RoundView, TaskView, find_task, synced, watch_task

_ROWS: Final = 15
_RECORD_TIMEOUT_S: Final = 5.0
"""A record that cannot be fetched must not freeze the screen."""


class Accuracy:
    """Accuracy on the test set by round, measured once a round; loads torch."""

    def __init__(self, client: ChainClient, store: Store, task_id: int) -> None:
        self._client, self._store, self._task_id = client, store, task_id
        self.by_round: dict[int, float] = {}

    def measure(self, item: RoundView) -> float | None:
        """Accuracy of the model that the round led to; None for a round without one."""
        from pot_chain.owner.download import fetch_model

        if item.history.final is None:
            return None
        if item.number not in self.by_round:
            model = fetch_model(self._client, self._store, self._task_id, item.number)
            self.by_round[item.number] = model.evaluate().accuracy
        return self.by_round[item.number]


def watch_live(client: ChainClient, store: Store, task_id: int, *, accuracy: bool) -> None:
    """Redraw the task until it has ended; the last screen stays.

    Raises:
        TaskNotFound: there is no such task.
        RpcDown: the chain cannot be reached any more.
    """
    spec = SpecView.of(store, find_task(synced(client), task_id))
    measured = Accuracy(client, store, task_id) if accuracy else None
    with Live(console=stdout(), refresh_per_second=8) as live:
        for view in watch_task(client, _records(store), task_id, threading.Event()):
            live.update(_screen(view, spec, measured))
            for item in view.rounds if measured else ():
                if measured and item.history.final and item.number not in measured.by_round:
                    measured.measure(item)
                    live.update(_screen(view, spec, measured))


def watch_lines(client: ChainClient, store: Store, task_id: int, *, accuracy: bool, as_json: bool) -> None:
    """Print the task, each round once it has ended, and in the end the task again.

    Raises:
        TaskNotFound: there is no such task.
        RpcDown: the chain cannot be reached any more.
    """
    spec = SpecView.of(store, find_task(synced(client), task_id))
    measured = Accuracy(client, store, task_id) if accuracy else None

    def tell(event: str, text: str, **details: Any) -> None:
        print(json.dumps({"event": event, **details}) if as_json else text, flush=True)

    printed: set[int] = set()
    for number, view in enumerate(watch_task(client, _records(store), task_id, threading.Event())):
        if number == 0:
            tell("task", f"task {task_id}: {task_title(spec)}, {task_state(view)}", **task_json(view, spec))
        for item in view.rounds:
            if item.number not in printed and not item.history.open:
                printed.add(item.number)
                score = measured.measure(item) if measured else None
                tell("round", round_line(view, item, score), **round_json(item), accuracy=score)
        if view.history.ended:
            tell("ended", f"task {task_id} is {view.history.state.name.lower()}", **task_json(view, spec))


def _records(store: Store) -> RecordReader:
    return RecordReader(store, _RECORD_TIMEOUT_S)


def _screen(view: TaskView, spec: SpecView, measured: Accuracy | None) -> RenderableType:
    parts: list[RenderableType] = [task_facts(view, spec)]
    if view.rounds:
        parts += [Text(), rounds_table(view, measured.by_round if measured else None, last=_ROWS)]
    if not view.history.ended:
        parts.append(Text(_doing(view), style="dim"))
    return Group(*parts)


def _doing(view: TaskView) -> str:
    """What is being waited for, in words."""
    current = view.history.current
    if current is None:
        return "waiting for miners: `pot miner start --task " + str(view.task_id) + "`"
    members = view.rounds[-1].members
    if len(current.commits) < members:
        return f"round {current.number}: {len(current.commits)} of {members} members have committed"
    return f"round {current.number}: the validators check and agree"
