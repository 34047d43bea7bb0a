"""``pot miner delegate``: hot keys that mine for an account whose own key stays offline."""

from __future__ import annotations

from typing import Annotated

import typer

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Signer, Target
from pot_chain.cli.output import Json, moment, print_json, stdout
from pot_chain.protocol.units import format_amount, parse_amount, parse_duration

app = typer.Typer(help="Let a hot key mine for your account.", no_args_is_help=True)

HotKey = Annotated[str, typer.Argument(metavar="DELEGATE", help="Wallet name or address of the hot key.")]


@app.command("authorize")
@with_groups
def authorize(
    target: Target,
    signer: Signer,
    delegate: HotKey,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long, such as 12h or 30d.")] = "30d",
    allowance: Annotated[
        str | None, typer.Option("--allowance", help='What it may draw for its fees, such as "0.1eth"; adds up.')
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a hot key join, leave, commit and reveal for your account. It can touch neither the stake nor the rewards.

    Registers the account as a miner if needed. The hot key then mines with `pot miner start --delegate-of ADDRESS`.

    Examples:

    ```
    pot miner delegate authorize rig1 --keystore cold
    pot miner delegate authorize rig1 --keystore cold --for 7d --allowance 0.1eth
    ```
    """
    from pot_chain.cli.wallet import address_of
    from pot_chain.owner import delegates

    seconds, wei = parse_duration(lasting), parse_amount(allowance) if allowance is not None else 0
    hot = address_of(target, delegate)
    account = signer.unlock(target)
    done = delegates.authorize(target.open_chain(account), hot, seconds, wei)
    if as_json:
        print_json(
            {
                "node": account.address,
                "delegate": hot,
                "registered": done.registered,
                "expires_at": done.expires_at,
                "allowance": str(done.allowance),
                "transaction": done.transaction,
            }
        )
        return
    text = (
        f"{hot} acts for {account.address} until {moment(done.expires_at)} and may draw {format_amount(done.allowance)}"
    )
    stdout().print(text, markup=False)


@app.command("revoke")
@with_groups
def revoke(target: Target, signer: Signer, delegate: HotKey, as_json: Json = False) -> None:
    """Take the right of a hot key back, and what it has not drawn.

    Examples:

    ```
    pot miner delegate revoke rig1 --keystore cold
    ```
    """
    from pot_chain.cli.wallet import address_of
    from pot_chain.owner import delegates

    hot = address_of(target, delegate)
    account = signer.unlock(target)
    done = delegates.revoke(target.open_chain(account), hot)
    if as_json:
        print_json(
            {"node": account.address, "delegate": hot, "returned": str(done.amount), "transaction": done.transaction}
        )
    else:
        stdout().print(f"{hot} has no right any more; {format_amount(done.amount)} came back", markup=False)


@app.command("draw")
@with_groups
def draw(
    target: Target,
    signer: Signer,
    node: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Wallet name or address that granted the allowance.")],
    amount: Annotated[str | None, typer.Option("--amount", help="Default: all that is left.")] = None,
    as_json: Json = False,
) -> None:
    """With the hot key: take from the allowance, to pay for transactions.

    Examples:

    ```
    pot miner delegate draw cold --keystore rig1 --amount 0.05eth
    ```
    """
    from pot_chain.cli.wallet import address_of
    from pot_chain.owner import delegates

    granter, wei = address_of(target, node), parse_amount(amount) if amount is not None else None
    account = signer.unlock(target)
    done = delegates.draw(target.open_chain(account), granter, wei)
    if as_json:
        print_json(
            {"node": granter, "delegate": account.address, "amount": str(done.amount), "transaction": done.transaction}
        )
    else:
        stdout().print(f"{format_amount(done.amount)} drawn from {granter}", markup=False)
