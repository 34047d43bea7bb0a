"""A disk in memory that can lose power in the middle of a write."""

from __future__ import annotations

from enum import Enum
from random import Random


class Tear(Enum):
    """What is left of a write that the power failure interrupted."""

    SHORT = "short"  # a prefix, possibly nothing
    ZEROS = "zeros"  # the file grew, the data did not arrive
    FLIPPED = "flipped"  # all bytes, some of them wrong
    WHOLE = "whole"  # everything, but the signature had not left yet


class PowerFailure(Exception):
    """The machine stopped inside a write."""


class MemoryStorage:
    """``pbft.log.Storage`` whose next append can be torn."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.content = bytearray()
        self._tear: tuple[Tear, Random] | None = None

    def fail_next_append(self, tear: Tear, rng: Random) -> None:
        """Interrupt the next append with a ``PowerFailure`` that leaves ``tear`` behind."""
        self._tear = (tear, rng)

    def read(self) -> bytes:
        return bytes(self.content)

    def append(self, data: bytes) -> None:
        if self._tear is None:
            self.content += data
            return
        (tear, rng), self._tear = self._tear, None
        match tear:
            case Tear.SHORT:
                self.content += data[: rng.randrange(len(data))]
            case Tear.ZEROS:
                self.content += bytes(len(data))
            case Tear.FLIPPED:
                flipped = bytearray(data)
                for _ in range(rng.randint(1, 3)):
                    flipped[rng.randrange(len(data))] ^= rng.randint(1, 255)
                self.content += flipped
            case Tear.WHOLE:
                self.content += data
        raise PowerFailure

    def truncate(self, size: int) -> None:
        del self.content[size:]

    def replace(self, data: bytes) -> None:
        self.content = bytearray(data)

    def close(self) -> None:
        self._tear = None
