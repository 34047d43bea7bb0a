"""The script of the demonstration: who acts when, and what goes wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pot_chain.protocol.spec import TaskSpec

ATTACK = "sign_flip"


@dataclass(frozen=True)
class Scenario:
    """What the demonstration does.

    Attributes:
        rounds: final rounds that the task pays for.
        faults: whether a miner poisons and a validator is killed.
        seed: of the initial weights.
        budget: as in a task spec.
    """

    rounds: int = 20
    miners: int = 5
    validators: int = 4
    faults: bool = True
    seed: int = 7
    budget: str = "1.5eth"

    @property
    def poisoner(self) -> int:
        """Number of the miner that poisons, from 0."""
        return self.miners - 1

    @property
    def poisoned_rounds(self) -> tuple[int, int]:
        """First and last round of the attack."""
        first = self.rounds // 5
        return first, first + max(1, self.rounds // 5) - 1

    @property
    def kill_round(self) -> int:
        """Round whose first primary is killed as soon as it opens."""
        return self.rounds * 9 // 20

    @property
    def restart_round(self) -> int:
        """Round with whose opening the killed validator is started again."""
        return self.kill_round + 2

    def spec(self) -> TaskSpec:
        """The task: digits by a small MLP; batches as large as the data allow, so that runs are comparable."""
        document: dict[str, Any] = {
            "name": "demo: digits",
            "model": {"name": "mlp", "params": {"inputs": 64, "hidden": [64], "classes": 10}},
            "data": {"source": "digits"},
            "training": {
                "rounds": self.rounds,
                "samples_per_miner": 640 // self.miners,
                "learning_rate": 0.5,
                "seed": self.seed,
            },
            "verification": {"audit_rate": 0.4},
            "miners": {"min": self.miners, "max": self.miners},
            "rewards": {"budget": self.budget},
            "timing": {"commit_window": "60s", "reveal_window": "20s", "finalize_window": "60s"},
        }
        return TaskSpec.parse(document)
