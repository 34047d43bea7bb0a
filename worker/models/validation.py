"""Turns pydantic's findings about a model's parameters into errors that name the field and what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pot_chain.protocol.errors import PotError


class ModelError(PotError):
    """A model that does not exist, or parameters outside what its family allows."""


class ModelParameters(BaseModel):
    """Base of every family's parameters: exact types (``"64"`` is no integer), no unknown field, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


P = TypeVar("P", bound=ModelParameters)


def validate(family: str, schema: type[P], parameters: Mapping[str, Any]) -> P:
    """``parameters`` checked against ``schema``.

    Raises:
        ModelError: naming the first offending field, its value and the allowed range.
    """
    try:
        return schema.model_validate(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:80] or "parameters"
        raise ModelError(_message(family, field, first), _hint(schema, first)) from error


def _message(family: str, field: str, finding: Any) -> str:
    if finding["type"] == "missing":
        return f"model {family!r}: parameter {field!r} is missing"
    if finding["type"] == "extra_forbidden":
        return f"model {family!r}: unknown parameter {field!r}"
    reason = finding["msg"][:1].lower() + finding["msg"][1:]
    return f"model {family!r}: parameter {field!r} is {_shortened(finding['input'])}: {reason}"


def _hint(schema: type[ModelParameters], finding: Any) -> str:
    known = ", ".join(f"{name} ({info.description})" for name, info in schema.model_fields.items())
    if finding["type"] in ("missing", "extra_forbidden") or not finding["loc"]:
        return f"parameters are: {known}"
    info = schema.model_fields.get(str(finding["loc"][0]))
    return f"{finding['loc'][0]}: {info.description}" if info else f"parameters are: {known}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
