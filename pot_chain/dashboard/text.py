"""Numbers, names and reasons as people read them; safe to print whoever wrote them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pot_chain.protocol.units import format_amount

REASON_TEXTS: Final[Mapping[str, str]] = {
    "unavailable": "its bytes could not be fetched",
    "malformed": "malformed submission",
    "too_large": "too large",
    "wrong_names": "other tensors than the model's",
    "wrong_shape": "tensor of the wrong shape",
    "wrong_dtype": "tensor of the wrong type",
    "not_finite": "contains NaN or infinity",
    "wrong_round": "made for another round",
    "duplicate": "copy of another miner's gradient",
    "gradient_mismatch": "gradient not reproduced",
    "loss_mismatch": "loss not reproduced",
    "diverged": "no finite gradient on its samples",
}
"""Phrases for the codes in ``pot_chain.protocol.record.REASONS``."""

MAX_REASON_CHARACTERS: Final = 80
MAX_NAME_CHARACTERS: Final = 32

_ETHER_DECIMALS: Final = 18


def visible(text: str) -> str:
    """``text`` with every character that prints nothing replaced by U+FFFD.

    Addresses, reasons and messages come from strangers: control codes would move the cursor of a terminal, and
    bidirectional overrides and zero-width characters would make a line read as something else.
    """
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def reason_text(reason: str) -> str:
    """Why a gradient was rejected, as a phrase; an unknown reason is shown as it is, shortened."""
    return REASON_TEXTS.get(reason) or shortened(visible(reason), MAX_REASON_CHARACTERS)


def shortened(text: str, characters: int) -> str:
    """``text`` cut to ``characters``, three dots included."""
    return text if len(text) <= characters else text[: characters - 3] + "..."


def short_address(address: str) -> str:
    """First 4 and last 4 hex digits: ``0x52a1..9f3c``. What is short already stays whole."""
    shown = visible(address)
    return shown if len(shown) <= 14 else f"{shown[:6]}..{shown[-4:]}"


def name_of(address: str, labels: Mapping[str, str]) -> str:
    """The label that the caller gave to ``address``, or its short form."""
    label = labels.get(address)
    return shortened(visible(label), MAX_NAME_CHARACTERS) if label else short_address(address)


def seconds_text(seconds: float) -> str:
    """``0.4 s``, ``12.3 s``, ``1 min 42 s`` or ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def bytes_text(count: int) -> str:
    """``512 B``, ``21.4 KiB``, ``3.0 MiB``: powers of 1,024."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1023.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def number_text(value: float | None, digits: int = 4) -> str:
    """``value`` with ``digits`` decimals; ``-`` if it was not measured, ``diverged`` if it is NaN or infinite."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if math.isfinite(value) else "diverged"


def percent_text(share: float | None, digits: int = 2) -> str:
    """A share of 1 in percent: ``95.83 %``."""
    if share is None or not math.isfinite(share):
        return number_text(share)
    return f"{100 * share:.{digits}f} %"


def aligned_amounts(amounts: Sequence[int]) -> list[str]:
    """``amounts`` (wei) as exact decimals of ETH that all have the same number of decimals, so that they line up."""
    exact = [format_amount(wei, "").strip() for wei in amounts]
    decimals = max((len(text.partition(".")[2]) for text in exact), default=0)
    return [_with_decimals(text, decimals) for text in exact]


def ether_text(wei: int) -> str:
    """``wei`` as ETH with all 18 decimals: ``0.050000000000000000``."""
    return _with_decimals(format_amount(wei, "").strip(), _ETHER_DECIMALS)


def rounded_amount(wei: int) -> str:
    """``wei`` in ETH for a headline: exact with at most 6 decimals, else ``≈`` and rounded to them."""
    unit = 10**12
    rounded = (wei + unit // 2) // unit * unit
    return format_amount(wei) if rounded == wei else f"≈ {format_amount(rounded)}"


def _with_decimals(text: str, decimals: int) -> str:
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(decimals, '0')}" if decimals else whole


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def ranges_text(numbers: Iterable[int]) -> str:
    """Numbers in order with runs joined: ``3, 6-9, 12``."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs(numbers))


def count_text(count: int, noun: str, plural: str = "") -> str:
    """``1 round``, ``2 rounds``; ``plural`` where it is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
