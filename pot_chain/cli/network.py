"""``pot up``, ``pot down``, ``pot status``: the local network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pot_chain.cli.output import Json, facts, note, print_json, stdout, table, waiting
from pot_chain.cli.signals import exit_on_sigterm
from pot_chain.localnet.paths import DEFAULT_NAME, NetworkPaths
from pot_chain.protocol.units import format_amount, parse_amount

if TYPE_CHECKING:
    from pot_chain.localnet.description import Description
    from pot_chain.localnet.launch import StartOptions
    from pot_chain.localnet.network import Network
    from pot_chain.localnet.status import NetworkStatus

Name = Annotated[
    str | None, typer.Option("--name", "--network", "-n", help=f"Name of the network. Default: {DEFAULT_NAME}.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("up", rich_help_panel="Local network")(up)
    app.command("down", rich_help_panel="Local network")(down)
    app.command("status", rich_help_panel="Local network")(status)


def up(
    context: typer.Context,
    name: Name = None,
    validators: Annotated[
        int | None, typer.Option("--validators", help="How many validators. Default: 4, or as many as there were.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port of the chain's JSON-RPC. Default: any free one."),
    ] = None,
    kubo: Annotated[
        bool, typer.Option("--kubo/--no-kubo", help="Use Kubo if there is one, or the embedded store.")
    ] = True,
    owner_balance: Annotated[
        str, typer.Option("--owner-balance", help="Coins of the wallet `owner` of a new network.")
    ] = "1000eth",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget chain, content and wallets of before.")] = False,
    as_json: Json = False,
) -> None:
    """Start a network on this machine: a chain, a content store, and validators.

    It keeps running when the command ends. `pot down` stops it, and `pot up` goes on where it was stopped. On a network
    that runs, it starts the validators that have ended.

    Examples:

    ```
    pot up
    pot up --name test --validators 7 --port 8545
    pot up --fresh --no-kubo
    ```
    """
    from pot_chain.localnet.launch import StartOptions

    network = _network(context, name)
    options = StartOptions(validators=validators, port=port, use_kubo=kubo, owner_balance=parse_amount(owner_balance))
    exit_on_sigterm()
    with waiting("starting") as say:
        description = _start(network, options, fresh, say)
    if as_json:
        print_json({**_json(network.status()), "deployment": str(network.paths.deployment)})
        return
    stdout().print(facts(_facts(network, description)))
    option = "" if network.paths.name == DEFAULT_NAME else f" --network {network.paths.name}"
    note(f"next: pot task create{option} SPEC.toml --budget 1.5eth   (its help has an example spec)")


def _start(network: Network, options: StartOptions, fresh: bool, say: Callable[[str], None]) -> Description:
    """Bring the network up, or up again where only validators are missing."""
    if not fresh and network.paths.description.exists() and network.status().revivable and network.revive(say):
        return network.description()
    return network.start(options, fresh=fresh, say=say)


def down(context: typer.Context, name: Name = None, as_json: Json = False) -> None:
    """Stop the network and everything in it. Nothing is lost.

    Examples:

    ```
    pot down
    pot down --name test
    ```
    """
    network = _network(context, name)
    killed = network.stop()
    if as_json:
        print_json({"name": network.paths.name, "killed": list(killed)})
        return
    stdout().print(f"the network {network.paths.name!r} is down", markup=False)
    if killed:
        note(f"did not end by themselves and were killed: {', '.join(killed)}")


def status(
    context: typer.Context,
    name: Name = None,
    every: Annotated[bool, typer.Option("--all", help="All networks of this machine, briefly.")] = False,
    as_json: Json = False,
) -> None:
    """Show what runs: processes, chain, content store, validators.

    Examples:

    ```
    pot status
    pot status --all
    pot status --name test --json
    ```
    """
    from pot_chain.localnet.network import Network
    from pot_chain.localnet.status import State

    if every:
        _status_of_all([network.status() for network in Network.all()], as_json)
        return
    network = _network(context, name)
    found = network.status()
    chain = _chain(network, found)
    if as_json:
        print_json({**_json(found), "deployment": str(network.paths.deployment), "chain": chain})
        return
    console = stdout()
    console.print(facts([("state", found.state.value), *_facts(network, found.description), *_chain_facts(chain)]))
    if found.processes:
        rows = table("PROCESS", "PID", "STATE", "LOG", right=["PID"])
        for process in found.processes:
            state = "running" if process.alive else "[red]ended[/]"
            rows.add_row(process.name, str(process.pid), state, str(process.log))
        console.print()
        console.print(rows)
    if found.state is State.DEGRADED:
        note("some processes have ended; `pot down` and `pot up` start them again")


def _network(context: typer.Context, name: str | None) -> Network:
    from pot_chain.localnet.network import Network

    given = (context.find_root().obj or {}).get("network")
    return Network(NetworkPaths.named(name or given or DEFAULT_NAME).root)


def _facts(network: Network, description: Description) -> list[tuple[str, str]]:
    return [
        ("network", network.paths.name),
        ("chain", f"{description.rpc_url} (chain id {description.chain_id})"),
        ("content", f"{description.ipfs.backend} at {description.ipfs.address}"),
        ("", description.ipfs.reason),
        ("owner", f"{description.owner} (wallet `owner`)"),
        ("validators", str(len(description.validators))),
        ("folder", str(network.paths.root)),
    ]


def _chain(network: Network, found: NetworkStatus) -> dict[str, Any] | None:
    """What the chain itself says; None where it does not run."""
    from pot_chain.chain.connection import connect, rpc
    from pot_chain.chain.deployment import load_deployment
    from pot_chain.chain.wallet import balances

    anvil = next((process for process in found.processes if process.name == "anvil"), None)
    if anvil is None or not anvil.alive or not found.description.ready:
        return None
    web3 = connect(found.description.rpc_url)
    contracts = load_deployment(network.paths.deployment, web3).bind(web3)
    owner = found.description.owner
    return {
        "block": int(rpc(web3, "eth_blockNumber"), 16),
        "epoch": contracts.registry.current_epoch(),
        "tasks": contracts.training.task_count(),
        "owner_wei": str(balances(web3, [owner])[owner]) if owner else "0",
    }


def _chain_facts(chain: dict[str, Any] | None) -> list[tuple[str, str]]:
    if chain is None:
        return []
    return [
        ("block", str(chain["block"])),
        ("epoch", str(chain["epoch"])),
        ("tasks", str(chain["tasks"])),
        ("owner holds", format_amount(int(chain["owner_wei"]))),
    ]


def _status_of_all(networks: list[NetworkStatus], as_json: bool) -> None:
    if as_json:
        print_json([_json(network) for network in networks])
        return
    if not networks:
        note("there are no networks yet; `pot up` makes one")
        return
    rows = table("NETWORK", "STATE", "RPC", "CONTENT", "VALIDATORS", right=["VALIDATORS"])
    for network in networks:
        description = network.description
        count = str(len(description.validators))
        rows.add_row(description.name, network.state.value, description.rpc_url, description.ipfs.backend, count)
    stdout().print(rows)


def _json(found: NetworkStatus) -> dict[str, Any]:
    description = found.description
    return {
        "name": description.name,
        "state": found.state.value,
        "root": str(found.root),
        "chain_id": description.chain_id,
        "rpc_url": description.rpc_url,
        "ipfs": description.ipfs.model_dump(),
        "owner": description.owner,
        "validators": [
            {"index": validator.index, "address": validator.address, "endpoint": validator.endpoint}
            for validator in description.validators
        ],
        "processes": [
            {"name": process.name, "pid": process.pid, "alive": process.alive, "log": str(process.log)}
            for process in found.processes
        ],
    }
