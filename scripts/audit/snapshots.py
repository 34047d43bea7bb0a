"""`make snapshots`: accept today's storage layout and gas figures."""

from __future__ import annotations

from scripts.audit.layers import gas, storage

if __name__ == "__main__":
    storage.write()
    gas.write(gas.SNAPSHOT, gas.measure())
