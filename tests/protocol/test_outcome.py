"""The loss that an outcome tells: exact, half to even, and never out of its field."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.outcome import MAX_LOSS_UNITS, loss_units


@pytest.mark.parametrize(
    ("loss", "units"),
    [
        (0.0, 0),
        (-0.0, 0),
        (2.302585, 2_302_585),
        (0.5**7, 7812),  # 7812.5: to the even neighbour
        (3 * 0.5**7, 23_438),  # 23437.5
        (4e-7, 0),
        (6e-7, 1),
        (1.8e13, 18_000_000_000_000_000_000),
        (1.9e13, MAX_LOSS_UNITS),
        (3.4028234663852886e38, MAX_LOSS_UNITS),
        (math.inf, MAX_LOSS_UNITS),
    ],
)
def test_a_loss_in_millionths(loss: float, units: int) -> None:
    assert loss_units(loss) == units


@pytest.mark.parametrize("loss", [math.nan, -1.0, -1e-300, -math.inf])
def test_what_is_no_loss_is_refused(loss: float) -> None:
    with pytest.raises(ProtocolError, match="a loss is"):
        loss_units(loss)


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_rounding_is_to_the_nearest_and_keeps_the_order(a: float, b: float) -> None:
    assert abs(loss_units(a) - Fraction(a) * 1_000_000) <= Fraction(1, 2)
    if a <= b:
        assert loss_units(a) <= loss_units(b)
