"""Reading a task spec from the file that an owner wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pot_chain.protocol import canonical
from pot_chain.protocol.spec import MAX_SPEC_BYTES, InvalidSpec, TaskSpec


def read_spec(
    path: Path,
    budget: str | None = None,
    *,
    stop_loss: float | None = None,
    stop_loss_after: int | None = None,
) -> TaskSpec:
    """The spec in a TOML file, or a JSON file with the suffix ``.json``.

    Args:
        budget: amount such as ``1.5eth`` that replaces the one in the file.
        stop_loss, stop_loss_after: replace ``stop_loss.loss`` and ``stop_loss.after``.

    Raises:
        InvalidSpec: the file cannot be read, or breaks a rule; the message names the field.
    """
    document = _document(path)
    document = _replaced(document, "rewards", {"budget": budget})
    document = _replaced(document, "stop_loss", {"loss": stop_loss, "after": stop_loss_after})
    return TaskSpec.parse(document)


def _replaced(document: dict[str, Any], section: str, values: dict[str, Any]) -> dict[str, Any]:
    """``document`` with those of ``values`` that are not None in a section."""
    given, held = {name: value for name, value in values.items() if value is not None}, document.get(section) or {}
    if not given or not isinstance(held, dict):  # what is no section is refused later, by name
        return document
    return {**document, section: {**held, **given}}


def _document(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidSpec(f"cannot read the spec {path}: {error.strerror}", "give the path of a TOML file") from error
    if len(data) > MAX_SPEC_BYTES:
        raise InvalidSpec(f"{path} has {len(data)} bytes; a spec has at most {MAX_SPEC_BYTES}", "is it the right file?")
    try:
        text = data.decode("utf-8")
        as_json = path.suffix == ".json"
        document: Any = canonical.parse(data, max_bytes=MAX_SPEC_BYTES) if as_json else tomllib.loads(text)
    except (ValueError, RecursionError, canonical.NotCanonical) as error:  # ValueError: not UTF-8, not TOML
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise InvalidSpec(f"{path} is not valid {kind}: {error}", "check the place that the message names") from error
    if not isinstance(document, dict):
        raise InvalidSpec(f"{path} holds no table of fields", "see `pot task create --help` for an example spec")
    return document
