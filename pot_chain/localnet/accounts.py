"""The network's own wallets: fresh keys, one random password in a file that only the user can read."""

from __future__ import annotations

import os
import secrets
from typing import Final

from eth_account.signers.local import LocalAccount

from pot_chain.chain.wallet import Strength, Wallet, WalletFolder, unlock
from pot_chain.localnet.errors import NetworkError
from pot_chain.localnet.paths import NetworkPaths, check_name

OWNER: Final = "owner"


class NetworkAccounts:
    """Wallets in the folder of a network.

    The password lies beside the keystores, so these keys are worth no more than the file's permissions; the coins they
    hold exist on the local chain only.
    """

    def __init__(self, paths: NetworkPaths) -> None:
        self._paths = paths
        self._folder = WalletFolder(paths.wallets)

    def create(self, name: str) -> Wallet:
        """A new wallet with a fresh key.

        Raises:
            WalletError: the name is taken.
        """
        return self._folder.new(check_name(name, "wallet"), self._password(), Strength.LIGHT)

    def find(self, name: str) -> Wallet | None:
        """The wallet ``name``, locked; None if there is none."""
        return next((wallet for wallet in self._folder.list() if wallet.name == name), None)

    def find_or_create(self, name: str) -> Wallet:
        """The wallet ``name``, made if there is none."""
        return self.find(name) or self.create(name)

    def unlock(self, name: str) -> LocalAccount:
        """The key of the wallet ``name``.

        Raises:
            WalletError: there is no such wallet, or it cannot be opened.
        """
        return unlock(self._folder.find(name).path, self._password())

    def _password(self) -> str:
        path = self._paths.password
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise NetworkError(f"cannot read {path}: {error.strerror}", "check who owns the file") from error
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = secrets.token_urlsafe(24)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(password + "\n")
        return password
