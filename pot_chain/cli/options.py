"""The options by which commands say which network they mean and whose key signs, and what follows from them."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pot_chain.localnet.paths import DEFAULT_NAME, NetworkPaths, wallets_dir
from pot_chain.protocol.errors import PotError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ipfs import Store
    from pot_chain.chain.network import ChainClient
    from pot_chain.chain.wallet import Wallet
    from pot_chain.localnet.description import Description

NETWORK_PANEL = "Network"
WALLET_PANEL = "Wallet"


class MissingOption(PotError):
    """A command cannot know which network or key is meant."""

    exit_code = 2


@dataclass(frozen=True)
class Target:
    """Which network a command talks to: a local one by its name, or any by its addresses."""

    network: Annotated[
        str | None,
        typer.Option("--network", "-n", help="Name of a local network (`pot up`).", rich_help_panel=NETWORK_PANEL),
    ] = None
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", metavar="URL", help="JSON-RPC address of the chain.", rich_help_panel=NETWORK_PANEL),
    ] = None
    ipfs: Annotated[
        str | None,
        typer.Option(
            "--ipfs",
            metavar="ADDRESS",
            help="Content store: the URL of a Kubo RPC, or embedded:FOLDER.",
            rich_help_panel=NETWORK_PANEL,
        ),
    ] = None
    deployment: Annotated[
        Path | None,
        typer.Option(
            "--deployment",
            metavar="FILE",
            help="Addresses of the contracts, as written by the deployment.",
            rich_help_panel=NETWORK_PANEL,
        ),
    ] = None

    @property
    def name(self) -> str:
        """Name of the local network that is meant if the addresses do not say otherwise."""
        return self.network or DEFAULT_NAME

    @property
    def paths(self) -> NetworkPaths:
        """Folder of that network."""
        return NetworkPaths.named(self.name)

    @property
    def is_local(self) -> bool:
        """Whether the chain is that of a local network."""
        return self.rpc is None

    def description(self) -> Description:
        """The local network that is meant, which runs.

        Raises:
            NetworkError: it does not exist, or does not run.
        """
        from pot_chain.localnet.network import Network

        return Network(self.paths.root).running_description()

    def rpc_url(self) -> str:
        """Address of the chain."""
        return self.rpc if self.rpc is not None else self.description().rpc_url

    def ipfs_address(self) -> str:
        """Address of the content store."""
        if self.ipfs is not None:
            return self.ipfs
        if not self.is_local:
            raise MissingOption("--rpc is given without --ipfs", "say with --ipfs where the content is kept")
        return self.description().ipfs.address

    def deployment_file(self) -> Path:
        """File with the addresses of the contracts."""
        if self.deployment is not None:
            return self.deployment
        if not self.is_local:
            raise MissingOption(
                "--rpc is given without --deployment", "say with --deployment where the contracts' addresses are"
            )
        self.description()
        return self.paths.deployment

    def open_chain(self, account: LocalAccount | None = None) -> ChainClient:
        """A client of the chain; sends as ``account``.

        Raises:
            RpcDown, DeploymentError: the chain cannot be reached, or has no such contracts.
        """
        from pot_chain.chain.network import ChainClient

        return ChainClient(self.rpc_url(), self.deployment_file(), account)

    def open_store(self) -> Store:
        """The content store."""
        from ipfs import open_store

        return open_store(self.ipfs_address())


@dataclass(frozen=True)
class Signer:
    """Whose key signs."""

    keystore: Annotated[
        str | None,
        typer.Option(
            "--keystore",
            "-k",
            metavar="FILE",
            help="Keystore file, or the name of a wallet of `pot wallet list`.",
            rich_help_panel=WALLET_PANEL,
        ),
    ] = None
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="File with the keystore's password. Default: $POT_KEYSTORE_PASSWORD, else you are asked.",
            rich_help_panel=WALLET_PANEL,
        ),
    ] = None

    def wallet(self, target: Target, default: str | None = None) -> Wallet:
        """The keystore that is meant, still locked.

        Args:
            default: name of the wallet of a local network that is used when no other is named.

        Raises:
            WalletError: there is no such keystore.
            MissingOption: none is named and there is no default.
        """
        from pot_chain.chain.errors import WalletError
        from pot_chain.chain.wallet import WalletFolder

        if self.keystore is None:
            if default is None or not target.is_local:
                raise MissingOption(
                    "the command needs a wallet", "give --keystore FILE; `pot wallet new NAME` makes a wallet"
                )
            return WalletFolder(target.paths.wallets).find(default)
        try:
            return WalletFolder(wallets_dir()).find(self.keystore)
        except WalletError:
            local = [w for w in WalletFolder(target.paths.wallets).list() if self.keystore in (w.name, w.address)]
            if not target.is_local or not local:
                raise
            return local[0]

    def unlock(self, target: Target, default: str | None = None) -> LocalAccount:
        """The key that is meant.

        Raises:
            WalletError, MissingOption: see ``wallet``; or there is no password.
            WrongPassword: the password does not open it.
        """
        from pot_chain.chain.wallet import unlock

        wallet = self.wallet(target, default)
        return unlock(wallet.path, self.password(wallet, target.paths))

    def password(self, wallet: Wallet, paths: NetworkPaths) -> str:
        """The password of ``wallet``: of the file given, the network's own for its wallets, else asked for."""
        from pot_chain.chain.wallet import read_password

        file = self.password_file
        if file is None and wallet.path.parent == paths.wallets:
            file = paths.password
        return read_password(f"Password of {wallet.path}", file=file, prompt=prompt())


def prompt() -> Callable[[str], str] | None:
    """Asks a person at the terminal without echo; None where there is nobody."""
    if not sys.stdin.isatty():
        return None
    return lambda question: getpass.getpass(f"{question}: ", stream=sys.stderr)
