"""The consensus benchmark measures what it says: real processes and sockets, small figures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pot_chain.pbft.config import Timeouts
from scripts.bench.cluster import cluster, lane_slot
from scripts.bench.limit import Delays, same_draws
from scripts.bench.pbft import main


async def test_decisions_take_what_their_delays_need_and_no_less() -> None:
    delays = Delays(3, 0.05, 0.15)
    async with asyncio.timeout(120), cluster(4, 2, delays, client=True) as network:
        await network.decide(lane_slot(0, 0))
        before = await network.usage()
        outcomes = [await network.decide(lane_slot(0, turn)) for turn in (1, 2, 3, 4)]
        after = await network.usage()
    most = 4 * 3 * 9  # 3 proposals, 12 PREPAREs, 12 COMMITs a slot; who decides before it is prepared sends less
    assert most - 4 * 6 <= after.frames - before.frames <= most
    assert after.bytes > before.bytes
    for outcome in outcomes:
        assert outcome.views == {0}
        assert set(outcome.decided) == {0, 1, 2, 3}
        times = sorted(at - outcome.begun for at in outcome.decided.values())
        # 2 ms: timers of the event loop count whole milliseconds
        assert (times[1] + times[2]) / 2 >= same_draws(4, delays, outcome.slot) - 0.002 * 3
        assert len(outcome.replies) == 4
        assert min(outcome.replies) - outcome.requested >= 5 * 0.05 - 0.005


async def test_a_dead_primary_is_replaced_after_its_time_out() -> None:
    delays, timeouts = Delays(3, 0.01, 0.03), Timeouts(initial=1.0, maximum=60.0, resend=120.0)
    async with asyncio.timeout(120), cluster(4, 1, delays, timeouts=timeouts, dead=[0]) as network:
        outcome = await network.recover(lane_slot(0, 0))
    assert outcome.views == {1}
    assert set(outcome.decided) == {1, 2, 3}
    assert min(outcome.decided.values()) - outcome.begun >= 1.0 + 4 * 0.01 - 0.005


def test_the_report_has_what_is_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bench.json"
    main(["--quick", "--only-latency", "--n", "4", "--json", str(target)])
    (row,) = json.loads(target.read_text())["rows"]
    assert row["n"] == 4
    assert row["ratio_to_limit_p50"] == pytest.approx(row["p50_ms"] / row["limit_p50_ms"], rel=1e-3)
    assert 24 < row["frames_per_decision"] <= 27
    assert row["bytes_per_decision"] > 24 * 158
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("commit median at n = 4: ")
    assert any("load average" in line for line in said)
