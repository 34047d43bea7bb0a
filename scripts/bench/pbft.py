"""How close the consensus comes to what its network allows.

Real validators' parts (websocket mesh with its handshake, signing guard with an fsynced log, secp256k1 votes, replica)
on loopback sockets; every message waits U(30, 300) ms at its sender, as in the published experiment. Commit latency
runs from the primary's proposal (before it is signed) to the median replica's decision; the client's view from its
request to f + 1 replies, each hop delayed alike. The limit is a Monte Carlo of the same messages at no other cost,
computed in the same run; "same draws" compares each decision with the limit for the very delays that it had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from pot_chain.pbft.config import Timeouts
from scripts.audit.table import table
from scripts.bench.measure import PUBLISHED_HOP, PUBLISHED_SECONDS, Plan, Setting, latency, recovery, throughput

GOALS = {4: 1.10, 10: 1.10, 30: 1.10, 50: 1.25}
"""Largest ratio of the commit median to the limit's, by size (the project's goals)."""
FULL = {
    4: Plan(decisions=240, in_flight=8, recoveries=40, seconds=5.0),
    10: Plan(decisions=160, in_flight=4, recoveries=24, seconds=5.0),
    30: Plan(decisions=80, in_flight=1, recoveries=6, seconds=5.0),
    50: Plan(decisions=50, in_flight=1, recoveries=0, seconds=5.0),
}
QUICK = {
    4: Plan(decisions=48, in_flight=8, recoveries=8, seconds=1.0),
    10: Plan(decisions=24, in_flight=4, recoveries=4, seconds=1.0),
    30: Plan(decisions=12, in_flight=1, recoveries=0, seconds=1.0),
    50: Plan(decisions=10, in_flight=1, recoveries=0, seconds=1.0),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 if the goals are met, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.pbft", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few decisions (about two minutes)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the delays (1)")
    parser.add_argument("--n", type=int, nargs="+", default=list(FULL), choices=list(FULL), help="epoch sizes")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures to FILE")
    processes = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    parser.add_argument("--processes", type=int, default=processes, help=f"validators' processes ({processes})")
    parser.add_argument(
        *("--timeout", "-t"),
        type=float,
        default=Timeouts().initial,
        metavar="SECONDS",
        help=f"first time-out in the recovery runs ({Timeouts().initial:.0f}, as validators use it)",
    )
    parser.add_argument("--only-latency", action="store_true", help="leave out hops, recovery and throughput")
    options = parser.parse_args(arguments)
    plans = QUICK if options.quick else FULL
    setting = Setting(options.seed, options.processes, options.timeout)
    begun = time.monotonic()
    report = asyncio.run(_measure({size: plans[size] for size in options.n}, setting, options.only_latency))
    report["seconds"] = round(time.monotonic() - begun, 1)
    _print(report)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    line, met = _answer(report)
    print(line)
    return 0 if met else 1


async def _measure(plans: dict[int, Plan], setting: Setting, only_latency: bool) -> dict[str, Any]:
    rows, like_for_like = [], []
    for size, plan in plans.items():
        print(f"n = {size}: {plan.decisions} decisions …", file=sys.stderr, flush=True)
        row = await latency(size, plan, setting)
        if not only_latency:
            like_for_like.append(await latency(size, plan, setting, hop=PUBLISHED_HOP))
            if plan.recoveries:
                row |= await recovery(size, plan, setting)
            row |= await throughput(size, plan, setting)
        rows.append(row)
    return {
        "seed": setting.seed,
        "processes": setting.processes,
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "rows": rows,
        "rows_with_100_ms_per_hop": like_for_like,
    }


def _print(report: dict[str, Any]) -> None:
    load = ", ".join(f"{value:.2f}" for value in report["machine"]["load"])
    print(f"seed {report['seed']}, {report['processes']} processes on {report['machine']['processors']} processors,")
    print(f"load average {load} at the end, {report['seconds']:.0f} s in all; times in ms\n")
    print("Commit: proposal to the median replica's decision, U(30, 300) ms a message")
    _show(report["rows"], _COMMIT)
    if report["rows_with_100_ms_per_hop"]:
        print("\nThe same with 100 ms more a hop, which the published harness sleeps")
        _show(report["rows_with_100_ms_per_hop"], _HOPS)
        print("\nA dead first primary: from work to the median decision (bound: 1.2 x (time-out + 4 mean delays))")
        _show([row for row in report["rows"] if "recoveries" in row], _RECOVERY)
        print("\nNo delay: decisions a second, one slot at a time and eight; processor time of all validators together")
        _show(report["rows"], _BUSY)
    print("\nCost of a decision, all validators together; injected excess: how much later than drawn frames left")
    _show(report["rows"], _COST)
    print()


_COMMIT = {
    "n": "n",
    "decisions": "decisions",
    "p50_ms": "p50",
    "limit_p50_ms": "limit",
    "ratio_to_limit_p50": "ratio",
    "ratio_same_draws_p50": "same draws",
    "p95_ms": "p95",
    "limit_p95_ms": "limit p95",
    "last_p50_ms": "last replica",
    "limit_last_p50_ms": "limit last",
    "client_p50_ms": "client f+1",
    "limit_client_p50_ms": "limit client",
    "disk_sync_ms": "disk sync",
    "load_average": "load",
}
_HOPS = _COMMIT | {
    "client_published_p50_ms": "client, its rule",
    "limit_client_published_p50_ms": "limit",
    "published_ms": "published",
}
_RECOVERY = {
    "n": "n",
    "recoveries": "runs",
    "first_timeout_ms": "time-out",
    "recovery_p50_ms": "p50",
    "recovery_p95_ms": "p95",
    "recovery_max_ms": "worst",
    "limit_recovery_p50_ms": "limit",
    "recovery_bound_ms": "bound",
}
_BUSY = {
    "n": "n",
    "decisions_per_second_1": "a second, 1",
    "busy_cpu_ms_per_decision_1": "CPU ms",
    "decisions_per_second_8": "a second, 8",
    "busy_cpu_ms_per_decision_8": "CPU ms",
}
_COST = {
    "n": "n",
    "cpu_ms_per_decision": "CPU ms",
    "cpu_ms_per_decision_and_validator": "a validator",
    "frames_per_decision": "frames",
    "bytes_per_decision": "bytes",
    "injected_delay_excess_ms": "injected excess",
}


def _show(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    published = {size: 1000 * seconds for size, seconds in PUBLISHED_SECONDS.items()}
    lines = [[_cell(({"published_ms": published.get(row["n"])} | row).get(key)) for key in columns] for row in rows]
    print(table(list(columns.values()), lines, right=range(len(columns))))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:.0f}"
    return "-" if value is None else str(value)


def _answer(report: dict[str, Any]) -> tuple[str, bool]:
    """The line that answers the question, and whether every goal is met."""
    rows = report["rows"]
    sizes = ", ".join(str(row["n"]) for row in rows)
    ratios = ", ".join(f"{row['ratio_to_limit_p50']:.2f}" for row in rows)
    goals = ", ".join(f"{GOALS[row['n']]:.2f}" for row in rows)
    met = all(row["ratio_to_limit_p50"] <= GOALS[row["n"]] for row in rows)
    met = met and all(row.get("recovery_within_bound", True) for row in rows)
    said = f"commit median at n = {sizes}: {ratios} x the network's limit (goals {goals})"
    slowest = max((row["recovery_p50_ms"] / row["recovery_bound_ms"] for row in rows if "recoveries" in row), default=0)
    if slowest:
        said += f"; recovery from a dead primary: {slowest:.2f} x its bound"
    return f"{said}: {'met' if met else 'MISSED'}", met


if __name__ == "__main__":
    sys.exit(main())
