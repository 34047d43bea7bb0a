"""Amounts and durations as people write them."""

from __future__ import annotations

import re
from typing import Final

from pot_chain.protocol.errors import ProtocolError

WEI_PER: Final[dict[str, int]] = {"wei": 1, "gwei": 10**9, "eth": 10**18, "ether": 10**18}
SECONDS_PER: Final[dict[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_AMOUNT = re.compile(r"(-?\d{1,60}(?:\.\d{1,40})?)\s*([a-z]*)", re.ASCII)
_DURATION = re.compile(r"(\d{1,12})\s*([smhd]?)", re.ASCII)


def parse_amount(value: object) -> int:
    """Wei from ``"1.5eth"``, ``"20 gwei"``, ``"1000wei"`` or a plain integer of wei.

    Raises:
        ProtocolError: unknown unit, negative, a fraction of a wei, or a bare decimal (its unit would be a guess).
    """
    match = _AMOUNT.fullmatch(str(value).strip().lower()) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool) or (match[2] and match[2] not in WEI_PER):
        raise ProtocolError(f"not an amount: {value!r}", 'write for example "1.5eth", "20gwei" or a number of wei')
    if match[1].startswith("-"):
        raise ProtocolError(f"an amount cannot be negative: {value!r}", "give an amount above zero")
    whole, _, fraction = match[1].partition(".")
    if fraction and not match[2]:
        raise ProtocolError(f"the amount {value!r} needs a unit", 'write for example "1.5eth"')
    numerator = int(whole + fraction) * WEI_PER[match[2] or "wei"]
    denominator: int = 10 ** len(fraction)
    wei, rest = divmod(numerator, denominator)
    if rest or wei >= 1 << 128:
        raise ProtocolError(f"the amount {value!r} is no whole number of wei below 2^128")
    return wei


def format_amount(wei: int, unit: str = "ETH") -> str:
    """``wei`` as an exact decimal of 10^18, without trailing zeros: ``1.5 ETH``."""
    sign, digits = ("-" if wei < 0 else ""), str(abs(wei)).rjust(19, "0")
    fraction = digits[-18:].rstrip("0")
    return f"{sign}{digits[:-18]}{'.' + fraction if fraction else ''} {unit}"


def parse_duration(value: object) -> int:
    """Seconds from ``"90s"``, ``"5m"``, ``"2h"``, ``"1d"`` or a plain integer of seconds."""
    match = _DURATION.fullmatch(str(value).strip().lower()) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool):
        raise ProtocolError(f"not a duration: {value!r}", 'write for example "90s", "5m" or "2h"')
    seconds_per: int = SECONDS_PER[match[2] or "s"]
    return int(match[1]) * seconds_per
