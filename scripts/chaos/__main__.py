"""Torments validators' processes, seed after seed; see ``python -m scripts.chaos --help``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from scripts.chaos.network import ChaosError
from scripts.chaos.schedule import draw
from scripts.chaos.torment import torment


def main(arguments: list[str] | None = None) -> int:
    """0 if all seeds end with one chain, 1 at the first that does not."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="number of seeds (10)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="first seed (0)")
    parser.add_argument("--seconds", type=float, default=40.0, help="of faults in each run (40)")
    parser.add_argument("--n", type=int, nargs="+", default=[4, 7], metavar="N", help="validators, in turn (4 7)")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    for seed in range(options.start, options.start + options.seeds):
        size = options.n[seed % len(options.n)]
        try:
            print(asyncio.run(torment(seed, size, options.seconds)), flush=True)
        except ChaosError as error:
            print(*draw(seed, size, options.seconds), sep="\n")
            print(f"seed {seed}, n = {size}: {error}")
            again = f"--start {seed} --seeds 1 --seconds {options.seconds:g} --n {size}"
            print(f"again: python -m scripts.chaos {again}")
            return 1
    load = os.getloadavg()[0]
    took = time.monotonic() - begun
    print(f"{options.seeds} seeds from {options.start} in {took:.0f} s, load average {load:.1f}: one chain in each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
