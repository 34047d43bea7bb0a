"""``pot deploy``: the contracts of a new network on any chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Signer, Target
from pot_chain.cli.output import Json, facts, note, print_json, stdout, waiting
from pot_chain.protocol.units import parse_amount, parse_duration

if TYPE_CHECKING:
    from pot_chain.chain.deployment import Deployment

_STAKES, _TIMES, _FILES = "Stakes", "Times", "Files"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("deploy")(deploy)


@with_groups
def deploy(
    target: Target,
    signer: Signer,
    miner_stake: Annotated[
        str, typer.Option("--miner-stake", help="Least stake of a miner.", rich_help_panel=_STAKES)
    ] = "0.01eth",
    validator_stake: Annotated[
        str, typer.Option("--validator-stake", help="Least stake of a validator.", rich_help_panel=_STAKES)
    ] = "1eth",
    deposit: Annotated[
        str, typer.Option("--deposit", help="What a demand for data or an appeal costs.", rich_help_panel=_STAKES)
    ] = "0.01eth",
    epoch_length: Annotated[
        str, typer.Option("--epoch-length", help="Least time between validator epochs.", rich_help_panel=_TIMES)
    ] = "1d",
    epoch_lifetime: Annotated[
        str, typer.Option("--epoch-lifetime", help="How long an epoch can certify.", rich_help_panel=_TIMES)
    ] = "30d",
    evidence_window: Annotated[
        str, typer.Option("--evidence-window", help="How long misdeeds stay punishable.", rich_help_panel=_TIMES)
    ] = "7d",
    answer_window: Annotated[
        str, typer.Option("--answer-window", help="To publish what is demanded.", rich_help_panel=_TIMES)
    ] = "1d",
    appeal_window: Annotated[
        str, typer.Option("--appeal-window", help="To appeal, and to decide an appeal.", rich_help_panel=_TIMES)
    ] = "2d",
    salt: Annotated[
        str | None, typer.Option("--salt", metavar="HEX", help="32 bytes; tells networks of equal parameters apart.")
    ] = None,
    from_block: Annotated[
        int, typer.Option("--from-block", min=0, help="Where to look for a deployment that is there already.")
    ] = 0,
    verification: Annotated[
        bool,
        typer.Option(
            "--verification", help="Also write the compiler's input, for block explorers.", rich_help_panel=_FILES
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Deploy the contracts, at addresses that follow from the parameters: the same on every chain, whoever pays.

    What is there already is found and not paid for again. The addresses are written to `deployments/CHAIN_ID.json`, or
    to the file of --deployment, by which validators, miners and owners find the network. Stakes stay locked for
    lifetime and evidence window together. Whoever deploys has no power over the contracts.

    Examples:

    ```
    pot deploy --rpc https://rpc.example --keystore deployer
    pot deploy --rpc https://rpc.example --keystore deployer --validator-stake 32eth --verification
    ```
    """
    from pot_chain.chain.connection import connect
    from pot_chain.chain.deploy import Deployer, NetworkParameters
    from pot_chain.chain.sender import TransactionSender
    from pot_chain.chain.structs import RegistryConfig
    from pot_chain.protocol.addresses import ZERO_DIGEST, parse_digest

    lifetime, window = parse_duration(epoch_lifetime), parse_duration(evidence_window)
    parameters = NetworkParameters(
        registry=RegistryConfig(
            min_miner_stake=parse_amount(miner_stake),
            min_validator_stake=parse_amount(validator_stake),
            unbonding_period=lifetime + window,
            epoch_length=parse_duration(epoch_length),
            epoch_lifetime=lifetime,
            evidence_window=window,
        ),
        answer_window=parse_duration(answer_window),
        appeal_window=parse_duration(appeal_window),
        deposit=parse_amount(deposit),
    )
    web3 = connect(target.rpc_url())
    deployer = Deployer(web3, parameters, salt=parse_digest(salt) if salt is not None else ZERO_DIGEST)
    found = deployer.find(from_block)
    if found is None:
        account = signer.unlock(target)
        with waiting("deploying") as say:
            made = deployer.complete(TransactionSender(web3, account), say)
    else:
        made = found
    path = target.deployment or Path("deployments") / f"{made.chain_id}.json"
    made.save(path)
    beside = made.save_verification(path) if verification else None
    if as_json:
        print_json({**_json(made, path), "new": found is None, "verification": str(beside) if beside else None})
        return
    if found is not None:
        note("these contracts lie on this chain already; nothing was sent")
    rows = [(name, contract.address) for name, contract in made.contracts.items()]
    stdout().print(facts([*rows, ("file", str(path)), *([("verification", str(beside))] if beside else [])]))


def _json(made: Deployment, path: Path) -> dict[str, Any]:
    return {
        "chain_id": made.chain_id,
        "file": str(path),
        "contracts": {name: contract.address for name, contract in made.contracts.items()},
    }
