"""Options that many commands share, declared once as the fields of a dataclass.

A command that takes a parameter annotated with such a dataclass gets one option for each field. The same options are
accepted before the command (``pot --network test task list``); what stands behind the command wins.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer

_CONTEXT = "context"


def with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """``function`` as Typer shall see it: each dataclass parameter replaced by options for its fields."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters = [inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
    for group in groups.values():
        parameters += options_of(group)

    @functools.wraps(function)
    def command(**values: Any) -> None:
        before = values.pop(_CONTEXT).find_root().obj or {}
        for name, group in groups.items():
            fields = {field.name: values.pop(field.name) for field in dataclasses.fields(group)}
            values[name] = group(
                **{field: before.get(field) if value is None else value for field, value in fields.items()}
            )
        function(**values)

    # what inspect.signature and typing.get_type_hints read
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def options_of(group: Any) -> list[inspect.Parameter]:
    """A keyword parameter for each field of the dataclass ``group``."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]
