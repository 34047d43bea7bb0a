from __future__ import annotations

from collections import Counter

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol.assignment import assign, audit_seed, audited, draw
from pot_chain.protocol.errors import ProtocolError

ACCOUNTS = [str(to_checksum_address(bytes([i + 1]) * 20)) for i in range(16)]
seeds = st.binary(min_size=32, max_size=32)


@given(seeds, st.integers(1, 2000), st.data())
def test_a_draw_is_distinct_in_range_and_repeatable(seed: bytes, population: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, population))
    drawn = draw(seed, population, count)
    assert len(set(drawn)) == count
    assert all(0 <= index < population for index in drawn)
    assert drawn == draw(seed, population, count)


def test_a_draw_is_uniform() -> None:
    counts = Counter(index for i in range(4000) for index in draw(i.to_bytes(32, "big"), 10, 3))
    # 1,200 expected each; the standard deviation is 29, so five of them never miss with fixed seeds
    assert all(abs(counts[index] - 1200) < 145 for index in range(10))


@given(seeds, st.permutations(ACCOUNTS), st.integers(1, 20))
def test_assignments_are_disjoint_and_do_not_depend_on_the_order_of_members(
    seed: bytes, members: list[str], samples: int
) -> None:
    assigned = assign(seed, members, samples, 400)
    assert sorted(assigned) == sorted(members)
    union = [index for indices in assigned.values() for index in indices]
    assert len(union) == len(set(union)) == samples * len(members)
    assert assigned == assign(seed, sorted(members), samples, 400)


def test_a_dataset_that_is_too_small_is_refused_with_the_field_to_change() -> None:
    with pytest.raises(ProtocolError) as caught:
        assign(bytes(32), ACCOUNTS, 100, 1000)
    assert "samples_per_miner" in caught.value.hint


@given(seeds, st.floats(0.001, 1.0), st.integers(1, 16))
def test_each_validator_audits_at_least_one_and_about_its_rate(seed: bytes, rate: float, count: int) -> None:
    chosen = audited(seed, ACCOUNTS[0], ACCOUNTS[:count], rate)
    assert 1 <= len(chosen) <= count
    assert rate * count <= len(chosen) < rate * count + 1 or len(chosen) == 1
    assert set(chosen) <= set(ACCOUNTS[:count])


def test_audits_depend_on_every_seal_their_order_and_later_randomness() -> None:
    seals = [(ACCOUNTS[0], b"\x01" * 32), (ACCOUNTS[1], b"\x02" * 32)]
    variants = {
        audit_seed(seals, bytes(32)),
        audit_seed(seals[::-1], bytes(32)),
        audit_seed(seals[:1], bytes(32)),
        audit_seed([seals[0], (ACCOUNTS[1], b"\x03" * 32)], bytes(32)),
        audit_seed(seals, b"\x01" * 32),
    }
    assert len(variants) == 5
