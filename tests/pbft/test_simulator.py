"""A slice of the simulation for every change; ``make sim`` runs it at length."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pot_chain.pbft import certificate_fault
from pot_chain.pbft.sim.__main__ import main
from pot_chain.pbft.sim.campaign import Campaign, SeedLeftOut
from pot_chain.pbft.sim.crypto import RealKeys
from pot_chain.pbft.sim.mutants import MUTANTS, Blacklisting, Mutant, fork, hunt, hunt_blacklist
from pot_chain.pbft.sim.scenario import Attack, Crash, draw
from pot_chain.pbft.sim.world import World
from pot_chain.protocol.votes import Phase

REGRESSIONS = json.loads((Path(__file__).parent / "regression_seeds.json").read_text())
"""Seeds that found something once: a bug (``why``), fixed since, or a mutant. None is ever left out."""

FIRST_SEED = {entry["mutant"]: entry["seed"] for entry in REGRESSIONS if "mutant" in entry}
"""Where the hunt for a mutant starts, so that it is short; if scenarios change it only takes longer."""


Recorder = Callable[[str, object], None]


def test_hostile_worlds_break_nothing(record_property: Recorder) -> None:
    report = Campaign(range(150)).run()
    record_property("seeds simulated", report.seeds)
    assert [(failure.seed, failure.violation) for failure in report.failures] == []
    assert report.seeds == 150
    assert report.certificates > 150
    for mark in (
        "torn log cut",
        "lost log",
        "new-view carries",
        "new-view is free",
        "decide on Ballot",
        "decide on Decided",
        "view change on TimerFired",
        "view change on ViewChangeRequest",
        "view change on Proposal",
        "vote with a wrong signature",
        "guard: SlotRetired",
    ):
        assert report.counts[mark] >= 1, mark
    assert max(report.views) >= 3


@pytest.mark.parametrize("size", [10, 13])
def test_larger_epochs(size: int, record_property: Recorder) -> None:
    report = Campaign(range(1000, 1012), sizes=(size,)).run()
    record_property("seeds simulated", report.seeds)
    assert report.failures == []


@pytest.mark.parametrize("seed", sorted({entry["seed"] for entry in REGRESSIONS}))
def test_seeds_that_found_something_once(seed: int) -> None:
    assert World(draw(seed)).run().violation is None


def test_a_seed_replays_exactly_whatever_the_hash_seed() -> None:
    lines = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "pot_chain.pbft.sim", "--replay", "64"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        lines.add(done.stdout)
    (text,) = lines
    assert "seed 64, trace " in text.splitlines()[-1]


def test_the_mix_of_faults_covers_all_kinds() -> None:
    scenarios = [draw(seed) for seed in range(1500)]
    assert {attack for scenario in scenarios for attack in scenario.attacks} == set(Attack)
    assert {outage.crash for scenario in scenarios for outage in scenario.outages} == set(Crash)
    assert {scenario.size for scenario in scenarios} == {4, 5, 6, 7, 10, 13}
    for scenario in scenarios:
        lost = {outage.node for outage in scenario.outages if outage.crash is Crash.DISK_LOST}
        assert len(scenario.byzantine | lost) <= scenario.faulty
    for count in (
        sum(bool(scenario.partitions) for scenario in scenarios),
        sum(bool(scenario.reorgs) for scenario in scenarios),
        sum(bool(scenario.pauses) for scenario in scenarios),
        sum(bool(scenario.deaf) for scenario in scenarios),
        sum(scenario.ambush is not None for scenario in scenarios),
        sum(len(scenario.epochs) == 2 for scenario in scenarios),
        sum(scenario.wire for scenario in scenarios),
        sum(scenario.timer_jumps > 0 for scenario in scenarios),
        sum(scenario.real_signatures for scenario in scenarios) * 10,
    ):
        assert count >= 100


def test_with_real_signatures_too() -> None:
    """EIP-712 and secp256k1 in place of the fast test signer; each certificate verifies outside the world."""
    seeds = [seed for seed in range(2000) if draw(seed).real_signatures and draw(seed).size == 4][:3]
    for seed in seeds:
        scenario = draw(seed)
        result = World(scenario).run()
        assert result.violation is None
        keys = RealKeys(scenario.pool)
        for decided in result.certificates:
            verify = keys.verifier(scenario.epochs[decided.slot.epoch - 1])
            assert certificate_fault(decided.certificate, Phase.COMMIT, scenario.size, verify) is None
            assert len(decided.certificate.to_contract_signatures()) == 66 * 3
    assert len(seeds) == 3


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_known_bug_is_found(mutant: Mutant, record_property: Recorder) -> None:
    death = hunt(mutant, 300, start=FIRST_SEED.get(mutant.name, 0))
    assert death.seed is not None, mutant.bug
    record_property("mutants killed", 1)


def test_one_liar_too_many_forks(record_property: Recorder) -> None:
    assert fork(300).seed is not None
    record_property("forks with f + 1 liars", 1)


def test_a_campaign_that_leaves_seeds_out_is_found() -> None:
    assert hunt_blacklist(5).seed is not None
    with pytest.raises(SeedLeftOut):
        Blacklisting(range(3), next(mutant for mutant in MUTANTS if mutant.name == "6-lock").build).run()


def test_a_failure_comes_with_a_trace_that_a_person_can_read() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "11-lower")
    (failure,) = Campaign(range(FIRST_SEED["11-lower"], 300), mutant.build, stop_at_failure=True).run().failures
    text = "\n".join(failure.trace)
    for words in ("PREPARE v0", "VIEW-CHANGE to v1", "new-view by", "decide", "signed COMMIT v1"):
        assert words in text
    assert World(draw(failure.seed), mutant.build).run().trace_hash == failure.trace_hash


def test_the_command_line_counts_writes_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sim.json"
    assert main(["--seeds", "6", "--start", "200", "--n", "4", "--jobs", "2", "--json", str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("6 seeds from 200 in ")
    figures = json.loads(target.read_text())
    assert figures["seeds"] == 6
    assert figures["violations"] == []
    with pytest.raises(SystemExit) as caught:
        main(["--n", "3"])
    assert caught.value.code == 2
