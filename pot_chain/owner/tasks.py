"""Tasks as owners and miners want to see them: from the chain's events and the round records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ipfs.errors import IpfsError
from ipfs.store import Store
from pot_chain.chain.errors import TaskNotFound
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.owner.records import RecordReader
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.record import RoundRecord
from pot_chain.protocol.spec import MAX_SPEC_BYTES, TaskSpec

WATCH_INTERVAL_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round and, once it is final, its record.

    Attributes:
        members: size of its roster.
        record: None while the round is not final, or when the record cannot be had.
        problem: why it cannot be had; empty otherwise.
    """

    history: RoundHistory
    members: int
    record: RoundRecord | None = None
    problem: str = ""

    @property
    def number(self) -> int:
        """Number of the round; counts skipped rounds too."""
        return self.history.number

    @property
    def state(self) -> str:
        """``open``, ``final`` or ``skipped``."""
        return "open" if self.history.open else "skipped" if self.history.skipped else "final"


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task at one moment.

    Attributes:
        now: time of the latest block, seconds.
        rounds: in order; the open one last.
        members: members of the open round, or of the next one.
    """

    history: TaskHistory
    now: int
    rounds: tuple[RoundView, ...]
    members: tuple[str, ...]

    @property
    def task_id(self) -> int:
        """Number of the task."""
        return self.history.task_id

    @property
    def allocated(self) -> int:
        """Earned so far by miners and validators (wei or token units)."""
        finals = self.history.finals
        return finals[-1].final.rewards_total if finals and finals[-1].final else 0

    @property
    def paid(self) -> int:
        """Claimed so far."""
        return sum(self.history.claimed.values())

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Mean training loss by round number, of the final rounds whose record is known."""
        return [(view.number, view.record.train_loss) for view in self.rounds if view.record is not None]


def synced(client: ChainClient) -> ChainClient:
    """``client`` once it knows all that has happened on the chain."""
    while client.poll():
        pass
    return client


def find_task(client: ChainClient, task_id: int) -> TaskHistory:
    """The history of a task; ``client`` must be synced.

    Raises:
        TaskNotFound: there is no such task.
    """
    task = client.history.tasks.get(task_id)
    if task is None:
        raise TaskNotFound(task_id, len(client.history.tasks))
    return task


def list_tasks(client: ChainClient) -> list[TaskHistory]:
    """All tasks, oldest first; ``client`` must be synced."""
    return [client.history.tasks[task_id] for task_id in sorted(client.history.tasks)]


def read_task_spec(store: Store, task: TaskHistory) -> TaskSpec:
    """The spec of a task.

    Raises:
        ProtocolError: it breaks a rule. IpfsError: it cannot be fetched.
    """
    return TaskSpec.from_bytes(store.get_manifest(task.params.spec, max_bytes=MAX_SPEC_BYTES))


def view_task(client: ChainClient, records: RecordReader, task_id: int) -> TaskView:
    """The task now; ``client`` must be synced.

    A record that cannot be had is named in its round and does not keep the rest from being shown.

    Raises:
        TaskNotFound: there is no such task.
    """
    task = find_task(client, task_id)
    rounds = tuple(_view_round(task, task.rounds[number], records) for number in sorted(task.rounds))
    roster = task.current.number if task.current else max(task.rounds, default=-1) + 1
    return TaskView(task, client.now, rounds, task.membership.members(roster))


def watch_task(client: ChainClient, records: RecordReader, task_id: int, stop: threading.Event) -> Iterator[TaskView]:
    """The task again and again, at each look at the chain, until it has ended (that view is the last) or ``stop``.

    Raises:
        TaskNotFound: there is no such task.
        RpcDown: the chain cannot be reached any more.
    """
    while not stop.is_set():
        view = view_task(synced(client), records, task_id)
        yield view
        if view.history.ended:
            return
        stop.wait(WATCH_INTERVAL_S)


def _view_round(task: TaskHistory, history: RoundHistory, records: RecordReader) -> RoundView:
    members = len(task.membership.members(history.number))
    if history.final is None:
        return RoundView(history, members)
    try:
        return RoundView(history, members, records.read(task, history))
    except (PotError, IpfsError) as error:
        return RoundView(history, members, problem=error.message)
