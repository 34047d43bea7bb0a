"""What validators tell each other besides PBFT: reveals and verdict reports. One byte says which kind a frame is."""

from __future__ import annotations

from typing import Any, TypeAlias

from pot_chain.pbft import wire
from pot_chain.pbft.messages import Message
from pot_chain.protocol import canonical
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.record import Reveal, SignedReport, exact_fields, small_uint
from pot_chain.protocol.votes import Slot

PBFT, REVEAL, REPORT = 1, 2, 3
MAX_JSON_BYTES = 65_536

Frame: TypeAlias = tuple[Slot, Message | Reveal | SignedReport]


def pbft(message: Message) -> bytes:
    """A PBFT message as a frame."""
    return bytes([PBFT]) + wire.encode(message)


def reveal(slot: Slot, value: Reveal) -> bytes:
    """A miner's reveal, passed on."""
    return bytes([REVEAL]) + _json(slot, value.to_json())


def report(slot: Slot, value: SignedReport) -> bytes:
    """A verdict report."""
    return bytes([REPORT]) + _json(slot, value.to_json())


def parse(frame: bytes) -> Frame:
    """The slot and content of a frame.

    Raises:
        ProtocolError: unknown kind or malformed content.
    """
    if not frame:
        raise ProtocolError("an empty frame")
    kind, body = frame[0], frame[1:]
    if kind == PBFT:
        message = wire.decode(body)
        return message.slot, message
    if kind not in (REVEAL, REPORT):
        raise ProtocolError(f"unknown kind of frame {kind}")
    fields = exact_fields(canonical.decode(body, max_bytes=MAX_JSON_BYTES), "slot", "value")
    slot = _slot(fields["slot"])
    return slot, (Reveal if kind == REVEAL else SignedReport).from_json(fields["value"])


def _json(slot: Slot, value: dict[str, Any]) -> bytes:
    return canonical.encode({"slot": [slot.task_id, slot.round, slot.epoch], "value": value})


def _slot(value: object) -> Slot:
    if not isinstance(value, list) or len(value) != 3:
        raise ProtocolError("a slot is [task, round, epoch]")
    return Slot(*(small_uint(number) for number in value))
