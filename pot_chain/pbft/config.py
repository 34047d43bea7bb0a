"""What a replica is told at birth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from pot_chain.pbft.certificate import Verifier
from pot_chain.pbft.messages import MAX_VALIDATORS
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.quorum import MIN_VALIDATORS
from pot_chain.protocol.votes import Slot

DigestOf: TypeAlias = Callable[[bytes], Digest | None]
"""Digest that a payload stands for, None if it is malformed. Pure; depends on every byte that is to be agreed on."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``initial`` covers validation and at least five message delays; it doubles a view up to ``maximum``."""

    initial: float = 4.0
    maximum: float = 60.0
    resend: float = 1.0

    def of_view(self, view: int) -> float:
        """Capped exponential back-off (4.5.2): uncapped, a long outage would be followed by one as long again."""
        return float(min(self.initial * 2 ** min(view, 32), self.maximum))


@dataclass(frozen=True, slots=True)
class Config:
    """What a replica of one slot is told at birth.

    Attributes:
        size: validators in the slot's epoch.
        index: this validator's index in it; None for an observer, which decides by certificates and signs nothing.
        verify: checks signatures against the epoch's keys (``ecdsa_verifier``).
    """

    slot: Slot
    size: int
    index: int | None
    verify: Verifier
    digest_of: DigestOf
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        if not MIN_VALIDATORS <= self.size <= MAX_VALIDATORS:
            raise ValueError(f"an epoch has {MIN_VALIDATORS} to {MAX_VALIDATORS} validators, got {self.size}")
        if self.index is not None and not 0 <= self.index < self.size:
            raise ValueError(f"validator index {self.index} is outside an epoch of {self.size}")
