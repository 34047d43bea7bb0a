"""The codec of frames: what goes in comes out, and no bytes break it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.pbft.messages import Ballot, Signed, Status
from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import hex_digest, parse_address
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.manifests import Checkpoint, Submission
from pot_chain.protocol.record import REASONS, Reveal, SignedReport
from pot_chain.protocol.round import Proposal
from pot_chain.protocol.votes import Phase, Slot, Vote
from pot_chain.validator import frames
from tests.protocol.test_round import MINERS, honest

slots = st.builds(Slot, *(st.integers(0, (1 << 53) - 1) for _ in range(3)))
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: parse_address("0x" + raw.hex()))
digests = st.binary(min_size=32, max_size=32)
reveals = st.builds(Reveal, addresses, digests, digests)
reports = st.builds(
    SignedReport,
    addresses,
    st.dictionaries(addresses, st.sampled_from(sorted(REASONS)), max_size=5),
    st.binary(min_size=65, max_size=65),
)
ballots = st.builds(
    lambda slot, phase, view, digest, signer, signature: Ballot(
        Signed(Vote(phase, slot, view, digest), signer, signature)
    ),
    slots,
    st.sampled_from([Phase.PREPARE, Phase.COMMIT]),
    st.integers(0, (1 << 64) - 1),
    digests,
    st.integers(0, 255),
    st.binary(min_size=65, max_size=65),
)
valid_frames = st.one_of(
    st.builds(frames.reveal, slots, reveals),
    st.builds(frames.report, slots, reports),
    st.builds(frames.lacks, slots, st.lists(addresses, max_size=5)),
    st.builds(frames.pbft, ballots),
    st.builds(frames.pbft, st.builds(Status, slots, st.integers(0, (1 << 64) - 1))),
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(slots, reveals, reports, st.lists(addresses, max_size=5), ballots)
def test_what_goes_in_comes_out(
    slot: Slot, reveal: Reveal, report: SignedReport, miners: list[str], ballot: Ballot
) -> None:
    assert frames.parse(frames.reveal(slot, reveal)) == (slot, reveal)
    assert frames.parse(frames.report(slot, report)) == (slot, report)
    assert frames.parse(frames.lacks(slot, miners)) == (slot, frames.Lacks(tuple(miners)))
    assert frames.parse(frames.pbft(ballot)) == (ballot.slot, ballot)


def parses_or_is_refused(frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        frames.parse(frame)


@given(st.binary(max_size=300))
def test_random_bytes(frame: bytes) -> None:
    parses_or_is_refused(frame)


@given(valid_frames, st.data())
def test_damaged_frames(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frame) - 1))
    cut = data.draw(st.integers(0, 4))
    parses_or_is_refused(frame[:at] + data.draw(st.binary(max_size=4)) + frame[at + cut :])


@given(st.sampled_from([frames.REVEAL, frames.REPORT, frames.LACKS]), junk, junk)
def test_canonical_json_of_another_form(kind: int, slot: object, value: object) -> None:
    parses_or_is_refused(bytes([kind]) + canonical.encode({"slot": slot, "value": value}))


@given(slots, addresses, junk)
def test_reports_with_anything_as_a_reason(slot: Slot, miner: str, reason: object) -> None:
    """Found by review: a list as a reason raised TypeError out of the link's handler."""
    value = {"validator": miner, "rejected": {miner: reason}, "signature": "0x" + "11" * 65}
    frame = bytes([frames.REPORT]) + canonical.encode({"slot": [slot.task_id, slot.round, slot.epoch], "value": value})
    parses_or_is_refused(frame)


@pytest.mark.parametrize("width", [65, 64])
def test_white_space_is_no_digit(width: int) -> None:
    """Found by review: bytes.fromhex skips it, so a digest of 31 bytes passed."""
    slot, reveal = Slot(1, 0, 1), {"miner": "0x" + "22" * 20, "salt": "0x" + "11" * 32}
    value = reveal | {"cid_digest": "0x" + "33" * (width // 2 - 1) + "  " + "3" * (width % 2)}
    frame = bytes([frames.REVEAL]) + canonical.encode({"slot": [1, 0, 1], "value": value})
    with pytest.raises(ProtocolError):
        frames.parse(frame)
    spaced = {"validator": "0x" + "22" * 20, "rejected": {}, "signature": "0x" + "  " + "11" * 64}
    with pytest.raises(ProtocolError):
        frames.parse(bytes([frames.REPORT]) + canonical.encode({"slot": [1, 0, 1], "value": spaced}))
    assert slot == Slot(1, 0, 1)


def test_a_request_names_a_bounded_number_of_miners() -> None:
    miners = ["0x" + f"{i:040x}" for i in range(2 * frames.MAX_LACKS)]
    frame = frames.lacks(Slot(1, 0, 1), miners)
    assert len(frame) <= frames.MAX_JSON_BYTES
    content = frames.parse(frame)[1]
    assert isinstance(content, frames.Lacks)
    assert len(content.miners) == frames.MAX_LACKS
    longer = canonical.encode({"slot": [1, 0, 1], "value": miners[: frames.MAX_LACKS + 1]})
    with pytest.raises(ProtocolError):
        frames.parse(bytes([frames.LACKS]) + longer)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be replaced in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, item in inner for below in _paths(item, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], by)
    return copy


@given(st.data(), junk)
def test_proposals_with_anything_anywhere(data: st.DataObject, by: object) -> None:
    """The digest of a proposal is asked for before anything else is known about it."""
    document = canonical.decode(honest({MINERS[1]: "not_finite"})[2].to_bytes())
    path = data.draw(st.sampled_from(_paths(document)))
    changed = _replaced(document, path, by)
    if isinstance(changed, dict) and isinstance(changed.get("record"), dict) and isinstance(changed["outcome"], dict):
        changed["outcome"]["record"] = hex_digest(canonical.digest(canonical.encode(changed["record"])))
    with contextlib.suppress(ProtocolError):
        Proposal.from_bytes(canonical.encode(changed))


@given(st.data(), junk, st.sampled_from([Submission, Checkpoint]))
def test_manifests_with_anything_anywhere(
    data: st.DataObject, by: object, kind: type[Submission] | type[Checkpoint]
) -> None:
    whole = (
        Submission(1, 0, MINERS[0], bytes(32), "bafy", 1, 1.0, 1)
        if kind is Submission
        else Checkpoint(bytes(32), 0, "bafy", 1)
    )
    document = canonical.decode(whole.to_bytes())
    changed = _replaced(document, data.draw(st.sampled_from(_paths(document))), by)
    with contextlib.suppress(ProtocolError):
        kind.from_bytes(canonical.encode(changed))
