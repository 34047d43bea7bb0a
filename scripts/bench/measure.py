"""The measurements: commit latency, recovery from a dead primary, and throughput. Each returns plain figures."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any

import numpy as np

from pot_chain.pbft.config import Timeouts
from pot_chain.protocol.quorum import max_faulty, quorum, weak_quorum
from scripts.bench.cluster import BenchError, Cluster, Outcome, cluster, lane_slot
from scripts.bench.limit import Delays, Limit, Times, monte_carlo, published_replies, same_draws

LOW, HIGH = 0.030, 0.300
"""Bounds of the emulated one-way delay (seconds), those of the published experiment."""
PUBLISHED_HOP = 0.100
"""What the published harness sleeps for each hop (seconds), P-HOW ``network.go:70``."""
PUBLISHED_SECONDS = {10: 1.50, 30: 1.70, 50: 1.84}
"""What the published prototype reports (client, seconds), with that sleep in it."""
TRIALS = 3000


@dataclass(frozen=True)
class Plan:
    """How much is measured for one size.

    Attributes:
        in_flight: slots decided at the same time in the latency runs; their processor time must not add up.
        recoveries: decisions with a dead primary; 0 leaves that out.
        seconds: of each throughput run.
    """

    decisions: int
    in_flight: int
    recoveries: int
    seconds: float


@dataclass(frozen=True)
class Setting:
    """What all measurements share."""

    seed: int
    processes: int
    first_timeout: float


async def latency(size: int, plan: Plan, setting: Setting, hop: float = 0.0) -> dict[str, Any]:
    """Commit latency under U(30, 300) ms plus ``hop`` a message, beside what the network alone allows."""
    delays = Delays(setting.seed, LOW, HIGH, hop)
    async with cluster(size, setting.processes, delays, client=True) as network:
        await _lanes(network, plan.in_flight, plan.in_flight, setting.seed, first=0)  # warm: caches, connections
        before = await network.usage()
        outcomes = await _lanes(network, plan.decisions, plan.in_flight, setting.seed, first=plan.decisions)
        after, sync = await network.usage(), network.disk_sync()
    count = len(outcomes)
    frames = (after.frames - before.frames) / count
    full = (size - 1) * (2 * size + 1)  # a replica that has Q COMMITs before it is prepared sends none itself
    if not 0.9 * full < frames <= full:
        raise BenchError(f"{frames} frames a decision instead of {full}: some were lost or sent twice")
    limit = monte_carlo(size, delays, TRIALS, setting.seed)
    commits = np.array([median(outcome.decided.values()) - outcome.begun for outcome in outcomes])
    exact = np.array([same_draws(size, delays, outcome.slot) for outcome in outcomes])
    cpu = (after.cpu - before.cpu) / count
    return {
        "n": size,
        "f": max_faulty(size),
        "quorum": quorum(size),
        "decisions": count,
        "hop_ms": _ms(hop),
        **_beside("", commits, limit.median),
        "ratio_same_draws_p50": round(float(np.median(commits / exact)), 4),
        **_beside("last_", np.array([max(o.decided.values()) - o.begun for o in outcomes]), limit.last),
        **_client(size, outcomes, limit),
        "cpu_ms_per_decision": _ms(cpu),
        "cpu_ms_per_decision_and_validator": round(1000 * cpu / size, 3),
        "frames_per_decision": round(frames, 1),
        "bytes_per_decision": round((after.bytes - before.bytes) / count),
        "injected_delay_excess_ms": round(1000 * (after.late - before.late) / (after.delayed - before.delayed), 3),
        "disk_sync_ms": round(1000 * sync, 3),
        "load_average": round(os.getloadavg()[0], 2),
    }


async def recovery(size: int, plan: Plan, setting: Setting) -> dict[str, Any]:
    """From "the slot has work" to the median live replica's decision, the first primary being dead."""
    delays = Delays(setting.seed, LOW, HIGH)
    timeouts = Timeouts(initial=setting.first_timeout, maximum=60.0, resend=120.0)
    async with cluster(size, setting.processes, delays, timeouts=timeouts, dead=[0]) as network:
        lanes = range(min(plan.in_flight, plan.recoveries))
        each = -(-plan.recoveries // len(lanes))

        async def lane(number: int) -> list[Outcome]:
            return [await network.recover(lane_slot(number, size * turn)) for turn in range(each)]

        outcomes = [outcome for done in await asyncio.gather(*map(lane, lanes)) for outcome in done]
    if any(outcome.views != {1} for outcome in outcomes):
        raise BenchError("a slot with a dead first primary was not decided in view 1 by all")
    times = np.array([median(outcome.decided.values()) - outcome.begun for outcome in outcomes])
    limit = setting.first_timeout + monte_carlo(size, delays, TRIALS, setting.seed).recovery
    bound = 1.2 * (setting.first_timeout + 4 * delays.mean)
    return {
        "recoveries": len(outcomes),
        "first_timeout_ms": _ms(setting.first_timeout),
        "recovery_p50_ms": _ms(float(np.median(times))),
        "recovery_p95_ms": _ms(float(np.quantile(times, 0.95))),
        "recovery_max_ms": _ms(float(times.max())),
        "limit_recovery_p50_ms": _ms(float(np.median(limit))),
        "recovery_bound_ms": _ms(bound),
        "recovery_within_bound": bool(np.median(times) <= bound),
    }


async def throughput(size: int, plan: Plan, setting: Setting) -> dict[str, Any]:
    """Decisions a second without delay, one slot at a time and eight at a time; processor time of each decision."""
    figures: dict[str, Any] = {}
    async with cluster(size, setting.processes, None) as network:
        loop = asyncio.get_running_loop()
        for lanes in (1, 8):
            before, begun = await network.usage(), loop.time()
            until = begun + plan.seconds

            async def lane(number: int, until: float = until) -> int:
                turn = 0
                while loop.time() < until:
                    await network.decide(lane_slot(number, turn))
                    turn += 1
                return turn

            done = sum(await asyncio.gather(*(lane(100 * lanes + number) for number in range(lanes))))
            seconds, after = loop.time() - begun, await network.usage()
            figures[f"decisions_per_second_{lanes}"] = round(done / seconds, 1)
            figures[f"busy_cpu_ms_per_decision_{lanes}"] = _ms((after.cpu - before.cpu) / done)
    return figures


async def _lanes(network: Cluster, decisions: int, lanes: int, seed: int, first: int) -> list[Outcome]:
    """``decisions`` slots in ``lanes`` that start at different times; slot numbers from ``first``."""
    each = -(-decisions // lanes)

    async def lane(number: int) -> list[Outcome]:
        await asyncio.sleep(Random(f"{seed} {number}").uniform(0, 1) if lanes > 1 else 0)  # so that bursts spread
        return [await network.decide(lane_slot(number, first + turn)) for turn in range(each)]

    return [outcome for done in await asyncio.gather(*map(lane, range(lanes))) for outcome in done]


def _client(size: int, outcomes: list[Outcome], limit: Limit) -> dict[str, Any]:
    """From the client's request to its f + 1 replies, and to as many as the published prototype's client wants."""
    paper = np.array([sorted(o.replies)[weak_quorum(size) - 1] - o.requested for o in outcomes])
    published = np.array([sorted(o.replies)[published_replies(size) - 1] - o.requested for o in outcomes])
    return _beside("client_", paper, limit.client) | _beside("client_published_", published, limit.client_published)


def _beside(name: str, measured: Times, limit: Times) -> dict[str, Any]:
    p50, limit_p50 = float(np.median(measured)), float(np.median(limit))
    return {
        f"{name}p50_ms": _ms(p50),
        f"{name}p95_ms": _ms(float(np.quantile(measured, 0.95))),
        f"limit_{name}p50_ms": _ms(limit_p50),
        f"limit_{name}p95_ms": _ms(float(np.quantile(limit, 0.95))),
        f"ratio_to_limit_{name}p50": round(p50 / limit_p50, 4),
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
