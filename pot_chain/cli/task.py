"""``pot task``: pay for training, watch it, take the model home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Signer, Target
from pot_chain.cli.output import Json, amount, facts, note, percent, print_json, stdout, table, waiting

app = typer.Typer(help="Create tasks, watch them, download the models.", no_args_is_help=True)

TaskId = Annotated[int, typer.Argument(metavar="TASK", min=1, help="Number of the task.")]

_EXAMPLE_SPEC = Path(__file__).with_name("example.toml").read_text(encoding="utf-8")
_CREATE_HELP = f"""Pin the data and the initial model, escrow the budget, and create a task.

Nothing is pinned or sent before it is sure that the account can pay. On a local network the wallet `owner` pays unless
--keystore names another.

Examples:

```
pot task example > digits.toml
pot task create digits.toml --budget 1.5eth
pot task create digits.toml --budget 1.5eth --stop-loss 2.5 --stop-loss-after 5
pot task create digits.toml --budget 1.5eth --keystore alice --password-file alice.password --json
```

An example SPEC, as printed by `pot task example`:

```
{_EXAMPLE_SPEC}```"""


@app.command("create", help=_CREATE_HELP)
@with_groups
def create(
    target: Target,
    signer: Signer,
    spec_file: Annotated[Path, typer.Argument(metavar="SPEC", help="Task spec, TOML or JSON.")],
    budget: Annotated[
        str | None, typer.Option("--budget", "-b", help='What all rounds together may cost, such as "1.5eth".')
    ] = None,
    stop_loss: Annotated[
        float | None,
        typer.Option("--stop-loss", metavar="LOSS", help="End the task when a final round's mean loss is above it."),
    ] = None,
    stop_loss_after: Annotated[
        int | None,
        typer.Option(
            "--stop-loss-after", metavar="ROUNDS", help="Final rounds before the loss is watched. Default: 1."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """See ``_CREATE_HELP``."""
    from pot_chain.owner.create import create_task
    from pot_chain.owner.specs import read_spec

    spec = read_spec(spec_file, budget, stop_loss=stop_loss, stop_loss_after=stop_loss_after)
    account = signer.unlock(target, default="owner")
    client = target.open_chain(account)
    with target.open_store() as store, waiting("creating the task") as say:
        created = create_task(client, store, spec, say=say)
    params, token = created.params, created.params.token
    if as_json:
        print_json(
            {
                "task_id": created.task_id,
                "transaction": created.transaction,
                "owner": account.address,
                "spec": "0x" + params.spec.hex(),
                "checkpoint": "0x" + params.checkpoint.hex(),
                "data": created.spec.data.manifest,
                "budget": str(params.budget),
                "token": token,
                "fee_wei": str(created.fee),
            }
        )
        return
    rows = [
        ("task", str(created.task_id)),
        ("escrowed", amount(params.budget, token)),
        ("per round", f"{amount(params.reward_per_round, token)}, {params.rounds} rounds"),
        ("miners", f"{params.min_miners} to {params.max_miners}; it starts by itself with {params.min_miners}"),
        ("transaction", created.transaction),
    ]
    stdout().print(facts(rows))
    note(f"next: pot miner start --task {created.task_id}; pot task watch {created.task_id}")


@app.command("example")
def example() -> None:
    """Print an example task spec.

    Examples:

    ```
    pot task example > digits.toml
    ```
    """
    typer.echo(_EXAMPLE_SPEC, nl=False)


@app.command("list")
@with_groups
def list_(target: Target, as_json: Json = False) -> None:
    """List all tasks.

    Examples:

    ```
    pot task list
    pot task list --json
    ```
    """
    from pot_chain.owner.tasks import list_tasks, synced

    tasks = list_tasks(synced(target.open_chain()))
    if as_json:
        print_json(
            [
                {
                    "task_id": task.task_id,
                    "owner": task.owner,
                    "state": task.state.name.lower(),
                    "rounds": task.params.rounds,
                    "finalized": len(task.finals),
                    "budget": str(task.params.budget),
                    "token": task.params.token,
                }
                for task in tasks
            ]
        )
        return
    if not tasks:
        note("there are no tasks yet; `pot task create SPEC.toml` makes one")
        return
    rows = table("TASK", "STATE", "ROUNDS", "BUDGET", "OWNER", right=["TASK", "ROUNDS", "BUDGET"])
    for task in tasks:
        rows.add_row(
            str(task.task_id),
            task.state.name.lower(),
            f"{len(task.finals)}/{task.params.rounds}",
            amount(task.params.budget, task.params.token),
            task.owner,
        )
    stdout().print(rows)


@app.command("show")
@with_groups
def show(target: Target, task_id: TaskId, as_json: Json = False) -> None:
    """Show a task: its spec, its rounds with loss and verdicts, its escrow.

    Examples:

    ```
    pot task show 1
    pot task show 1 --json
    ```
    """
    from pot_chain.cli.views import SpecView, rounds_table, task_facts, task_json
    from pot_chain.owner.records import RecordReader
    from pot_chain.owner.tasks import synced, view_task

    client = synced(target.open_chain())
    with target.open_store() as store:
        view = view_task(client, RecordReader(store), task_id)
        spec = SpecView.of(store, view.history)
    if as_json:
        print_json(task_json(view, spec))
        return
    console = stdout()
    console.print(task_facts(view, spec))
    if view.rounds:
        console.print()
        console.print(rounds_table(view))


@app.command("watch")
@with_groups
def watch(
    target: Target,
    task_id: TaskId,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Also evaluate each new model on the test set (loads torch).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch a task live until it ends: rounds, loss, verdicts, payouts. Ctrl-C stops watching, not the task.

    With --json, or when the output goes into a pipe, prints a line for each round as it ends.

    Examples:

    ```
    pot task watch 1
    pot task watch 1 --accuracy
    pot task watch 1 --json
    ```
    """
    from pot_chain.cli.watch import watch_lines, watch_live

    client = target.open_chain()
    with target.open_store() as store:
        if stdout().is_terminal and not as_json:
            watch_live(client, store, task_id, accuracy=accuracy)
        else:
            watch_lines(client, store, task_id, accuracy=accuracy, as_json=as_json)


@app.command("cancel")
@with_groups
def cancel(target: Target, signer: Signer, task_id: TaskId, as_json: Json = False) -> None:
    """End your task: at once if it has not started, else with the open round.

    What rounds have earned stays with those who earned it; `pot task refund` returns the rest.

    Examples:

    ```
    pot task cancel 1 --keystore alice
    ```
    """
    from pot_chain.owner.settle import cancel_task

    account = signer.unlock(target, default="owner")
    done = cancel_task(target.open_chain(account), task_id)
    if as_json:
        print_json({"task_id": task_id, "after_round": done.after_round, "transaction": done.transaction})
    elif done.after_round is None:
        stdout().print(f"task {task_id} is cancelled; `pot task refund {task_id}` returns the escrow", markup=False)
    else:
        stdout().print(f"task {task_id} ends with round {done.after_round}", markup=False)


@app.command("refund")
@with_groups
def refund(target: Target, signer: Signer, task_id: TaskId, as_json: Json = False) -> None:
    """Return to the owner what no round of an ended task has earned.

    Also ends a task that did not start in time.

    Examples:

    ```
    pot task refund 1 --keystore alice
    ```
    """
    from pot_chain.owner.settle import refund_task

    account = signer.unlock(target, default="owner")
    client = target.open_chain(account)
    token = client.training.task(task_id).params.token
    done = refund_task(client, task_id)
    if as_json:
        print_json(
            {"task_id": task_id, "owner": done.owner, "amount": str(done.amount), "transaction": done.transaction}
        )
    else:
        stdout().print(f"{amount(done.amount, token)} went back to {done.owner}", markup=False)


@app.command("download")
@with_groups
def download(
    target: Target,
    task_id: TaskId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: task-TASK-rounds-N.safetensors here."),
    ] = None,
    round_number: Annotated[
        int | None, typer.Option("--round", min=0, help="The model after this round. Default: the latest.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    evaluation: Annotated[
        bool, typer.Option("--evaluate/--no-evaluate", help="Measure it on the task's test set.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Download a model as a safetensors file, checked against the chain, and measure it on the test set.

    Examples:

    ```
    pot task download 1
    pot task download 1 --round 9 --output digits.safetensors
    ```
    """
    from pot_chain.owner.download import fetch_model
    from pot_chain.owner.tasks import synced

    client = synced(target.open_chain())
    with target.open_store() as store, waiting("fetching the model"):
        model = fetch_model(client, store, task_id, round_number)
        path = output or Path(f"task-{task_id}-rounds-{model.rounds}.safetensors")
        size = model.save(path, overwrite=force)
        score = model.evaluate() if evaluation else None
    if as_json:
        print_json(
            {
                "task_id": task_id,
                "file": str(path),
                "bytes": size,
                "rounds": model.rounds,
                "checkpoint": "0x" + model.digest.hex(),
                "parameters": model.manifest.parameters,
                "evaluation": None
                if score is None
                else {"loss": score.loss, "accuracy": score.accuracy, "samples": score.samples},
            }
        )
        return
    rows = [
        ("file", f"{path} ({size} bytes)"),
        ("model", f"after {model.rounds} rounds, {sum(value.size for value in model.parameters.values())} parameters"),
        ("checkpoint", f"0x{model.digest.hex()}, verified"),
    ]
    if score is not None:
        rows.append(
            ("test set", f"accuracy {percent(score.accuracy)}, loss {score.loss:.4f} on {score.samples} samples")
        )
    stdout().print(facts(rows))
