"""A slice of the faults on real processes; ``make chaos-pbft`` does it at length."""

from __future__ import annotations

import asyncio

import pytest

from scripts.chaos.network import ChaosError, History
from scripts.chaos.schedule import Kind, draw
from scripts.chaos.torment import torment


@pytest.mark.parametrize(("seed", "size"), [(1, 4), (2, 7)])
async def test_processes_that_are_tormented_end_with_one_chain(seed: int, size: int) -> None:
    async with asyncio.timeout(240):
        verdict = await torment(seed, size, 8.0)
    assert verdict.rounds >= 5
    assert sum(verdict.faults.values()) == len(draw(seed, size, 8.0))
    assert set(verdict.faults) == {kind.value for kind in Kind}
    assert verdict.statements > verdict.rounds * size


def test_a_seed_gives_one_schedule_and_every_kind_of_fault() -> None:
    assert draw(5, 4, 20.0) == draw(5, 4, 20.0)
    assert draw(5, 4, 20.0) != draw(6, 4, 20.0)
    for seed in range(20):
        faults = draw(seed, 7, 20.0)
        assert {fault.kind for fault in faults} == set(Kind)
        assert all(0 <= fault.at <= 20 and 0 < len(fault.nodes) < 7 for fault in faults)


A, B, C = ("aa" * 32, "bb" * 32, "cc" * 32)
GENESIS = "00" * 32


def history(*chains: list[tuple[str, str]]) -> History:
    made = History()
    for node, chain in enumerate(chains):
        for number, (digest, parent) in enumerate(chain):
            made.note(node, number, digest, parent, 0)
    return made


def test_a_history_must_be_one_chain() -> None:
    good = [(A, GENESIS), (B, A)]
    history(good, good).check(2, 2)
    with pytest.raises(ChaosError, match="FORK: several decisions of rounds \\[1\\]"):
        history(good, [(A, GENESIS), (C, A)]).check(2, 2)
    with pytest.raises(ChaosError, match="stands on"):
        history(good, [(A, GENESIS), (B, C)]).check(2, 2)
    with pytest.raises(ChaosError, match="validator 1 has decided 1 rounds"):
        history(good, good[:1]).check(2, 2)
    with pytest.raises(ChaosError, match="decided round 0 twice, differently"):
        history(good).note(0, 0, C, GENESIS, 0)
