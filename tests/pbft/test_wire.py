"""Bytes from peers: every message has one encoding, and nothing else is a message."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pot_chain.pbft import (
    MAX_FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_VALIDATORS,
    Ballot,
    Certificate,
    Decided,
    Message,
    MessageError,
    NewView,
    Prepared,
    Proposal,
    Signed,
    Status,
    ViewChangeRequest,
    decode,
    encode,
)
from pot_chain.pbft.wire import decode_prepared, encode_prepared
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

from .strategies import certificates, messages, payloads, slots

SLOT = Slot((1 << 256) - 1, 3, 2)
SIGNATURE = bytes(range(65))


def ballot() -> Ballot:
    return Ballot(Signed(Vote(Phase.COMMIT, SLOT, 1, b"\7" * 32), 5, SIGNATURE))


@given(messages())
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=400))
@example(b"")
def test_any_bytes_are_a_message_or_a_message_error(frame: bytes) -> None:
    try:
        message = decode(frame)
    except MessageError:
        return
    assert encode(message) == frame


@settings(max_examples=400)
@given(messages(), st.data())
def test_damaged_frames_are_refused_or_another_message(message: Message, data: st.DataObject) -> None:
    """One encoding a message: whatever a damaged frame still decodes to encodes to exactly that frame."""
    frame = bytearray(encode(message))
    match data.draw(st.integers(0, 3)):
        case 0:
            frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
        case 1:
            del frame[data.draw(st.integers(0, len(frame) - 1)) :]
        case 2:
            frame += data.draw(st.binary(min_size=1, max_size=8))
        case _:
            at = data.draw(st.integers(0, len(frame)))
            frame[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    try:
        other = decode(bytes(frame))
    except MessageError:
        return
    assert other != message
    assert encode(other) == frame


@given(slots.flatmap(lambda slot: st.builds(Prepared, certificates(slot, Phase.PREPARE), payloads)))
def test_prepared_certificates_survive_the_log(prepared: Prepared) -> None:
    assert decode_prepared(encode_prepared(prepared)) == prepared


def test_a_vote_is_small() -> None:
    assert len(encode(ballot())) == 157


def test_the_largest_message_fits_the_frame_limit() -> None:
    entries = tuple((signer, SIGNATURE) for signer in range(MAX_VALIDATORS))
    certificate = Certificate(Vote(Phase.PREPARE, SLOT, 1, b"\7" * 32), entries)
    change = Signed(ViewChange(SLOT, 2, 1, b"\7" * 32), 5, SIGNATURE)
    vote = Signed(Vote(Phase.PROPOSE, SLOT, 2, b"\7" * 32), 5, SIGNATURE)
    justification = NewView((change,) * MAX_VALIDATORS, certificate)
    frame = encode(Proposal(vote, bytes(MAX_PAYLOAD_BYTES), justification))
    assert MAX_FRAME_BYTES - 8 <= len(frame) <= MAX_FRAME_BYTES
    assert decode(frame).slot == SLOT


def test_lengths_and_counts_are_refused_before_memory_is_taken_for_them() -> None:
    vote = Signed(Vote(Phase.PROPOSE, SLOT, 0, b"\7" * 32), 5, SIGNATURE)
    frame = bytearray(encode(Proposal(vote, b"", None)))
    frame[-5:-1] = (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(MessageError, match="payload above"):
        decode(bytes(frame))
    decided = bytearray(encode(Decided(Certificate(Vote(Phase.COMMIT, SLOT, 0, b"\7" * 32), ()), b"")))
    decided[-6:-4] = (MAX_VALIDATORS + 1).to_bytes(2, "big")
    with pytest.raises(MessageError, match="more than"):
        decode(bytes(decided))
    with pytest.raises(MessageError, match="above"):
        decode(bytes(MAX_FRAME_BYTES + 1))


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(0, 2, "unknown version"), (1, 0, "unknown kind"), (1, 7, "unknown kind"), (1, 255, "unknown kind")],
)
def test_unknown_versions_and_kinds_are_refused(at: int, value: int, reason: str) -> None:
    frame = bytearray(encode(ballot()))
    frame[at] = value
    with pytest.raises(MessageError, match=reason):
        decode(bytes(frame))


def test_each_kind_is_strict_about_its_end_and_flags() -> None:
    status = encode(Status(SLOT, 4))
    with pytest.raises(MessageError, match="trailing"):
        decode(status + b"\0")
    with pytest.raises(MessageError, match="too early"):
        decode(status[:-1])
    request = bytearray(encode(ViewChangeRequest(Signed(ViewChange(SLOT, 2), 5, SIGNATURE), None)))
    request[-1] = 2
    with pytest.raises(MessageError, match="flag"):
        decode(bytes(request))


def test_a_prepared_view_without_a_digest_has_no_encoding_of_its_own() -> None:
    frame = bytearray(encode(ViewChangeRequest(Signed(ViewChange(SLOT, 2), 5, SIGNATURE), None)))
    frame[65] = 1
    with pytest.raises(MessageError, match="without a prepared digest"):
        decode(bytes(frame))


def test_a_certificate_of_an_unknown_phase_is_refused() -> None:
    prepared = Prepared(Certificate(Vote(Phase.PREPARE, SLOT, 1, b"\7" * 32), ()), b"")
    frame = bytearray(encode_prepared(prepared))
    frame[58] = 9
    with pytest.raises(MessageError, match="unknown phase"):
        decode_prepared(bytes(frame))
    with pytest.raises(MessageError, match="not a prepared"):
        decode_prepared(encode(ballot()))


def test_own_messages_out_of_range_are_bugs_and_raise() -> None:
    vote = Signed(Vote(Phase.PROPOSE, SLOT, 0, b"\7" * 32), 5, SIGNATURE)
    with pytest.raises(ValueError, match="payload"):
        encode(Proposal(vote, bytes(MAX_PAYLOAD_BYTES + 1), None))
    with pytest.raises(ValueError, match="65 bytes"):
        encode(Ballot(Signed(Vote(Phase.COMMIT, SLOT, 1, b"\7" * 32), 5, b"short")))
    with pytest.raises(OverflowError):
        encode(Status(SLOT, 1 << 64))
