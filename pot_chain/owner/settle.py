"""Ending a task early, and getting back what nobody has earned."""

from __future__ import annotations

from dataclasses import dataclass

from pot_chain.chain.bindings import Task, TaskState
from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import NothingToPay, NotYours, WrongState
from pot_chain.owner.signer import account_of


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A request to end a task.

    Attributes:
        after_round: the open round, with which the task ends; None if it has ended at once.
    """

    task_id: int
    after_round: int | None
    transaction: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """Escrow that went back to the owner."""

    task_id: int
    owner: str
    amount: int
    transaction: str


def cancel_task(client: ChainClient, task_id: int) -> Cancelled:
    """End one's own task: at once while it is open, with the open round while it runs.

    Raises:
        TaskNotFound: there is no such task.
        NotYours: the client's account is not its owner.
        WrongState: it has ended, or its end has been asked for.
        ChainError: the transaction fails.
    """
    account, task = account_of(client).address, client.training.task(task_id)
    if task.owner != account:
        raise NotYours(f"task {task_id} belongs to {task.owner}, not to {account}", "give the owner's --keystore")
    if task.state.ended:
        raise WrongState(
            f"task {task_id} has ended already ({_name(task)})", f"`pot task refund {task_id}` returns what is left"
        )
    if task.cancel_requested:
        raise WrongState(
            f"task {task_id} is being cancelled: it ends with round {task.round}",
            f"`pot task watch {task_id}` shows when",
        )
    mined = client.send(client.training.cancel_task(task_id))
    task = client.training.task(task_id)
    return Cancelled(task_id, None if task.state.ended else task.round, mined.transaction)


def refund_task(client: ChainClient, task_id: int) -> Refunded:
    """Return the escrow that no round has allocated to the owner of an ended task; anybody may do it.

    A task whose time is over and that only lacks somebody to say so (it did not start in time, or its cancelled last
    round cannot be finalized any more) is ended first.

    Raises:
        TaskNotFound: there is no such task.
        WrongState: it has not ended.
        NothingToPay: all of the escrow is earned or returned.
        ChainError: a transaction fails.
    """
    task = client.training.task(task_id)
    if not task.state.ended:
        task = _end_if_due(client, task_id, task)
    amount = task.params.budget - task.allocated - task.refunded
    if amount == 0:
        raise NothingToPay(
            f"nothing is left to refund of task {task_id}",
            "all of the budget was earned" if task.refunded == 0 else "the rest went back to the owner before",
        )
    mined = client.send(client.training.refund(task_id))
    return Refunded(task_id, task.owner, amount, mined.transaction)


def _end_if_due(client: ChainClient, task_id: int, task: Task) -> Task:
    client.poll()  # brings ``now`` up to date
    if task.state is TaskState.OPEN:
        if client.now < task.created_at + task.params.start_window:
            raise WrongState(
                f"task {task_id} is open: it waits for {task.params.min_miners} miners and has {task.members}",
                f"`pot task cancel {task_id}` ends it",
            )
        client.send(client.training.expire_task(task_id))
    elif task.cancel_requested and client.now > client.training.deadlines(task_id).finalize:
        client.send(client.training.skip_round(task_id))
    else:
        raise WrongState(
            f"task {task_id} is running: round {task.round}, {task.finalized_rounds} of {task.params.rounds} are final",
            f"`pot task watch {task_id}` shows how it goes; `pot task cancel {task_id}` ends it with the open round",
        )
    return client.training.task(task_id)


def _name(task: Task) -> str:
    return task.state.name.lower()
