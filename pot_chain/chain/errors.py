"""What can go wrong between us and a chain, in words for the person who has to act on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.units import format_amount


class ChainError(PotError):
    """Root of the errors of the chain layer."""


class RpcDown(ChainError):
    """The RPC endpoint cannot be reached or does not speak JSON-RPC.

    Attributes:
        url: the endpoint with its secrets removed (``connection.public_url``).
    """

    def __init__(self, url: str, cause: str, hint: str = "") -> None:
        super().__init__(
            f"no answer from the chain at {url}: {cause}",
            hint
            or "check that the node runs and that the RPC address is right; a local network is started by `pot up`",
        )
        self.url = url


class RpcError(ChainError):
    """The node answered with a JSON-RPC error.

    Attributes:
        method: JSON-RPC method.
        code: JSON-RPC error code.
        data: the error's ``data`` member; for a revert the ABI-encoded error as 0x-hex.
    """

    def __init__(self, method: str, code: int, text: str, data: object = None) -> None:
        super().__init__(f"the node refused {method}: {text} (code {code})")
        self.method = method
        self.code = code
        self.text = text
        self.data = data

    def revert_data(self) -> bytes | None:
        """ABI-encoded revert data, or None when the error carries none (then it may not be a revert at all)."""
        data = self.data
        if isinstance(data, Mapping):  # some clients wrap it: {"data": "0x…"}
            data = data.get("data") or data.get("result")
        if isinstance(data, str):
            text = data.removeprefix("Reverted ")
            if text.startswith("0x"):
                try:
                    return bytes.fromhex(text[2:])
                except ValueError:
                    return None
        return None

    @property
    def is_revert(self) -> bool:
        """Whether the call was executed and reverted (code 3: EIP-1474's execution error, as geth and anvil use it)."""
        return self.code == 3 or self.revert_data() is not None or "revert" in self.text.lower()


class WrongChain(ChainError):
    """The endpoint serves another chain than the one that was asked for."""

    def __init__(self, url: str, expected: int, found: int) -> None:
        super().__init__(
            f"the chain at {url} has id {found}, expected {expected}",
            "use the RPC address of the network on which the contracts are deployed",
        )
        self.expected = expected
        self.found = found


class SlowSignatures(ChainError):
    """eth-keys would sign in pure Python: a factor of 30 too slow for validators."""

    def __init__(self, backend: str) -> None:
        super().__init__(
            f"eth-keys uses {backend} instead of libsecp256k1",
            "install coincurve into this environment (`make setup`) and unset ECC_BACKEND_CLASS",
        )


class ContractReverted(ChainError):
    """A call or transaction that a contract refused.

    Attributes:
        name: name of the Solidity error; ``Error`` for a reason string, ``Panic`` for a panic code, ``""`` when the
            node told nothing.
        arguments: decoded arguments of the error by their Solidity names.
        transaction: hash of the transaction (0x-hex) when it was mined and reverted; None when the simulation caught
            it, which costs nothing.
    """

    def __init__(
        self, name: str, arguments: Mapping[str, Any], message: str, hint: str = "", transaction: str | None = None
    ) -> None:
        super().__init__(message, hint)
        self.name = name
        self.arguments = dict(arguments)
        self.transaction = transaction


class InsufficientFunds(ChainError):
    """The sender cannot pay value plus the most that the gas may cost."""

    def __init__(self, account: Address, balance: int, needed: int) -> None:
        super().__init__(
            f"{account} holds {format_amount(balance)} and needs up to {format_amount(needed)} for this transaction",
            f"send at least {format_amount(needed - balance)} more to {account}; on a local network: `pot wallet fund`",
        )
        self.account = account
        self.balance = balance
        self.needed = needed


class FeeTooHigh(ChainError):
    """The chain's base fee is above the cap that the user set."""

    def __init__(self, base_fee: int, cap: int) -> None:
        super().__init__(
            f"the base fee is {base_fee} wei a gas, above the cap of {cap}",
            "wait until the fee falls, or raise the cap",
        )


class GasTooHigh(ChainError):
    """The transaction needs more gas than EIP-7825 lets any transaction use (2**24)."""

    def __init__(self, estimate: int, limit: int) -> None:
        super().__init__(
            f"the transaction needs {estimate} gas, above the limit of {limit} a transaction (EIP-7825)",
            "split the work into several transactions",
        )


class TransactionRefused(ChainError):
    """The node refused to take a transaction for a reason other than its nonce or our balance."""


class TransactionPending(ChainError):
    """A transaction was handed to the network and is not mined within the time-out; it may still be.

    Attributes:
        transactions: hashes of all versions that were sent (a replaced transaction has several; one at most is mined).
        nonce: their nonce.
    """

    def __init__(self, transactions: tuple[str, ...], nonce: int, seconds: float, why: str) -> None:
        super().__init__(
            f"transaction {transactions[-1]} (nonce {nonce}) is not mined after {seconds:.0f} s: {why}",
            "it may still be mined: look at its hash before repeating what it does",
        )
        self.transactions = transactions
        self.nonce = nonce


class TaskNotFound(ChainError):
    """There is no task of that number."""

    def __init__(self, task_id: int, count: int) -> None:
        super().__init__(
            f"there is no task {task_id}",
            f"the last one is {count}; `pot task list` shows them" if count else "there are no tasks yet",
        )
        self.task_id = task_id


class CompileError(ChainError):
    """The contracts cannot be compiled."""


class DeploymentError(ChainError):
    """A deployment file is missing, damaged, or does not describe what lies on this chain."""


class AnvilError(ChainError):
    """The local development chain cannot be started or does not answer."""


class PortBusy(AnvilError):
    """Something else listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is in use",
            "is the network up already? `pot status` shows it; otherwise choose another port",
        )
        self.port = port


class WalletError(ChainError):
    """A keystore cannot be read, written or found."""


class WrongPassword(WalletError):
    """The password does not open the keystore."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"wrong password for {path}",
            "check POT_KEYSTORE_PASSWORD or the password file; nothing has been sent",
        )


class ReorgTooDeep(ChainError):
    """The chain was rewritten below everything the follower remembers."""


class CursorDamaged(ChainError):
    """The follower's saved position is unreadable or belongs to another chain."""
