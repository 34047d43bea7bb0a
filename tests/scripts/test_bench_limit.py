"""The limit that the consensus benchmark is measured against, and the delays that it injects."""

from __future__ import annotations

import numpy as np
import pytest

from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.votes import Slot
from scripts.bench.limit import (
    COMMIT,
    PREPARE,
    PROPOSE,
    Delays,
    client_time,
    decision_times,
    monte_carlo,
    same_draws,
    view_change_times,
)

PUBLISHED = Delays(1, 0.030, 0.300)


@pytest.mark.parametrize(
    ("size", "median", "last", "client", "client_published"),
    [
        (4, 457, 522, 757, 818),
        (10, 542, 598, 834, 909),
        (30, 568, 611, 851, 947),
        (50, 585, 621, 874, 958),
    ],
)
def test_the_monte_carlo_agrees_with_an_independent_one(
    size: int, median: int, last: int, client: int, client_published: int
) -> None:
    """Means (ms) that another program of another author found for U(30, 300) ms; both have 3,000 trials."""
    limit = monte_carlo(size, PUBLISHED, 3000, seed=7)
    found = [1000 * float(np.mean(times)) for times in (limit.median, limit.last, limit.client, limit.client_published)]
    assert found == pytest.approx([median, last, client, client_published], rel=0.015)


def test_constant_delays_take_three_hops_and_five_for_a_client() -> None:
    size, hop = 4, 0.1
    one, pairs = np.full(size, hop), np.full((size, size), hop)
    decided = decision_times(one, pairs, pairs, 0, quorum(size))
    assert decided == pytest.approx([3 * hop] * size)
    assert client_time(np.array(hop), decided, one, 2) == pytest.approx(5 * hop)


def test_a_dead_primary_costs_one_hop_more() -> None:
    size, hop = 4, 0.1
    one, pairs = np.full(size, hop), np.full((size, size), hop)
    times = view_change_times(pairs, one, pairs, pairs, 0, 1, quorum(size))
    assert times[1:] == pytest.approx([4 * hop] * 3)


def test_the_slowest_member_of_a_quorum_decides() -> None:
    """Three of four: whoever is slow to send holds nobody up but itself."""
    size = 4
    propose = np.array([0.0, 0.1, 0.1, 5.0])
    pairs = np.full((size, size), 0.1)
    times = decision_times(propose, pairs, pairs, 0, quorum(size))
    assert times[:3] == pytest.approx([0.3] * 3)
    assert times[3] == pytest.approx(5.0)


def test_a_message_has_one_delay_whoever_asks_and_each_its_own() -> None:
    slot, other = Slot(1, 2, 1), Slot(1, 3, 1)
    drawn = {
        PUBLISHED.of(kind, at, view, sender, receiver)
        for kind in (PROPOSE, PREPARE, COMMIT)
        for at in (slot, other)
        for view in (0, 1)
        for sender in range(4)
        for receiver in range(4)
    }
    assert len(drawn) == 3 * 2 * 2 * 16
    assert PUBLISHED.of(PREPARE, slot, 0, 1, 2) == Delays(1, 0.030, 0.300).of(PREPARE, slot, 0, 1, 2)
    assert PUBLISHED.of(PREPARE, slot, 0, 1, 2) != Delays(2, 0.030, 0.300).of(PREPARE, slot, 0, 1, 2)


def test_drawn_delays_are_uniform() -> None:
    values = [PUBLISHED.of(COMMIT, Slot(1, number, 1), 0, 0, 1) for number in range(4000)]
    assert min(values) >= 0.030
    assert max(values) < 0.300
    quarters = np.histogram(values, bins=4, range=(0.030, 0.300))[0]
    assert quarters == pytest.approx([1000] * 4, abs=120)  # four standard deviations


def test_the_limit_for_given_draws_has_the_monte_carlo_as_its_mean() -> None:
    exact = [same_draws(4, PUBLISHED, Slot(1, number, 1)) for number in range(1500)]
    assert np.mean(exact) == pytest.approx(float(np.mean(monte_carlo(4, PUBLISHED, 3000, seed=7).median)), rel=0.02)


def test_a_constant_more_a_hop_adds_three_of_it() -> None:
    slower = Delays(1, 0.030, 0.300, hop=0.1)
    for number in range(5):
        slot = Slot(1, number, 1)
        assert same_draws(10, slower, slot) == pytest.approx(same_draws(10, PUBLISHED, slot) + 0.3)
