"""The statements that validators sign, one EIP-712 type per kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pot_chain.protocol.addresses import ZERO_DIGEST, Digest


class Phase(StrEnum):
    """PBFT phase of a vote; the value is the name of its EIP-712 type."""

    PROPOSE = "Propose"
    PREPARE = "Prepare"
    COMMIT = "Commit"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One consensus instance: a round of a task, decided by the validators of one epoch."""

    task_id: int
    round: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Vote:
    """``phase`` vote for ``digest`` (an outcome hash) in ``view`` of ``slot``."""

    phase: Phase
    slot: Slot
    view: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class ViewChange:
    """Move to ``view``; ``prepared_digest`` was prepared in ``prepared_view``, or nothing was (both zero)."""

    slot: Slot
    view: int
    prepared_view: int = 0
    prepared_digest: Digest = ZERO_DIGEST

    @property
    def prepared(self) -> bool:
        """Whether a prepared certificate is claimed."""
        return self.prepared_digest != ZERO_DIGEST


@dataclass(frozen=True, slots=True)
class VerdictReport:
    """A validator's verdicts on the gradients of a round; ``verdicts`` is the sha2-256 of their canonical JSON."""

    slot: Slot
    verdicts: Digest


@dataclass(frozen=True, slots=True)
class Hello:
    """Transport handshake: ``peer`` (who is spoken to) and its fresh ``nonce``, so that it cannot be replayed."""

    peer: str
    nonce: Digest
    epoch: int


Statement = Vote | ViewChange | VerdictReport | Hello
"""Anything a validator's vote key signs for a round."""
