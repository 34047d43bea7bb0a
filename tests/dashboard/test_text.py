from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.dashboard import text
from pot_chain.protocol.record import REASONS
from pot_chain.protocol.units import parse_amount

wei = st.integers(min_value=0, max_value=(1 << 127) - 1)


@given(wei)
def test_ether_text_is_exact_and_has_18_decimals(amount: int) -> None:
    shown = text.ether_text(amount)
    assert parse_amount(shown + "eth") == amount
    assert len(shown.partition(".")[2]) == 18


@given(st.lists(wei, max_size=8))
def test_aligned_amounts_are_exact_and_line_up(amounts: list[int]) -> None:
    shown = text.aligned_amounts(amounts)
    assert [parse_amount(each + "eth") for each in shown] == amounts
    assert len({len(each.partition(".")[2]) for each in shown}) <= 1


def test_amounts_that_need_no_decimals_have_none() -> None:
    assert text.aligned_amounts([10**18, 0]) == ["1", "0"]


@given(wei)
def test_a_rounded_amount_says_that_it_is_rounded(amount: int) -> None:
    shown = text.rounded_amount(amount)
    error = abs(parse_amount(shown.removeprefix("≈ ")) - amount)
    assert error <= 5 * 10**11
    assert shown.startswith("≈") == (error > 0)


@given(st.sets(st.integers(-50, 50)))
def test_runs_say_the_same_numbers(numbers: set[int]) -> None:
    runs = text.runs(numbers)
    assert {number for first, last in runs for number in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(runs))


def test_ranges_are_written_shortly() -> None:
    assert text.ranges_text([12, 6, 7, 9, 8, 3]) == "3, 6-9, 12"


@given(st.text())
def test_visible_text_prints_on_one_line_and_keeps_what_prints(written: str) -> None:
    shown = text.visible(written)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown) == len(written)
    assert all(after == before for before, after in zip(written, shown, strict=True) if before.isprintable())


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\r", "\n", "\u202e", "\u200b", "\ud800", "\x00"])
def test_visible_text_has_no_control_codes(hidden: str) -> None:
    assert hidden[0] not in text.visible(f"a{hidden}b")


def test_every_reason_of_the_protocol_has_a_phrase() -> None:
    assert text.REASON_TEXTS.keys() == REASONS


def test_an_unknown_reason_is_shown_shortened() -> None:
    assert text.reason_text("stale_checkpoint") == "stale_checkpoint"
    assert len(text.reason_text("x" * 1000)) == text.MAX_REASON_CHARACTERS


def test_names() -> None:
    address = "0x" + "ab" * 20
    assert text.name_of(address, {address: "miner 3"}) == "miner 3"
    assert text.name_of(address, {}) == "0xabab..abab"
    assert len(text.name_of(address, {address: "m" * 999})) == text.MAX_NAME_CHARACTERS


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (102.4, "1 min 42 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert text.seconds_text(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (21_914, "21.4 KiB"), (1024**2 - 1, "1.0 MiB"), (1 << 41, "2.0 TiB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert text.bytes_text(count) == shown


def test_figures_that_are_no_numbers() -> None:
    assert text.number_text(None) == text.percent_text(None) == "-"
    assert text.number_text(float("nan")) == text.percent_text(float("inf")) == "diverged"
    assert text.percent_text(0.95833) == "95.83 %"
