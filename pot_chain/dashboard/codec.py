"""Dataclasses to JSON values and back, driven by their type hints, so that reader and writer cannot disagree.

A field's JSON key is its name, or ``metadata["json"]`` where the key is no Python name by our rules
(``commitGradient``).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pot_chain.protocol.errors import PotError

T = TypeVar("T")

_KINDS = {int: "a whole number", float: "a finite number", str: "a string", bool: "true or false"}


class InvalidReport(PotError):
    """A document that is no run report; the message names the field."""


def to_plain(value: Any) -> Any:
    """``value`` as JSON objects, lists and scalars, fields in the order of their declaration.

    JSON knows neither NaN nor infinity; a number that is one of them (a loss that diverged) becomes null.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: to_plain(getattr(value, name)) for name, key in _keys(type(value)).items()}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[Any], value: object, path: str = "report") -> Any:
    """Inverse of ``to_plain`` for the dataclass ``kind``.

    Raises:
        InvalidReport: a field is missing, unknown or of the wrong type; ``path`` says where.
    """
    fields = _expect(value, dict, "an object", path)
    keys, hints = _keys(kind), get_type_hints(kind)
    unknown = sorted(str(key) for key in set(fields) - set(keys.values()))
    if unknown:
        raise InvalidReport(
            f"{path}: unknown field {_short(unknown[0])}", "read it with the version of pot that wrote it"
        )
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        key = keys[field.name]
        if key in fields:
            values[field.name] = _decode(hints[field.name], fields[key], f"{path}.{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidReport(f"{path}: the field {key!r} is missing", "give a report.json that `pot demo` wrote")
    return kind(**values)


def _decode(hint: Any, value: object, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _decode(hint, value, path)
    if origin is list:
        items = _expect(value, list, "a list", path)
        return [_decode(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(items)]
    if origin is dict:
        entries = _expect(value, dict, "an object", path)
        return {key: _decode(arguments[1], item, f"{path}[{_short(key)}]") for key, item in entries.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, value, path)
    if issubclass(hint, StrEnum):
        return _enum(hint, value, path)
    return _scalar(hint, value, path)


def _scalar(hint: type, value: object, path: str) -> Any:
    if hint is float and type(value) is int and abs(value) <= 1 << 53:
        return float(value)
    # type(), not isinstance(): true is an int to Python, never to a reader of JSON
    if type(value) is not hint or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidReport(f"{path}: expected {_KINDS[hint]}, found {_short(value)}")
    return value


def _enum(hint: type[StrEnum], value: object, path: str) -> StrEnum:
    for member in hint:
        if member.value == value:
            return member
    known = ", ".join(member.value for member in hint)
    raise InvalidReport(f"{path}: expected one of {known}, found {_short(value)}")


def _expect(value: object, kind: type[T], name: str, path: str) -> T:
    if not isinstance(value, kind):
        raise InvalidReport(f"{path}: expected {name}, found {_short(value)}")
    return value


def _short(value: object) -> str:
    text = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


def _keys(kind: type[Any]) -> dict[str, str]:
    """JSON key by field name."""
    return {field.name: field.metadata.get("json", field.name) for field in dataclasses.fields(kind)}
