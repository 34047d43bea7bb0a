"""What runs of a local network at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pot_chain.localnet.description import Description


class State(StrEnum):
    """How much of a network runs."""

    RUNNING = "running"
    DEGRADED = "degraded"
    """Some of its processes have ended."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process of a network and whether it lives."""

    name: str
    kind: str
    pid: int
    alive: bool
    log: Path


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """A network at one moment."""

    root: Path
    state: State
    description: Description
    processes: tuple[ProcessStatus, ...]

    @property
    def revivable(self) -> bool:
        """Whether validators have ended while chain and content store go on."""
        alive = {process.name for process in self.processes if process.alive}
        needed = {"anvil"} if self.description.ipfs.backend == "embedded" else {"anvil", "kubo"}
        return self.state is State.DEGRADED and needed <= alive


def state_of(description: Description, alive: set[str]) -> State:
    """How much of the network runs, given the names of the processes that live."""
    needed = {"anvil", *(validator.name for validator in description.validators)}
    if description.ipfs.backend != "embedded":
        needed.add("kubo")
    if not alive:
        return State.STOPPED
    return State.RUNNING if needed <= alive else State.DEGRADED
