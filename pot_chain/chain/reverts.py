"""What a contract's refusal means, in a sentence for the person who sent the call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from eth_utils import keccak

from pot_chain.chain.abi import AbiError, Component, decode, selector_of
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.revert_messages import MESSAGES
from pot_chain.chain.structs import Role, TaskState
from pot_chain.protocol.units import format_amount

_REASON: Final = keccak(text="Error(string)")[:4]
_PANIC: Final = keccak(text="Panic(uint256)")[:4]
# Solidity documentation, "Panic via assert and Error via require"
_PANICS: Final = {
    0x01: "an assertion failed",
    0x11: "an arithmetic operation overflowed",
    0x12: "a division by zero",
    0x21: "a value is outside its enum",
    0x22: "a storage array is damaged",
    0x31: "pop from an empty array",
    0x32: "an array index is out of bounds",
    0x41: "too much memory was asked for",
    0x51: "a call to an uninitialised function",
}


class RevertDecoder:
    """Decodes revert data by the errors of several ABIs.

    An error can bubble up from a contract that was called by the one that we called: give it the ABIs of all.
    """

    def __init__(self, abis: Iterable[Iterable[Component]]) -> None:
        self._errors = {selector_of(entry): entry for abi in abis for entry in abi if entry["type"] == "error"}

    @property
    def names(self) -> frozenset[str]:
        """Names of the errors that it knows."""
        return frozenset(str(entry["name"]) for entry in self._errors.values())

    def decode(self, data: bytes | None) -> tuple[str, dict[str, Any]]:
        """Name and arguments of the error in ``data``.

        They are ``("", {})`` when the node told nothing, ``("Error", {"reason": …})`` for a reason string,
        ``("Panic", {"code": …})`` for a panic, and ``("Unknown", {"data": …})`` for an error of no known ABI.
        """
        if not data:
            return "", {}
        selector, body = data[:4], data[4:]
        try:
            if selector == _REASON:
                return "Error", {"reason": decode([{"type": "string"}], body)[0]}
            if selector == _PANIC:
                return "Panic", {"code": decode([{"type": "uint256"}], body)[0]}
            entry = self._errors.get(selector)
            if entry is not None:
                items = entry["inputs"]
                names = [item["name"] or f"argument{index}" for index, item in enumerate(items)]
                return str(entry["name"]), dict(zip(names, decode(items, body), strict=True))
        except (AbiError, UnicodeDecodeError):
            pass  # a contract may return anything, for instance a cut reason: show it as it is
        return "Unknown", {"data": "0x" + data.hex()}

    def reverted(
        self, data: bytes | None, context: Mapping[str, Any], transaction: str | None = None
    ) -> ContractReverted:
        """The exception for revert ``data``.

        Args:
            data: what the node returned; None when it told nothing.
            context: what the call was about (arguments by their Solidity names, ``sender``, ``function``), for errors
                that do not say it themselves.
            transaction: hash of the transaction, if it was mined.
        """
        name, arguments = self.decode(data)
        message, hint = _explain(name, arguments, context)
        return ContractReverted(name, arguments, message, hint, transaction)


def _explain(name: str, arguments: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, str]:
    function = str(context.get("function") or "the contract")
    match name:
        case "":
            return f"{function} was refused; the node does not say why", "it may have run out of gas"
        case "Error":
            return f"{function} was refused: {arguments['reason']}", ""
        case "Panic":
            code = int(arguments["code"])
            return f"{function} failed: {_PANICS.get(code, f'panic {code:#x}')}", "this is a fault in the contract"
        case "Unknown":
            return f"{function} was refused with unknown data {str(arguments['data'])[:138]}", "is the address right?"
    values = {key: _Shown(value) for key, value in {**context, **arguments}.items()}
    known = MESSAGES.get(name)
    if known is not None:
        try:
            return known[0].format_map(values), known[1].format_map(values)
        except KeyError:
            pass  # raised by a call that lacks part of the context: the generic sentence is still right
    listed = ", ".join(f"{key} {_Shown(value)}" for key, value in arguments.items())
    return f"{function} was refused: {name}" + (f" ({listed})" if listed else ""), ""


class _Shown:
    """A value as people read it, by the format that a message asks for."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return "0x" + self._value.hex() if isinstance(self._value, bytes) else str(self._value)

    def __format__(self, style: str) -> str:
        if style and isinstance(self._value, int):
            try:
                return _STYLES[style](self._value)
            except (ValueError, OverflowError, OSError):
                pass  # a time or an enum out of range: the number says more than an error would
        return str(self)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else "not set"


_STYLES: Final[Mapping[str, Callable[[int], str]]] = {
    "time": _time,
    "amount": format_amount,
    "role": lambda value: Role(value).name.lower(),
    "state": lambda value: TaskState(value).name.lower(),
}
