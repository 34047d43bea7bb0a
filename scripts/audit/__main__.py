"""`make audit` and `make audit-quick`: run every layer, print one table, fail if any layer fails or covered nothing."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scripts.audit.layer import FULL, QUICK, Budget, Layer, Outcome
from scripts.audit.layers import broken, coverage, differential, forge_tests, gas, mutants, proofs, slither, storage
from scripts.audit.project import BUILD, ROOT, AuditError, alone
from scripts.audit.table import table

# the longest first, so that it runs beside all the others
LAYERS = [
    Layer("invariants", forge_tests.invariants),
    Layer("unit and fuzz tests", forge_tests.unit_and_fuzz),
    Layer("differential tests", differential.differential),
    Layer("proofs", proofs.proofs),
    Layer("slither", slither.slither),
    Layer("coverage", coverage.coverage),
    Layer("storage layout", storage.storage),
    Layer("gas", gas.gas),
    Layer("broken copies", broken.broken),
    Layer("mutation testing", mutants.mutants),
]
PRINTING = threading.Lock()


@dataclass(frozen=True)
class Row:
    """A layer that has run."""

    name: str
    outcome: Outcome
    seconds: float

    @property
    def passed(self) -> bool:
        """No problem, and something was really checked."""
        return not self.outcome.problems and self.outcome.items > 0


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="All the evidence that the contracts are right.")
    parser.add_argument("--quick", action="store_true", help="a slice of each layer, for every commit")
    parser.add_argument("--only", action="append", default=[], metavar="LAYER", help="only layers whose name has this")
    arguments = parser.parse_args()
    chosen = [layer for layer in LAYERS if not arguments.only or any(part in layer.name for part in arguments.only)]
    if not chosen:
        parser.error(f"no such layer; there are: {', '.join(layer.name for layer in LAYERS)}")
    with alone():
        return audit(chosen, QUICK if arguments.quick else FULL, fresh=not arguments.only)


def audit(layers: list[Layer], budget: Budget, *, fresh: bool) -> int:
    """Run the layers and say what came of it."""
    started = time.monotonic()
    if fresh:
        # a whole audit trusts nothing that an earlier one compiled
        shutil.rmtree(BUILD, ignore_errors=True)
    rows = run_all(layers, budget)
    total = time.monotonic() - started
    report(rows, total)
    return 0 if all(row.passed for row in rows) else 1


def run_all(layers: list[Layer], budget: Budget) -> list[Row]:
    """Two layers at a time. Mutation testing, the last, has two workers: it fills what the invariants leave idle."""
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run_one, layer, budget) for layer in layers]
        return [future.result() for future in futures]


def run_one(layer: Layer, budget: Budget) -> Row:
    """Run a layer; what it cannot do is a problem of the layer, not the end of the audit."""
    started = time.monotonic()
    say(f"start  {layer.name}")
    try:
        outcome = layer.work(budget, lambda line: say(f"       {layer.name}: {line}"))
    except AuditError as error:
        outcome = Outcome(0, "it could not run", [str(error)])
    except Exception as error:  # noqa: BLE001 - the other layers still have something to say
        outcome = Outcome(0, "it broke", [f"{type(error).__name__}: {error}"])
    row = Row(layer.name, outcome, time.monotonic() - started)
    say(f"{'ok    ' if row.passed else 'FAILED'} {layer.name}: {outcome.covered} ({row.seconds:.0f} s)")
    return row


def say(line: str) -> None:
    """One line, whole, at once."""
    with PRINTING:
        print(line, flush=True)


def report(rows: list[Row], total: float) -> None:
    """Details, then the table last, and the same as JSON."""
    for row in rows:
        for note in row.outcome.notes:
            print(f"\n{row.name}: {note}")
        for problem in row.outcome.problems or ([] if row.passed else ["nothing was checked"]):
            print(f"\n{row.name} FAILED: {problem}")
    cells = [[r.name, r.outcome.covered, "ok" if r.passed else "FAILED", f"{r.seconds:.0f}"] for r in rows]
    print("\n" + table(["layer", "covered", "result", "seconds"], cells, right={3}))
    print(f"\n{sum(row.passed for row in rows)} of {len(rows)} layers passed in {total:.0f} s")
    content = {
        "passed": all(row.passed for row in rows),
        "seconds": round(total, 1),
        "layers": [
            {
                "name": row.name,
                "passed": row.passed,
                "items": row.outcome.items,
                "covered": row.outcome.covered,
                "seconds": round(row.seconds, 1),
                "problems": row.outcome.problems,
                "notes": row.outcome.notes,
            }
            for row in rows
        ],
    }
    (ROOT / "build" / "audit.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
