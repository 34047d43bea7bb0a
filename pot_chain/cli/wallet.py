"""``pot wallet``: keystores, and coins on local networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import MissingOption, Target, prompt
from pot_chain.cli.output import Json, note, print_json, stdout, table, waiting
from pot_chain.localnet.paths import wallets_dir
from pot_chain.protocol.units import format_amount, parse_amount

if TYPE_CHECKING:
    from pot_chain.chain.wallet import Wallet

app = typer.Typer(help="Make, import and list wallets; see balances.", no_args_is_help=True)

PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="The password. Default: $POT_KEYSTORE_PASSWORD, else asked."),
]
Name = Annotated[str, typer.Argument(help="Name of the wallet; its file is NAME.json.")]


@app.command("new")
def new(name: Name, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Make a wallet with a fresh key.

    The key is on disk only encrypted with the password. Nobody can restore it: keep the file and the password.

    Examples:

    ```
    pot wallet new alice
    pot wallet new alice --password-file alice.password
    ```
    """
    from pot_chain.chain.wallet import WalletFolder, read_password

    password = read_password(f"Password for the new wallet {name}", file=password_file, prompt=prompt(), confirm=True)
    with waiting("encrypting the key"):
        wallet = WalletFolder(wallets_dir()).new(name, password)
    _show(wallet, as_json)


@app.command("import")
def import_(
    name: Name,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="A keystore, or a file with a private key in hex."
        ),
    ],
    password_file: PasswordFile = None,
    source_password_file: Annotated[
        Path | None,
        typer.Option("--source-password-file", metavar="FILE", help="Password of the keystore, if it is another."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take over a key from another wallet.

    FILE stays as it is: delete it yourself if it holds a bare private key.

    Examples:

    ```
    pot wallet import alice UTC--2026-01-01T00-00-00Z--6c0e…
    pot wallet import alice key.hex --password-file alice.password
    ```
    """
    from pot_chain.chain.wallet import WalletFolder, read_password

    password = read_password(f"Password for the wallet {name}", file=password_file, prompt=prompt(), confirm=True)
    source_password = None
    if source_password_file is not None:
        source_password = read_password(f"Password of {source}", file=source_password_file)
    with waiting("encrypting the key"):
        wallet = WalletFolder(wallets_dir()).import_file(name, source, password, source_password=source_password)
    _show(wallet, as_json)


@app.command("list")
@with_groups
def list_(target: Target, as_json: Json = False) -> None:
    """List the wallets: your own, and those of the local network.

    Examples:

    ```
    pot wallet list
    pot wallet list --network test --json
    ```
    """
    wallets = _all_wallets(target)
    if as_json:
        print_json([_json(wallet, where) for wallet, where in wallets])
        return
    if not wallets:
        note("there are no wallets yet; `pot wallet new NAME` makes one")
        return
    rows = table("NAME", "ADDRESS", "OF")
    for wallet, where in wallets:
        rows.add_row(wallet.name, wallet.address, where)
    stdout().print(rows)


@app.command("balance")
@with_groups
def balance(
    target: Target,
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="[WALLET|ADDRESS]...", help="Default: all wallets.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what accounts hold in native coins.

    Examples:

    ```
    pot wallet balance
    pot wallet balance alice 0x52908400098527886E0F7030069857D2E4169EE7
    ```
    """
    from pot_chain.chain.connection import connect
    from pot_chain.chain.wallet import balances

    named = [(name, address_of(target, name)) for name in accounts or ()] or [
        (wallet.name, wallet.address) for wallet, _ in _all_wallets(target)
    ]
    held = balances(connect(target.rpc_url()), [address for _, address in named])
    if as_json:
        print_json([{"name": name, "address": address, "wei": str(held[address])} for name, address in named])
        return
    rows = table("NAME", "ADDRESS", "BALANCE", right=["BALANCE"])
    for name, address in named:
        rows.add_row("" if name == address else name, address, format_amount(held[address]))
    stdout().print(rows)


@app.command("fund")
@with_groups
def fund(
    target: Target,
    account: Annotated[str, typer.Argument(metavar="WALLET|ADDRESS")],
    amount: Annotated[str, typer.Option("--amount", "-a", help='For example "10eth".')] = "10eth",
) -> None:
    """Give an account coins out of nothing; local networks only.

    Examples:

    ```
    pot wallet fund alice
    pot wallet fund 0x52908400098527886E0F7030069857D2E4169EE7 --amount 250eth
    ```
    """
    from pot_chain.chain.anvil import fund as give
    from pot_chain.chain.connection import connect
    from pot_chain.chain.wallet import balances

    wei, address = parse_amount(amount), address_of(target, account)
    if not target.is_local:
        raise MissingOption("coins can be made on a local network only", "leave --rpc out, or buy coins of this chain")
    web3 = connect(target.rpc_url())
    give(web3, address, wei)
    stdout().print(f"{address} holds {format_amount(balances(web3, [address])[address])}", markup=False)


def address_of(target: Target, reference: str) -> str:
    """The address that a person means by an address, the name of a wallet, or a keystore file.

    Raises:
        PotError: none of them.
    """
    from pot_chain.cli.options import Signer
    from pot_chain.protocol.addresses import parse_address

    if reference.startswith("0x"):
        return parse_address(reference)
    return Signer(keystore=reference).wallet(target).address


def _all_wallets(target: Target) -> list[tuple[Wallet, str]]:
    from pot_chain.chain.wallet import WalletFolder

    own = [(wallet, "you") for wallet in WalletFolder(wallets_dir()).list()]
    local = WalletFolder(target.paths.wallets).list() if target.is_local else []
    return own + [(wallet, f"network {target.name}") for wallet in local]


def _json(wallet: Wallet, where: str | None = None) -> dict[str, str]:
    return {
        "name": wallet.name,
        "address": wallet.address,
        "keystore": str(wallet.path),
        **({"of": where} if where else {}),
    }


def _show(wallet: Wallet, as_json: bool) -> None:
    if as_json:
        print_json(_json(wallet))
    else:
        stdout().print(f"{wallet.address}  {wallet.path}", markup=False)
