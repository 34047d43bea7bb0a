"""Where things lie: the home folder of the user's networks and wallets, and the folder of one network."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pot_chain.localnet.errors import NetworkError

DEFAULT_NAME: Final = "default"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def pot_home() -> Path:
    """``$POT_HOME``, by default ``~/.pot``."""
    return Path(os.environ.get("POT_HOME") or "~/.pot").expanduser().absolute()


def networks_dir() -> Path:
    """Folder of all local networks."""
    return pot_home() / "networks"


def wallets_dir() -> Path:
    """Folder of the user's own keystores."""
    return pot_home() / "wallets"


def check_name(name: str, what: str) -> str:
    """``name`` itself if it can be a file name everywhere.

    Raises:
        NetworkError: it cannot; ``what`` says in the message what it was to name.
    """
    if not _NAME.fullmatch(name):
        raise NetworkError(
            f"{name!r} cannot be the name of a {what}",
            "use lower-case letters, digits, - and _, beginning with a letter or digit, 40 characters at most",
        )
    return name


@dataclass(frozen=True, slots=True)
class NetworkPaths:
    """The files of one network, all under ``root``."""

    root: Path

    @classmethod
    def named(cls, name: str) -> NetworkPaths:
        """The folder of the network ``name`` in the user's home folder."""
        return cls(networks_dir() / check_name(name, "network"))

    @property
    def name(self) -> str:
        """The network's name."""
        return self.root.name

    @property
    def description(self) -> Path:
        """``network.json``: present while and after the network was up."""
        return self.root / "network.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes the network."""
        return self.root / ".lock"

    @property
    def deployment(self) -> Path:
        """Addresses of the contracts."""
        return self.root / "deployment.json"

    @property
    def chain(self) -> Path:
        """The chain's state."""
        return self.root / "chain"

    @property
    def ipfs(self) -> Path:
        """Folder of Kubo, or of the embedded store."""
        return self.root / "ipfs"

    @property
    def wallets(self) -> Path:
        """Keystores of the network's own accounts."""
        return self.root / "wallets"

    @property
    def password(self) -> Path:
        """Password of these keystores, readable by the user alone."""
        return self.wallets / "password"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.root / "logs"

    def wallet(self, name: str) -> Path:
        """Keystore of the account ``name``."""
        return self.wallets / f"{check_name(name, 'wallet')}.json"

    def log(self, process: str) -> Path:
        """Log of the process ``process``."""
        return self.logs / f"{process}.log"

    @property
    def states(self) -> Path:
        """State folders of validators and miners."""
        return self.root / "state"

    def state(self, process: str) -> Path:
        """State folder of the validator or miner ``process``."""
        return self.states / process
