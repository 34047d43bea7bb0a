from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.units import format_amount, parse_amount, parse_duration


@given(st.integers(min_value=0, max_value=(1 << 128) - 1))
def test_an_amount_survives_its_own_formatting_to_the_wei(wei: int) -> None:
    assert parse_amount(format_amount(wei, "eth")) == wei
    assert parse_amount(str(wei)) == wei == parse_amount(wei)


@pytest.mark.parametrize(
    ("text", "wei"), [("1.5eth", 15 * 10**17), ("20 gwei", 20 * 10**9), ("7wei", 7), ("0.000000000000000001 ETH", 1)]
)
def test_amounts_as_people_write_them(text: str, wei: int) -> None:
    assert parse_amount(text) == wei


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        ("-1eth", "negative"),
        (-5, "negative"),
        ("1.5", "needs a unit"),
        ("0.5wei", "whole number of wei"),
        ("1e18", "not an amount"),
        ("1 dollar", "not an amount"),
        (True, "not an amount"),
        (1.5, "not an amount"),
        (str(1 << 128), "below 2^128"),
        ("340282366920938463463.374607431768211456eth", "below 2^128"),
    ],
)
def test_bad_amounts_name_their_fault(bad: object, cause: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_amount(bad)
    assert cause in caught.value.message


@given(st.text())
def test_parsers_raise_only_protocol_errors(text: str) -> None:
    for parse in (parse_amount, parse_duration):
        try:
            value = parse(text)
        except ProtocolError:
            continue
        assert value >= 0


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "5m", "2 h", "1d", 7)] == [90, 300, 7200, 86400, 7]
    with pytest.raises(ProtocolError, match="not a duration"):
        parse_duration("-5s")
