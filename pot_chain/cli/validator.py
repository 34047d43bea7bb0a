"""``pot validator``: check gradients, agree, earn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Signer, Target
from pot_chain.cli.output import Json, facts, note, print_json, stdout, table
from pot_chain.localnet.paths import pot_home
from pot_chain.protocol.units import parse_amount

if TYPE_CHECKING:
    from pot_chain.chain.network import ChainClient
    from pot_chain.localnet.description import ValidatorEntry

app = typer.Typer(help="Run a validator, or look at one.", no_args_is_help=True)


@app.command("start")
@with_groups
def start(
    target: Target,
    signer: Signer,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port for peers and miners.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="How others reach it. Default: http://HOST:PORT."),
    ] = None,
    stake: Annotated[
        str | None, typer.Option("--stake", help='Stake on registering, such as "2eth". Default: the least.')
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", metavar="FOLDER", help="Votes are logged here: never lose or copy it."),
    ] = None,
) -> None:
    """Register if needed, and validate until it is stopped (Ctrl-C or SIGTERM).

    It may be killed at any time; started again with the same wallet and state folder it goes on where it was.

    Examples:

    ```
    pot validator start --keystore val --port 9001 --stake 2eth
    pot validator start --keystore val --port 9001 --host 0.0.0.0 --endpoint https://val.example
    ```
    """
    from pot_chain.cli.logs import log_to_stderr
    from pot_chain.owner.nodes import join_epoch, register_validator

    wei = parse_amount(stake) if stake is not None else None
    account = signer.unlock(target)
    url = endpoint or f"http://{host}:{port}"

    def announce(client: ChainClient) -> None:
        done = register_validator(client, url, wei)
        voting = join_epoch(client)
        note(f"validator {account.address}: {done.value} at {url}")
        if not voting.votes:
            note(f"does not vote yet: {voting.reason}")

    from pot_chain.validator.service import ValidatorConfig, run_validator

    log_to_stderr()
    run_validator(
        ValidatorConfig(
            rpc_url=target.rpc_url(),
            ipfs_url=target.ipfs_address(),
            deployment=target.deployment_file(),
            account=account,
            state_dir=state_dir or pot_home() / "validators" / account.address.lower(),
            port=port,
            host=host,
            announce=announce,
        )
    )


@app.command("status")
@with_groups
def status(
    target: Target,
    endpoint: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Of one validator. Default: all of the local network.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what validators are doing: round, phase, view, peers.

    Examples:

    ```
    pot validator status
    pot validator status http://127.0.0.1:9001 --json
    ```
    """
    from pot_chain.localnet.roles import validator_status

    if endpoint is not None:
        named = [(endpoint, endpoint)]
    else:
        validators: tuple[ValidatorEntry, ...] = target.description().validators
        named = [(validator.name, validator.endpoint) for validator in validators]
    found = [(name, url, validator_status(url)) for name, url in named]
    if as_json:
        print_json([{"name": name, "endpoint": url, "status": answer} for name, url, answer in found])
    else:
        rows = table("VALIDATOR", "ENDPOINT", "STATE", "PEERS", "ROUNDS", right=["PEERS"])
        for name, url, answer in found:
            if answer is None:
                rows.add_row(name, url, "[red]no answer[/]", "", "")
                continue
            rounds = ", ".join(
                f"task {item['task']} round {item['round']}: {item['phase']}, view {item['view']}"
                for item in answer.get("rounds", [])
            )
            rows.add_row(name, url, "running", str(len(answer.get("peers", []))), rounds or "none open")
        stdout().print(rows if endpoint is None else _one(endpoint, found[0][2]))
    if any(answer is None for _, _, answer in found):
        raise typer.Exit(1)


def _one(endpoint: str, answer: dict[str, Any] | None) -> Table:
    if answer is None:
        return facts([("endpoint", endpoint), ("state", "no answer")])
    return facts([("endpoint", endpoint), *((key, str(value)) for key, value in answer.items())])
