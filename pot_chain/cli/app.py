"""The tree of commands, and the one place where errors become text and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ipfs.errors import IpfsError
from pot_chain import __version__
from pot_chain.cli import data, demo, deploy, doctor, miner, network, task, validator, wallet
from pot_chain.protocol.errors import PotError

app = typer.Typer(
    name="pot",
    help="Proof of Training: paid, verified AI training on idle GPUs.",
    epilog="Begin with `pot doctor`, then `pot up` for a network on this machine.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # a traceback with local variables would print private keys
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
network.add_to(app)
demo.add_to(app)
app.add_typer(task.app, name="task")
app.add_typer(miner.app, name="miner")
app.add_typer(validator.app, name="validator")
app.add_typer(wallet.app, name="wallet")
app.add_typer(data.app, name="data")
deploy.add_to(app)
doctor.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    network: Annotated[
        str | None, typer.Option("--network", "-n", envvar="POT_NETWORK", help="Name of a local network.")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option("--rpc", metavar="URL", envvar="POT_RPC", help="JSON-RPC address of the chain.")
    ] = None,
    ipfs: Annotated[
        str | None, typer.Option("--ipfs", metavar="ADDRESS", envvar="POT_IPFS", help="Content store.")
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option("--deployment", metavar="FILE", envvar="POT_DEPLOYMENT", help="Addresses of the contracts."),
    ] = None,
    keystore: Annotated[
        str | None,
        typer.Option("--keystore", "-k", metavar="FILE", envvar="POT_KEYSTORE", help="Keystore file or wallet name."),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", envvar="POT_PASSWORD_FILE", help="The keystore's password."),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """These options may also stand behind the command."""
    context.obj = {
        "network": network,
        "rpc": rpc,
        "ipfs": ipfs,
        "deployment": deployment,
        "keystore": keystore,
        "password_file": password_file,
    }


def run() -> None:
    """Parse the command line, run the command, and end the process with its exit code."""
    try:
        app(prog_name="pot")
    except (PotError, IpfsError) as error:
        report(error)
        sys.exit(error.exit_code)


def report(error: PotError | IpfsError) -> None:
    """Print what is wrong and what to do about it on stderr."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(error.message, err=True)
    details = getattr(error, "details", "")
    if details:
        typer.echo(details, err=True)
    if error.hint:
        typer.secho("hint: ", fg=typer.colors.CYAN, bold=True, nl=False, err=True)
        typer.echo(error.hint, err=True)
