"""A contract at an address: typed reads, and calls that a sender can execute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from web3 import Web3

from pot_chain.chain.abi import AbiError, decode, encode, selector_of
from pot_chain.chain.compiler import Abi
from pot_chain.chain.connection import endpoint, rpc
from pot_chain.chain.errors import DeploymentError, RpcError
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.protocol.addresses import Address

Block = int | str
"""A block number, a block hash (0x-hex), or a tag (``latest``, ``safe``, ``finalized``, …)."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction is to do, before nonce, gas, fees and signature.

    Attributes:
        to: contract or account; None creates a contract.
        data: call data, or creation code with constructor arguments.
        value: wei to send along.
        function: name for messages and logs.
        arguments: values by their Solidity names, for messages.
        errors: decodes a refusal.
    """

    to: Address | None
    data: bytes = b""
    value: int = 0
    function: str = "transfer"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    errors: RevertDecoder = field(default_factory=lambda: RevertDecoder(()))


def transfer(to: Address, wei: int) -> Call:
    """Send native coins."""
    return Call(to=to, value=wei, arguments={"to": to, "value": wei})


class Contract:
    """ABI-level access to one contract; the typed bindings build on it.

    Args:
        web3: connection; shared by threads as it is.
        address: where the contract lies.
        abi: its JSON ABI.
        errors: decodes refusals; give it the ABIs of the contracts that this one calls, too.
    """

    def __init__(self, web3: Web3, address: Address, abi: Abi, errors: RevertDecoder) -> None:
        self.web3 = web3
        self.address = address
        self.abi = abi
        self.errors = errors
        self._functions: dict[str, dict[str, Any]] = {}
        for entry in abi:
            if entry["type"] == "function":
                if entry["name"] in self._functions:
                    raise AbiError(f"{entry['name']} is overloaded, which the bindings do not support")
                self._functions[entry["name"]] = entry

    def read(self, function: str, *arguments: Any, hints: tuple[Any, ...] = (), block: Block = "latest") -> Any:
        """Result of a view function: the value, or a tuple of several.

        Args:
            function: Solidity name.
            arguments: in the order of the ABI.
            hints: Python types of the results (see ``abi.decode``).
            block: state to read.

        Raises:
            ContractReverted: the function refused.
            DeploymentError: no contract at the address.
            RpcDown, RpcError: the node did not answer, or does not have that state any more.
        """
        entry = self._entry(function)
        call = {"to": self.address, "data": "0x" + (selector_of(entry) + encode(entry["inputs"], arguments)).hex()}
        try:
            answer = rpc(self.web3, "eth_call", [call, _block(block)])
        except RpcError as error:
            if not error.is_revert:
                raise
            context = {**_named(entry, arguments), "function": function}
            raise self.errors.reverted(error.revert_data(), context) from error
        data = bytes.fromhex(answer[2:])
        if not data and entry["outputs"]:
            raise DeploymentError(
                f"there is no contract at {self.address} on {endpoint(self.web3)}", "was it deployed on this chain?"
            )
        values = decode(entry["outputs"], data, hints or None)
        return values[0] if len(values) == 1 else tuple(values)

    def call(self, function: str, *arguments: Any, value: int = 0) -> Call:
        """A call of a function that changes state, for ``TransactionSender.send``.

        Raises:
            AbiError: the arguments do not fit.
        """
        entry = self._entry(function)
        return Call(
            to=self.address,
            data=selector_of(entry) + encode(entry["inputs"], arguments),
            value=value,
            function=function,
            arguments=_named(entry, arguments),
            errors=self.errors,
        )

    def _entry(self, function: str) -> dict[str, Any]:
        entry = self._functions.get(function)
        if entry is None:
            raise AbiError(f"the contract has no function {function}", "are the artifacts current?")
        return entry


def _named(entry: Mapping[str, Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    return {item["name"]: value for item, value in zip(entry["inputs"], arguments, strict=True)}


def _block(block: Block) -> Any:
    if isinstance(block, int):
        return hex(block)
    return {"blockHash": block} if len(block) == 66 else block  # EIP-1898
