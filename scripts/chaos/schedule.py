"""What goes wrong, when, and for how long: drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random


class Kind(Enum):
    """Faults that last for a while, and pollution, which is over at once."""

    KILL = "SIGKILL"
    STOP = "SIGSTOP"
    PARTITION = "partition"
    DEAFNESS = "one-way partition"
    RESET = "connections reset"
    SLOW = "slow drip"
    FULL_DISK = "full disk"
    GARBAGE = "garbage frames"


_WEIGHTS = {
    Kind.KILL: 4,
    Kind.STOP: 3,
    Kind.PARTITION: 3,
    Kind.DEAFNESS: 3,
    Kind.RESET: 1,
    Kind.SLOW: 2,
    Kind.FULL_DISK: 2,
    Kind.GARBAGE: 3,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` strikes ``nodes`` at ``at`` for ``lasting`` seconds; ``number`` seeds its details."""

    at: float
    lasting: float
    kind: Kind
    nodes: frozenset[int]
    number: int

    def __str__(self) -> str:
        return f"{self.at:6.2f} s: {self.kind.value} of {sorted(self.nodes)} for {self.lasting:.2f} s"


def draw(seed: int, size: int, seconds: float, every: float = 0.7) -> list[Fault]:
    """Faults for ``seconds``, one in ``every`` seconds on average, in the order of time.

    They overlap, and may well hit more validators at once than the protocol tolerates: then it may stop, but never
    fork, and it has to go on when they are over. Each kind strikes at least once if there is time for all.
    """
    rng = Random(f"chaos {seed} {size}")
    kinds = list(Kind)
    rng.shuffle(kinds)
    count = max(1, round(seconds / every))
    kinds += rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=max(0, count - len(kinds)))
    faults = []
    for number, kind in enumerate(kinds[:count]):
        hit = rng.randint(1, size - 1) if kind in (Kind.PARTITION, Kind.DEAFNESS) else rng.randint(1, max(1, size // 3))
        nodes = frozenset(rng.sample(range(size), hit))
        faults.append(Fault(rng.uniform(0, seconds), rng.uniform(0.1, seconds / 4 + 1), kind, nodes, number))
    return sorted(faults, key=lambda fault: fault.at)
