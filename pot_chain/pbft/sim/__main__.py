"""Command line of the simulator; see ``python -m pot_chain.pbft.sim --help``."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pot_chain.pbft.sim.campaign import Campaign, Report, processors
from pot_chain.pbft.sim.explorer import SIZE, explore
from pot_chain.pbft.sim.mutants import MUTANTS, Death, fork, hunt, hunt_blacklist
from pot_chain.pbft.sim.scenario import SIZES, draw
from pot_chain.pbft.sim.world import World

_TRACE_LINES = 60

EPILOG = """\
examples:
  python -m pot_chain.pbft.sim --seeds 10000              ten thousand worlds, seeds 0 to 9999
  python -m pot_chain.pbft.sim --seeds 100 --n 13         only epochs of 13 validators
  python -m pot_chain.pbft.sim --replay 4711              one world, with its whole trace
  python -m pot_chain.pbft.sim --mutants                  every known bug must be found within 2,000 seeds
  python -m pot_chain.pbft.sim --explore                  every schedule of a small world (minutes)
"""


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments ask for; 0 if everything holds, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m pot_chain.pbft.sim",
        description="Simulate the consensus layer in hostile worlds; a seed stands for a world.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="number of seeds (1000)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="first seed (0)")
    parser.add_argument("--n", type=int, nargs="+", default=None, metavar="N", help="epoch sizes to draw from")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes (all processors)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--replay", type=int, default=None, metavar="SEED", help="run one seed and print its trace")
    parser.add_argument("--mutants", action="store_true", help="find every mutant, and the fork with f + 1 liars")
    parser.add_argument("--limit", type=int, default=2000, metavar="N", help="seeds for each mutant (2000)")
    parser.add_argument("--explore", action="store_true", help="search every schedule of four validators, one a liar")
    parser.add_argument("--views", type=int, default=3, metavar="V", help="views of that search (3)")
    options = parser.parse_args(arguments)
    sizes = tuple(options.n) if options.n else SIZES
    if min(sizes) < 4 or min(options.seeds, options.jobs, options.views, options.limit) < 1:
        parser.error("an epoch has at least 4 validators; --seeds, --jobs, --views and --limit are at least 1")
    if options.replay is not None:
        return _replay(options.replay, sizes)
    if options.explore:
        return _explore(options.views, options.jobs, options.json)
    if options.mutants:
        return _mutants(options.limit, options.jobs, options.json)
    return _simulate(range(options.start, options.start + options.seeds), sizes, options.jobs, options.json)


def _simulate(seeds: range, sizes: tuple[int, ...], jobs: int, target: Path | None) -> int:
    report = Campaign(seeds, sizes=sizes, jobs=jobs).run()
    for failure in report.failures:
        print(draw(failure.seed, sizes=sizes).describe())
        print(*failure.trace[-_TRACE_LINES:], sep="\n")
        print(f"seed {failure.seed}: {failure.violation}")
        print(f"replay: python -m pot_chain.pbft.sim --replay {failure.seed}{_size_option(sizes)}\n")
    _print_table(report)
    _write(target, _figures(report))
    verdict = f"{len(report.failures)} violations" if report.failures else "no violation"
    print(f"{report.seeds} seeds from {seeds.start} in {report.seconds:.1f} s: {verdict}")
    return 1 if report.failures else 0


def _size_option(sizes: tuple[int, ...]) -> str:
    return "" if sizes == SIZES else " --n " + " ".join(map(str, sizes))


def _print_table(report: Report) -> None:
    rows: list[tuple[str, int | str]] = [
        ("seeds", report.seeds),
        ("events", f"{report.events} ({report.events / max(report.seconds, 1e-9):,.0f} a second)"),
        ("messages", report.messages),
        ("certificates checked", report.certificates),
        ("seeds replayed, same trace", report.replayed),
        ("highest view: seeds", ", ".join(f"{view}: {count}" for view, count in sorted(report.views.items()))),
    ]
    rows += report.counts.most_common()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")


def _figures(report: Report) -> dict[str, Any]:
    return {
        "seeds": report.seeds,
        "seconds": round(report.seconds, 1),
        "events": report.events,
        "messages": report.messages,
        "certificates": report.certificates,
        "replayed": report.replayed,
        "violations": [{"seed": failure.seed, "violation": failure.violation} for failure in report.failures],
        "highest_view": {str(view): count for view, count in sorted(report.views.items())},
        "counts": dict(report.counts.most_common()),
    }


def _write(target: Path | None, figures: dict[str, Any]) -> None:
    if target is not None:
        target.write_text(json.dumps(figures, indent=2) + "\n")


def _replay(seed: int, sizes: tuple[int, ...]) -> int:
    scenario = draw(seed, sizes=sizes)
    world = World(scenario)
    result = world.run()
    print(scenario.describe())
    print(*world.trace(), sep="\n")
    print(f"seed {seed}, trace {result.trace_hash}: {result.violation or 'no violation'}")
    return 1 if result.violation else 0


def _mutants(limit: int, jobs: int, target: Path | None) -> int:
    deaths: list[Death] = [*(hunt(mutant, limit, jobs) for mutant in MUTANTS), hunt_blacklist(limit), fork(limit, jobs)]
    for death in deaths:
        found = f"seed {death.seed}: {death.violation}" if death.seed is not None else f"SURVIVED {limit} seeds"
        print(f"{death.name:16} {death.bug:52} {found[:110]}")
    survivors = [death.name for death in deaths if death.seed is None]
    _write(target, {"limit": limit, "mutants": [vars(death) for death in deaths], "survivors": survivors})
    verdict = f"{len(survivors)} survive: {', '.join(survivors)}" if survivors else "all found"
    print(f"{len(deaths)} mutants, at most {limit} seeds each: {verdict}")
    return 1 if survivors else 0


def _explore(views: int, jobs: int, target: Path | None) -> int:
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for row in pool.map(explore, range(SIZE), [views] * SIZE):
            rows.append(row)
            result = row["finding"] or "agreement holds"
            print(f"liar {row['liar']}: {row['states']} states, {row['steps']} steps, {result}")
    _write(target, {"views": views, "searches": rows})
    broken = any(row["finding"] for row in rows)
    total = sum(row["states"] for row in rows)
    verdict = "agreement is broken" if broken else "agreement holds in all"
    print(f"{total} states, {views} views, in {time.perf_counter() - started:.1f} s: {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
