"""Between Solidity values and typed Python: ABI encoding that takes and gives dataclasses and enums.

A struct is a dataclass whose fields bear the struct's names in snake case; an enum is an IntEnum; addresses come back
checksummed. Encoding is web3's strict codec: a value that does not fit its type is an error, never padded or cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils import keccak, to_checksum_address
from eth_utils.abi import collapse_if_tuple
from web3 import Web3

from pot_chain.chain.errors import ChainError

Component = Mapping[str, Any]
"""An entry of ``inputs`` or ``outputs`` of a JSON ABI."""

_CODEC: Final = Web3().codec
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class AbiError(ChainError):
    """Values and ABI do not fit."""


@cache
def snake_case(name: str) -> str:
    """``rewardsRoot`` as ``rewards_root``; a leading or trailing underscore of a Solidity name is dropped."""
    return _WORD_START.sub("_", name).lower().strip("_")


def types_of(components: Sequence[Component]) -> list[str]:
    """Canonical ABI types, structs as tuples: ``(uint256,bytes32)[]``."""
    return [collapse_if_tuple(component) for component in components]  # type: ignore[arg-type]


def signature_of(entry: Component) -> str:
    """``name(type,…)`` of a function, event or error."""
    return f"{entry['name']}({','.join(types_of(entry.get('inputs', ())))})"


def selector_of(entry: Component) -> bytes:
    """First four bytes of the hash of the signature of a function or error."""
    return keccak(text=signature_of(entry))[:4]


def topic_of(event: Component) -> bytes:
    """First topic (32 bytes) of an event's logs."""
    return keccak(text=signature_of(event))


def encode(components: Sequence[Component], values: Sequence[Any]) -> bytes:
    """ABI encoding of ``values``; dataclasses for structs, IntEnums for enums.

    Raises:
        AbiError: wrong number of values, or one that does not fit its type.
    """
    if len(values) != len(components):
        names = ", ".join(component.get("name") or "?" for component in components)
        raise AbiError(f"expected {len(components)} values ({names}), got {len(values)}")
    plain = [to_abi(component, value) for component, value in zip(components, values, strict=True)]
    try:
        return bytes(_CODEC.encode(types_of(components), plain))
    except EncodingError as error:
        raise AbiError(f"a value does not fit the contract's types: {error}") from error


def decode(components: Sequence[Component], data: bytes, hints: Sequence[Any] | None = None) -> list[Any]:
    """Values in ABI-encoded ``data``.

    Args:
        components: their ABI entries.
        data: the encoding.
        hints: Python type of each value; where it is a dataclass or an IntEnum, such a value is made.

    Raises:
        AbiError: malformed data.
    """
    try:
        values = _CODEC.decode(types_of(components), data)
    except DecodingError as error:
        raise AbiError(f"the contract's answer does not fit its ABI: {error}") from error
    wanted = hints if hints is not None else [Any] * len(components)
    return [
        to_python(component, value, hint) for component, value, hint in zip(components, values, wanted, strict=True)
    ]


def to_abi(component: Component, value: Any) -> Any:
    """``value`` in the form that the codec takes: structs as tuples in the order of the ABI."""
    kind = str(component["type"])
    if kind.endswith("]"):
        return [to_abi(_element(component), item) for item in value]
    if kind == "tuple":
        if not is_dataclass(value):
            return value
        return tuple(to_abi(item, getattr(value, snake_case(item["name"]))) for item in component["components"])
    return value


def to_python(component: Component, value: Any, hint: Any = Any) -> Any:
    """Decoded ``value``: addresses checksummed, arrays as tuples, structs and enums as what ``hint`` names."""
    kind = str(component["type"])
    if kind.endswith("]"):
        arguments = get_args(hint) if get_origin(hint) is tuple else ()
        return tuple(to_python(_element(component), item, arguments[0] if arguments else Any) for item in value)
    if kind == "tuple":
        items = component["components"]
        if not (isinstance(hint, type) and is_dataclass(hint)):
            return {item["name"]: to_python(item, part) for item, part in zip(items, value, strict=True)}
        types = field_types(hint)
        return hint(
            **{
                (name := snake_case(item["name"])): to_python(item, part, types[name])
                for item, part in zip(items, value, strict=True)
            }
        )
    if kind == "address":
        return str(to_checksum_address(value))
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(value)
    return value


@cache
def field_types(dataclass: type[Any]) -> dict[str, Any]:
    """Resolved types of a dataclass's fields."""
    hints = get_type_hints(dataclass)
    return {field.name: hints[field.name] for field in fields(dataclass)}


def _element(component: Component) -> dict[str, Any]:
    """The ABI entry of an element of an array type."""
    kind = str(component["type"])
    return {**component, "type": kind[: kind.rindex("[")]}
