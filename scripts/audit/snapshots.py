"""`make snapshots`: accept today's storage layout and gas figures."""

from __future__ import annotations

from scripts.audit.layers import gas, storage
from scripts.audit.project import alone

if __name__ == "__main__":
    with alone():
        storage.write()
        gas.write(gas.SNAPSHOT, gas.measure())
