"""Messages as bytes: compact, strict and bounded.

Big-endian. Header: version (1), kind (1), task id (32), round (8), epoch (8), view (8). Then, by kind::

    PROPOSE      digest (32), signer (2), signature (65), payload, flag [new-view]
    PREPARE      digest (32), signer (2), signature (65)
    COMMIT       the same
    VIEW-CHANGE  prepared view (8), prepared digest (32), signer (2), signature (65), flag [certificate, payload]
    DECIDED      digest (32), signatures, payload
    STATUS       nothing

    payload      length (4), bytes           signatures   count (2), then signer (2), signature (65) each
    certificate  phase (1), view (8), digest (32), signatures
    new-view     count (2), [prepared view (8), prepared digest (32), signer (2), signature (65)] each, flag [cert.]

Every message has exactly one encoding; anything else (a flag that is neither 0 nor 1, trailing bytes, a length above
its cap) is refused before memory is taken for it. Decoding checks form only: who signed what is the replica's business.
"""

from __future__ import annotations

import struct

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.errors import MessageError
from pot_chain.pbft.messages import (
    MAX_PAYLOAD_BYTES,
    MAX_VALIDATORS,
    Ballot,
    Decided,
    Message,
    NewView,
    Prepared,
    Proposal,
    Signed,
    Status,
    ViewChangeRequest,
)
from pot_chain.protocol.addresses import ZERO_DIGEST
from pot_chain.protocol.signing import SIGNATURE_BYTES
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

VERSION = 1
_PROPOSE, _PREPARE, _COMMIT, _VIEW_CHANGE, _DECIDED, _STATUS, _PREPARED = range(1, 8)
_BALLOTS = {_PREPARE: Phase.PREPARE, _COMMIT: Phase.COMMIT}
_PHASES = {1: Phase.PROPOSE, 2: Phase.PREPARE, 3: Phase.COMMIT}
_PHASE_CODES = {phase: code for code, phase in _PHASES.items()}

_BALLOT = struct.Struct(">BB32sQQQ32sH65s")
_HEADER_BYTES = 58
_SIGNER_BYTES = 2 + SIGNATURE_BYTES
_CERTIFICATE_BYTES = 43 + MAX_VALIDATORS * _SIGNER_BYTES
MAX_FRAME_BYTES = (
    _HEADER_BYTES
    + 32
    + _SIGNER_BYTES
    + 4
    + MAX_PAYLOAD_BYTES
    + 4
    + MAX_VALIDATORS * (40 + _SIGNER_BYTES)
    + _CERTIFICATE_BYTES
)
"""Upper bound of any encoded message; a transport need not accept more."""


class _Writer:
    """Appends fixed-width fields to a frame."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def uint(self, value: int, width: int) -> None:
        self._parts.append(value.to_bytes(width, "big"))

    def raw(self, value: bytes, width: int) -> None:
        if len(value) != width:
            raise ValueError(f"a field of {width} bytes got {len(value)}")
        self._parts.append(value)

    def payload(self, value: bytes) -> None:
        if len(value) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a payload has at most {MAX_PAYLOAD_BYTES} bytes, got {len(value)}")
        self.uint(len(value), 4)
        self._parts.append(value)

    def signature(self, signer: int, signature: bytes) -> None:
        self.uint(signer, 2)
        self.raw(signature, SIGNATURE_BYTES)

    def signatures(self, signatures: tuple[tuple[int, bytes], ...]) -> None:
        self.uint(len(signatures), 2)
        for signer, signature in signatures:
            self.signature(signer, signature)

    def header(self, kind: int, slot: Slot, view: int) -> None:
        self._parts.append(bytes((VERSION, kind)))
        self.uint(slot.task_id, 32)
        self.uint(slot.round, 8)
        self.uint(slot.epoch, 8)
        self.uint(view, 8)

    def certificate(self, certificate: Certificate) -> None:
        self.uint(_PHASE_CODES[certificate.vote.phase], 1)
        self.uint(certificate.vote.view, 8)
        self.raw(certificate.vote.digest, 32)
        self.signatures(certificate.signatures)

    def prepared_claim(self, change: Signed[ViewChange]) -> None:
        self.uint(change.statement.prepared_view, 8)
        self.raw(change.statement.prepared_digest, 32)
        self.signature(change.signer, change.signature)

    def flag(self, value: bool) -> None:
        self._parts.append(b"\x01" if value else b"\x00")

    def frame(self) -> bytes:
        return b"".join(self._parts)


class _Reader:
    """Reads fixed-width fields; every read is checked against what is left."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._at = 0

    def raw(self, width: int) -> bytes:
        end = self._at + width
        if end > len(self._frame):
            raise MessageError("a frame that ends too early")
        field = self._frame[self._at : end]
        self._at = end
        return field

    def uint(self, width: int) -> int:
        return int.from_bytes(self.raw(width), "big")

    def payload(self) -> bytes:
        length = self.uint(4)
        if length > MAX_PAYLOAD_BYTES:
            raise MessageError(f"a payload above {MAX_PAYLOAD_BYTES} bytes")
        return self.raw(length)

    def flag(self) -> bool:
        value = self.uint(1)
        if value > 1:
            raise MessageError("a flag that is neither 0 nor 1")
        return value == 1

    def count(self) -> int:
        count = self.uint(2)
        if count > MAX_VALIDATORS:
            raise MessageError(f"a list of more than {MAX_VALIDATORS} signatures")
        return count

    def signatures(self) -> tuple[tuple[int, bytes], ...]:
        return tuple((self.uint(2), self.raw(SIGNATURE_BYTES)) for _ in range(self.count()))

    def certificate(self, slot: Slot) -> Certificate:
        phase = _PHASES.get(self.uint(1))
        if phase is None:
            raise MessageError("a certificate of an unknown phase")
        return Certificate(Vote(phase, slot, self.uint(8), self.raw(32)), self.signatures())

    def view_change(self, slot: Slot, view: int) -> Signed[ViewChange]:
        statement = ViewChange(slot, view, self.uint(8), self.raw(32))
        if statement.prepared_digest == ZERO_DIGEST and statement.prepared_view:
            raise MessageError("a prepared view without a prepared digest")
        return Signed(statement, self.uint(2), self.raw(SIGNATURE_BYTES))

    def end(self) -> None:
        if self._at != len(self._frame):
            raise MessageError("a frame with trailing bytes")


def encode(message: Message) -> bytes:
    """``message`` as one frame of at most ``MAX_FRAME_BYTES``.

    Raises:
        ValueError, OverflowError: a field is out of range; only a bug on this side can cause it.
    """
    out = _Writer()
    match message:
        case Proposal(vote, payload, justification):
            out.header(_PROPOSE, vote.statement.slot, vote.statement.view)
            out.raw(vote.statement.digest, 32)
            out.signature(vote.signer, vote.signature)
            out.payload(payload)
            out.flag(justification is not None)
            if justification is not None:
                out.uint(len(justification.view_changes), 2)
                for change in justification.view_changes:
                    out.prepared_claim(change)
                out.flag(justification.certificate is not None)
                if justification.certificate is not None:
                    out.certificate(justification.certificate)
        case Ballot(vote):
            kind = _COMMIT if vote.statement.phase is Phase.COMMIT else _PREPARE
            out.header(kind, vote.statement.slot, vote.statement.view)
            out.raw(vote.statement.digest, 32)
            out.signature(vote.signer, vote.signature)
        case ViewChangeRequest(change, prepared):
            out.header(_VIEW_CHANGE, change.statement.slot, change.statement.view)
            out.prepared_claim(change)
            out.flag(prepared is not None)
            if prepared is not None:
                out.certificate(prepared.certificate)
                out.payload(prepared.payload)
        case Decided(certificate, payload):
            out.header(_DECIDED, certificate.vote.slot, certificate.vote.view)
            out.raw(certificate.vote.digest, 32)
            out.signatures(certificate.signatures)
            out.payload(payload)
        case Status(slot, view):
            out.header(_STATUS, slot, view)
    return out.frame()


def encode_prepared(prepared: Prepared) -> bytes:
    """``prepared`` for a log; on the wire it travels inside a VIEW-CHANGE."""
    out = _Writer()
    out.header(_PREPARED, prepared.certificate.vote.slot, prepared.view)
    out.certificate(prepared.certificate)
    out.payload(prepared.payload)
    return out.frame()


def decode_prepared(frame: bytes) -> Prepared:
    """Inverse of ``encode_prepared``; raises MessageError."""
    reader, kind, slot, _ = _open(frame)
    if kind != _PREPARED:
        raise MessageError("not a prepared certificate")
    prepared = Prepared(reader.certificate(slot), reader.payload())
    reader.end()
    return prepared


def decode(frame: bytes) -> Message:
    """The message in ``frame``.

    Raises:
        MessageError: the bytes are no message; nothing else escapes, whatever the bytes are.
    """
    if len(frame) == _BALLOT.size and frame[0] == VERSION and frame[1] in _BALLOTS:
        return _decode_ballot(frame)
    reader, kind, slot, view = _open(frame)
    message = _decode_body(reader, kind, slot, view)
    reader.end()
    return message


def _decode_ballot(frame: bytes) -> Ballot:
    """PREPARE and COMMIT, all but a few of the frames there are, in one go; any bytes of that length are one."""
    _, kind, task_id, number, epoch, view, digest, signer, signature = _BALLOT.unpack(frame)
    slot = Slot(int.from_bytes(task_id, "big"), number, epoch)
    return Ballot(Signed(Vote(_BALLOTS[kind], slot, view, digest), signer, signature))


def _open(frame: bytes) -> tuple[_Reader, int, Slot, int]:
    """A reader behind the header; kind, slot and view from the header."""
    if len(frame) > MAX_FRAME_BYTES:
        raise MessageError(f"a frame above {MAX_FRAME_BYTES} bytes")
    reader = _Reader(frame)
    if reader.uint(1) != VERSION:
        raise MessageError("a frame of an unknown version")
    kind = reader.uint(1)
    slot = Slot(reader.uint(32), reader.uint(8), reader.uint(8))
    return reader, kind, slot, reader.uint(8)


def _decode_body(reader: _Reader, kind: int, slot: Slot, view: int) -> Message:
    if kind == _PROPOSE:
        vote = _read_vote(reader, Phase.PROPOSE, slot, view)
        payload = reader.payload()
        return Proposal(vote, payload, _read_new_view(reader, slot, view) if reader.flag() else None)
    if kind in _BALLOTS:
        return Ballot(_read_vote(reader, _BALLOTS[kind], slot, view))
    if kind == _VIEW_CHANGE:
        change = reader.view_change(slot, view)
        prepared = Prepared(reader.certificate(slot), reader.payload()) if reader.flag() else None
        return ViewChangeRequest(change, prepared)
    if kind == _DECIDED:
        vote_value = Vote(Phase.COMMIT, slot, view, reader.raw(32))
        return Decided(Certificate(vote_value, reader.signatures()), reader.payload())
    if kind == _STATUS:
        return Status(slot, view)
    raise MessageError("a frame of an unknown kind")


def _read_vote(reader: _Reader, phase: Phase, slot: Slot, view: int) -> Signed[Vote]:
    return Signed(Vote(phase, slot, view, reader.raw(32)), reader.uint(2), reader.raw(SIGNATURE_BYTES))


def _read_new_view(reader: _Reader, slot: Slot, view: int) -> NewView:
    changes = tuple(reader.view_change(slot, view) for _ in range(reader.count()))
    return NewView(changes, reader.certificate(slot) if reader.flag() else None)
