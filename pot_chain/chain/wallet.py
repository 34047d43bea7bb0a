"""Wallets: a folder of encrypted keystores (Web3 Secret Storage, version 3), as geth and the wallets read them.

A private key is on disk only encrypted, never on a command line, and in memory only inside an eth-account LocalAccount.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import is_hex_address, to_checksum_address
from web3 import Web3

from pot_chain.chain.connection import rpc_batch
from pot_chain.chain.errors import WalletError, WrongPassword
from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address

PASSWORD_VARIABLE: Final = "POT_KEYSTORE_PASSWORD"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
MAX_KEYSTORE_BYTES: Final = 1 << 16
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

Prompt = Callable[[str], str]
"""Asks a person for a secret without echo; the argument is the question."""


class Strength(Enum):
    """Work factor n of scrypt (r = 8, p = 1): what one guess of the password costs."""

    STANDARD = 2**18
    """About a second and 256 MiB: for keys that hold value."""
    LIGHT = 2**12
    """Milliseconds: for local networks only."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """A keystore on disk.

    Attributes:
        name: file name without ``.json``.
        address: its account.
        path: the file.
    """

    name: str
    address: Address
    path: Path

    @classmethod
    def read(cls, path: Path) -> Wallet:
        """The wallet in ``path``, still locked.

        Raises:
            WalletError: no such file, or not a keystore.
        """
        return cls(path.stem, _address_of(_read_keystore(path), path), path)


class WalletFolder:
    """The wallets of one person or process.

    Args:
        folder: created with mode 0700 when the first wallet is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> list[Wallet]:
        """All wallets, by name; files that are no keystores are passed over."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found.append(Wallet.read(path))
            except WalletError:
                continue  # a stranger's file in the folder must not hide the wallets
        return found

    def new(self, name: str, password: str, strength: Strength = Strength.STANDARD) -> Wallet:
        """Create a wallet with a key from the operating system's randomness.

        Raises:
            WalletError: the name is taken or not a file name, or the folder cannot be written.
        """
        return self._store(name, cast(LocalAccount, Account.from_key(_random_key())), password, strength)

    def import_key(self, name: str, key_text: str, password: str, strength: Strength = Strength.STANDARD) -> Wallet:
        """Store a private key that a person typed or a file held: 64 hex digits, with or without 0x.

        Raises:
            WalletError: not a private key (the message does not repeat it), or as for ``new``.
        """
        text = key_text.strip()
        if not _KEY.fullmatch(text) or not 0 < int(text, 16) < _CURVE_ORDER:
            raise WalletError("not a private key", "expected 64 hex digits, with or without 0x")
        return self._store(name, cast(LocalAccount, Account.from_key(bytes.fromhex(text[-64:]))), password, strength)

    def import_file(
        self,
        name: str,
        source: Path,
        password: str,
        strength: Strength = Strength.STANDARD,
        source_password: str | None = None,
    ) -> Wallet:
        """Store the key in ``source``: a file with a hex private key, or another keystore.

        Args:
            name: of the new wallet.
            source: the file; it is left as it is.
            password: of the new wallet.
            strength: of the new wallet.
            source_password: of the keystore in ``source``; default ``password``.

        Raises:
            WalletError: neither of the two, or as for ``new``.
            WrongPassword: ``source`` is a keystore that ``source_password`` does not open.
        """
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WalletError(f"cannot read {source}: {_reason(error)}") from error
        if not text.lstrip().startswith("{"):
            return self.import_key(name, text, password, strength)
        account = unlock(source, password if source_password is None else source_password)
        return self._store(name, account, password, strength)

    def find(self, reference: str) -> Wallet:
        """The wallet that a person means: a name, an address, or the path of a keystore.

        Raises:
            WalletError: none, with the names that there are as the hint.
        """
        wallets = self.list()
        if is_hex_address(reference):
            wanted = to_checksum_address(reference)
            matches = [wallet for wallet in wallets if wallet.address == wanted]
        else:
            matches = [wallet for wallet in wallets if wallet.name == reference]
        if matches:
            return matches[0]
        if Path(reference).is_file():
            return Wallet.read(Path(reference))
        names = ", ".join(wallet.name for wallet in wallets)
        raise WalletError(
            f"no wallet {reference!r} in {self.folder}",
            f"there are: {names}" if names else "create one with `pot wallet new NAME`",
        )

    def _store(self, name: str, account: LocalAccount, password: str, strength: Strength) -> Wallet:
        if not _NAME.fullmatch(name):
            raise WalletError(f"not a wallet name: {name!r}", "use letters, digits, dots, dashes; at most 64")
        if not password:
            raise WalletError("a wallet needs a password", f"set {PASSWORD_VARIABLE}, or give a password file")
        keystore = account.encrypt(password, kdf="scrypt", iterations=strength.value)
        path = self.folder / f"{name}.json"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, json.dumps(keystore))
        except FileExistsError as error:
            raise WalletError(f"a wallet {name!r} exists in {self.folder}", "choose another name") from error
        except OSError as error:
            raise WalletError(f"cannot write {path}: {_reason(error)}") from error
        return Wallet(name, account.address, path)


def unlock(path: Path, password: str) -> LocalAccount:
    """Decrypt the keystore in ``path``.

    Raises:
        WalletError: not a keystore, or a damaged one.
        WrongPassword: the password does not open it.
    """
    keystore = _read_keystore(path)
    expected = _address_of(keystore, path)
    try:
        key = Account.decrypt(keystore, password)
    except ValueError as error:
        if "MAC" in str(error):
            raise WrongPassword(str(path)) from None
        raise WalletError(f"{path} is damaged: {error}", "restore it from a backup") from None
    except (KeyError, TypeError, NotImplementedError) as error:
        raise WalletError(f"{path} is not a keystore that can be read: {error!r}") from None
    account = cast(LocalAccount, Account.from_key(key))
    if account.address != expected:
        raise WalletError(f"{path} names {expected} but holds the key of {account.address}", "restore it from a backup")
    return account


def read_password(
    question: str, *, file: Path | None = None, prompt: Prompt | None = None, confirm: bool = False
) -> str:
    """A keystore password from, in this order: ``file``, the variable POT_KEYSTORE_PASSWORD, ``prompt``.

    Args:
        question: what a person is asked.
        file: file whose first line is the password.
        prompt: asks a person; None where there is none (a service).
        confirm: ask twice, for a new wallet.

    Raises:
        WalletError: no source, an empty password, or two answers that differ.
    """
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WalletError(f"cannot read the password file {file}: {_reason(error)}") from error
        password = lines[0] if lines else ""
        source = f"the password file {file}"
    elif PASSWORD_VARIABLE in os.environ:
        password, source = os.environ[PASSWORD_VARIABLE], PASSWORD_VARIABLE
    elif prompt is not None:
        password, source = prompt(question), "the password"
        if confirm and prompt(f"{question} (again)") != password:
            raise WalletError("the two passwords differ", "try again; nothing has been written")
    else:
        raise WalletError(
            "the keystore needs a password", f"set {PASSWORD_VARIABLE}, give a password file, or run in a terminal"
        )
    if not password:
        raise WalletError(f"{source} is empty")
    return password


def balances(web3: Web3, accounts: Iterable[Address]) -> dict[Address, int]:
    """Native coins of each account in wei, in one exchange.

    Raises:
        RpcDown: no answer.
    """
    wanted = list(accounts)
    answers = rpc_batch(web3, [("eth_getBalance", [account, "latest"]) for account in wanted])
    return {account: int(answer, 16) for account, answer in zip(wanted, answers, strict=True)}


def _random_key() -> bytes:
    while True:
        key = secrets.token_bytes(32)
        if 0 < int.from_bytes(key, "big") < _CURVE_ORDER:
            return key


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        keystore = canonical.parse(path.read_bytes(), max_bytes=MAX_KEYSTORE_BYTES)
    except FileNotFoundError as error:
        raise WalletError(f"there is no keystore {path}", "`pot wallet list` shows what there is") from error
    except OSError as error:
        raise WalletError(f"cannot read {path}: {_reason(error)}") from error
    except canonical.NotCanonical as error:
        raise WalletError(f"{path} is not a keystore: not JSON", "expected a Web3 Secret Storage file") from error
    # the standard writes "crypto", some wallets "Crypto"
    if (
        not isinstance(keystore, dict)
        or keystore.get("version") != 3
        or not isinstance(keystore.get("crypto", keystore.get("Crypto")), dict)
    ):
        raise WalletError(f"{path} is not a keystore", "expected a Web3 Secret Storage file, version 3")
    return keystore


def _address_of(keystore: dict[str, Any], path: Path) -> Address:
    address = keystore.get("address")
    if not isinstance(address, str) or not is_hex_address(address):
        raise WalletError(f"{path} does not name its address", 'add "address" to the file, or import its key')
    return str(to_checksum_address(address))


def _create(path: Path, text: str) -> None:
    """Write a new file of mode 0600: whole or not at all, durable, never over another."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".wallet-")  # mkstemp's mode is 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, a link refuses to replace
    finally:
        Path(temporary).unlink()


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not text"
