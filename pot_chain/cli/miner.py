"""``pot miner``: train for a task, see what was earned and why, take it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pot_chain.cli import delegate
from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Signer, Target
from pot_chain.cli.output import Json, amount, facts, note, print_json, stdout, table
from pot_chain.localnet.paths import pot_home
from pot_chain.protocol.errors import PotError

app = typer.Typer(help="Train for tasks and collect the rewards.", no_args_is_help=True)
app.add_typer(delegate.app, name="delegate")

Task = Annotated[int, typer.Option("--task", "-t", min=1, help="Number of the task.")]
Tasks = Annotated[list[int], typer.Option("--task", "-t", min=1, help="Number of a task; may be given several times.")]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="WALLET|ADDRESS", help="Whose rewards. Default: those of the keystore."),
]


class AlreadyMining(PotError):
    """Another process mines the task with the same wallet."""


@app.command("start")
@with_groups
def start(
    target: Target,
    signer: Signer,
    task: Task,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            "--state-dir", metavar="FOLDER", help="Keeps what is sealed and not revealed yet; never share it."
        ),
    ] = None,
    delegate_of: Annotated[
        str | None,
        typer.Option(
            "--delegate-of",
            metavar="WALLET|ADDRESS",
            help="Mine for this account, which has authorized the keystore's (`pot miner delegate`).",
        ),
    ] = None,
    misbehave: Annotated[
        str | None,
        typer.Option("--misbehave", metavar="ATTACK", help="Poison gradients, for tests.", hidden=True),
    ] = None,
    misbehave_rounds: Annotated[
        str | None, typer.Option("--misbehave-rounds", metavar="FIRST-LAST", hidden=True)
    ] = None,
    as_json: Json = False,
) -> None:
    """Register and join if needed, and train until the task ends (or Ctrl-C, SIGTERM).

    It may be stopped or killed at any time; started again with the same wallet it goes on where it was. With --json,
    or when the output goes into a pipe, each step is a line of JSON.

    Examples:

    ```
    pot miner start --task 7 --keystore rig1
    pot miner start --task 7 --keystore rig1 --password-file rig1.password --json >> miner.log
    pot miner start --task 7 --keystore rig1 --delegate-of 0x52908400098527886E0F7030069857D2E4169EE7
    ```
    """
    from filelock import FileLock, Timeout

    from pot_chain.cli.logs import log_to_stderr

    rounds = _rounds(misbehave_rounds)
    account = signer.unlock(target)
    rpc_url, ipfs, deployment = target.rpc_url(), target.ipfs_address(), target.deployment_file()
    cold = _account(target, signer, delegate_of) if delegate_of is not None else None
    mining = cold or account.address
    folder = state_dir or pot_home() / "miners" / mining.lower()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # two processes with one wallet would seal two gradients for one round and lose the reveal of one
        lock = FileLock(folder / f"task-{task}.lock", timeout=0).acquire()
    except Timeout as error:
        raise AlreadyMining(
            f"{mining} mines task {task} already (its state is in {folder})",
            "stop the other miner first; a second rig needs a wallet of its own: `pot wallet new NAME`",
        ) from error

    from worker.miner import MinerConfig, run_miner

    with lock:
        if as_json or not sys.stdout.isatty():
            log_to_stderr()
            tell = _tell_json
        else:
            note(f"mining task {task} with {mining}; Ctrl-C stops")
            tell = _tell_person
        run_miner(
            MinerConfig(
                rpc_url=rpc_url,
                ipfs_url=ipfs,
                deployment=deployment,
                account=account,
                state_dir=folder,
                task_id=task,
                delegate_of=cold,
                misbehave=misbehave,
                misbehave_rounds=rounds,
            ),
            tell,
        )


@app.command("status")
@with_groups
def status(target: Target, signer: Signer, task: Task, account: Account = None, as_json: Json = False) -> None:
    """Show what an account has earned in a task, round by round, and why.

    Works for validators, too. Needs no password.

    Examples:

    ```
    pot miner status --task 7 --keystore rig1
    pot miner status --task 7 --account 0x52908400098527886E0F7030069857D2E4169EE7 --json
    ```
    """
    from pot_chain.owner.records import RecordReader
    from pot_chain.owner.rewards import earnings_of
    from pot_chain.owner.tasks import synced

    address = _account(target, signer, account)
    client = synced(target.open_chain())
    with target.open_store() as store:
        found = earnings_of(client, RecordReader(store), task, address)
    token = client.history.tasks[task].params.token
    if as_json:
        print_json(
            {
                "task_id": task,
                "account": address,
                "earned": str(found.earned),
                "claimed": str(found.claimed),
                "claimable": str(found.claimable),
                "rounds": [
                    {"round": item.round, "verdict": item.verdict, "earned": str(item.earned)} for item in found.rounds
                ],
            }
        )
        return
    console = stdout()
    console.print(
        facts(
            [
                ("account", address),
                ("earned", amount(found.earned, token)),
                ("paid out", amount(found.claimed, token)),
                ("to claim", amount(found.claimable, token)),
            ]
        )
    )
    if found.rounds:
        rows = table("ROUND", "VERDICT", "EARNED", right=["ROUND", "EARNED"])
        for item in found.rounds:
            rows.add_row(str(item.round), item.verdict, amount(item.earned, token) if item.earned else "")
        console.print()
        console.print(rows)


@app.command("claim")
@with_groups
def claim(target: Target, signer: Signer, tasks: Tasks, account: Account = None, as_json: Json = False) -> None:
    """Collect the rewards of all final rounds of a task, or of several, in one transaction.

    The keystore's account pays the fee; --account collects for another one, to which the rewards go.

    Examples:

    ```
    pot miner claim --task 7 --keystore rig1
    pot miner claim --task 7 --task 9 --keystore rig1
    ```
    """
    from pot_chain.owner.records import RecordReader
    from pot_chain.owner.rewards import claim_many
    from pot_chain.owner.tasks import synced

    payer = signer.unlock(target)
    address = payer.address if account is None else _account(target, signer, account)
    client = synced(target.open_chain(payer))
    with target.open_store() as store:
        paid = claim_many(client, RecordReader(store), tasks, address)
    if as_json:
        claims = [
            {
                "task_id": item.task_id,
                "account": address,
                "amount": str(item.amount),
                "cumulative": str(item.cumulative),
                "transaction": item.transaction,
                "fee_wei": str(item.fee),
            }
            for item in paid
        ]
        print_json(claims[0] if len(tasks) == 1 else claims)
        return
    for item in paid:
        token = client.history.tasks[item.task_id].params.token
        stdout().print(f"task {item.task_id}: {amount(item.amount, token)} paid to {address}", markup=False)


def _account(target: Target, signer: Signer, account: str | None) -> str:
    from pot_chain.cli.wallet import address_of

    return address_of(target, account) if account is not None else signer.wallet(target).address


def _rounds(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text)
    if match is None:
        raise typer.BadParameter("write FIRST-LAST, such as 5-8", param_hint="--misbehave-rounds")
    return int(match[1]), int(match[2])


def _tell_json(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _tell_person(event: dict[str, Any]) -> None:
    details = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in event.items()
        if key not in ("event", "miner", "seal")
    )
    stdout().print(f"{event['event'].replace('_', ' '):<12} {details}", markup=False)
