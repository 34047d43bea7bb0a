"""What a round decides."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from pot_chain.protocol.addresses import Digest, hex_digest, parse_digest
from pot_chain.protocol.errors import ProtocolError

LOSS_UNIT = 1_000_000
"""Parts of a loss that an outcome tells: millionths."""
MAX_LOSS_UNITS = (1 << 64) - 1
"""What a loss that is too great for its field is told as."""

_UINT_BITS = {"task_id": 256, "round": 64, "loss": 64, "accepted": 32, "chain_reveals": 32, "rewards_total": 128}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value PBFT agrees on and the contract finalizes; ``eip712.outcome_hash`` is its digest.

    Attributes:
        parent: digest of the task's last final outcome, or its genesis head.
        checkpoint: digest of the manifest of the next checkpoint.
        record: digest of the round record.
        loss: the record's training loss in millionths (``loss_units``); the owner's stop-loss looks at it.
        accepted: gradients in the aggregate.
        chain_reveals: on-chain reveals of the round that are counted.
        rewards_root: root of the cumulative rewards tree after the round.
        rewards_total: sum of that tree's leaves (wei or token units).
    """

    task_id: int
    round: int
    parent: Digest
    checkpoint: Digest
    record: Digest
    loss: int
    accepted: int
    chain_reveals: int
    rewards_root: Digest
    rewards_total: int

    def __post_init__(self) -> None:
        for name, bits in _UINT_BITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
                raise ProtocolError(f"outcome.{name} must be an unsigned {bits}-bit integer, got {value!r}")
        for name in ("parent", "checkpoint", "record", "rewards_root"):
            value = getattr(self, name)
            if not isinstance(value, bytes) or len(value) != 32:
                raise ProtocolError(f"outcome.{name} must be 32 bytes")

    def to_json(self) -> dict[str, Any]:
        """JSON object; digests as hex, integers as decimal strings where they may exceed 53 bits."""
        return {
            field.name: hex_digest(value) if isinstance(value := getattr(self, field.name), bytes) else str(value)
            for field in fields(self)
        }

    @classmethod
    def from_json(cls, value: object) -> Outcome:
        """Inverse of ``to_json``; raises ProtocolError on missing, unknown or malformed fields."""
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise ProtocolError(f"an outcome has exactly the fields {sorted(names)}")
        return cls(
            task_id=parse_uint(value["task_id"]),
            round=parse_uint(value["round"]),
            parent=parse_digest(value["parent"]),
            checkpoint=parse_digest(value["checkpoint"]),
            record=parse_digest(value["record"]),
            loss=parse_uint(value["loss"]),
            accepted=parse_uint(value["accepted"]),
            chain_reveals=parse_uint(value["chain_reveals"]),
            rewards_root=parse_digest(value["rewards_root"]),
            rewards_total=parse_uint(value["rewards_total"]),
        )


def loss_units(loss: float) -> int:
    """``loss`` in millionths, half to even, computed exactly; at most 2^64 - 1.

    Raises:
        ProtocolError: NaN or negative.
    """
    if math.isnan(loss) or loss < 0:
        raise ProtocolError(f"a loss is a number from 0, got {loss}")
    if math.isinf(loss):
        return MAX_LOSS_UNITS
    return min(round(Fraction(loss) * LOSS_UNIT), MAX_LOSS_UNITS)


def parse_uint(text: object) -> int:
    """A non-negative integer from its decimal spelling without leading zeros."""
    if (
        isinstance(text, str)
        and text.isascii()
        and text.isdigit()
        and len(text) <= 78
        and (text == "0" or text[0] != "0")
    ):
        return int(text)
    raise ProtocolError(f"not a decimal integer: {text!r}")
