"""What validators tell each other. One byte says which kind a frame is.

Besides PBFT messages: reveals, verdict reports, and *lacks*: the commits whose reveal the sender has not got. Who has
one sends it, so that reveals reach everybody although frames may be lost and validators restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from pot_chain.pbft import wire
from pot_chain.pbft.errors import MessageError
from pot_chain.pbft.messages import Message
from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, parse_address
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.record import Reveal, SignedReport, exact_fields, small_uint
from pot_chain.protocol.votes import Slot

PBFT, REVEAL, REPORT, LACKS = 1, 2, 3, 4
MAX_JSON_BYTES = 65_536
MAX_LACKS = 1_024
"""Most miners that one frame asks for; who lacks more asks again."""


@dataclass(frozen=True, slots=True)
class Lacks:
    """The sender has no reveal of these miners."""

    miners: tuple[Address, ...]


Content: TypeAlias = Message | Reveal | SignedReport | Lacks


def pbft(message: Message) -> bytes:
    """A PBFT message as a frame."""
    return bytes([PBFT]) + wire.encode(message)


def reveal(slot: Slot, value: Reveal) -> bytes:
    """A miner's reveal, passed on."""
    return bytes([REVEAL]) + _json(slot, value.to_json())


def report(slot: Slot, value: SignedReport) -> bytes:
    """A verdict report."""
    return bytes([REPORT]) + _json(slot, value.to_json())


def lacks(slot: Slot, miners: Iterable[Address]) -> bytes:
    """A request for the reveals of ``miners``, the first ``MAX_LACKS`` of them."""
    return bytes([LACKS]) + _json(slot, list(miners)[:MAX_LACKS])


def parse(frame: bytes) -> tuple[Slot, Content]:
    """The slot and content of a frame.

    Raises:
        ProtocolError: unknown kind or malformed content.
    """
    if not frame:
        raise ProtocolError("an empty frame")
    kind, body = frame[0], frame[1:]
    if kind == PBFT:
        try:
            message = wire.decode(body)
        except MessageError as error:
            raise ProtocolError(str(error)) from error
        return message.slot, message
    if kind not in (REVEAL, REPORT, LACKS):
        raise ProtocolError(f"unknown kind of frame {kind}")
    fields = exact_fields(canonical.decode(body, max_bytes=MAX_JSON_BYTES), "slot", "value")
    slot, value = _slot(fields["slot"]), fields["value"]
    if kind == REVEAL:
        return slot, Reveal.from_json(value)
    if kind == REPORT:
        return slot, SignedReport.from_json(value)
    if not isinstance(value, list) or len(value) > MAX_LACKS:
        raise ProtocolError(f"a request names at most {MAX_LACKS} miners")
    return slot, Lacks(tuple(parse_address(miner) for miner in value))


def _json(slot: Slot, value: Any) -> bytes:
    return canonical.encode({"slot": [slot.task_id, slot.round, slot.epoch], "value": value})


def _slot(value: object) -> Slot:
    if not isinstance(value, list) or len(value) != 3:
        raise ProtocolError("a slot is [task, round, epoch]")
    return Slot(*(small_uint(number) for number in value))
