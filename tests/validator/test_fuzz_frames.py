"""Malformed frames: found by Hypothesis against the core, and a slice of ``make fuzz-pbft`` against a live process."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.pbft.messages import Ballot, Message, Proposal, Signed, ViewChangeRequest
from pot_chain.pbft.replica import REMEMBERED_PAYLOADS
from pot_chain.pbft.tally import VIEWS_PER_SENDER
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.votes import Phase, ViewChange, Vote
from pot_chain.validator import frames
from scripts.bench.node import keys_of
from scripts.chaos.fuzz import LIAR, SIZE, Found, fuzz
from scripts.chaos.malformed import Malformed
from tests.pbft.cluster import SLOT, Cluster
from tests.pbft.strategies import messages

HEADER_SLOT = slice(3, 51)
"""Where a PBFT frame names its slot: behind the frame's kind, version and message kind."""
HONEST = {0, 1, 2}


def in_slot(frame: bytes) -> bytes:
    """``frame`` moved to the slot of the cluster, so that a replica looks further than its first check."""
    slot = SLOT.task_id.to_bytes(32, "big") + SLOT.round.to_bytes(8, "big") + SLOT.epoch.to_bytes(8, "big")
    return frame[: HEADER_SLOT.start] + slot + frame[HEADER_SLOT.stop :]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A frame of the slot, as it is or with a few bytes overwritten, cut off or added."""
    frame = in_slot(frames.pbft(draw(messages())))
    match draw(st.integers(0, 3)):
        case 0:
            return frame
        case 1:
            at = draw(st.integers(0, len(frame) - 1))
            piece = draw(st.binary(min_size=1, max_size=8))
            return frame[:at] + piece + frame[at + len(piece) :]
        case 2:
            return frame[: draw(st.integers(0, len(frame)))]
        case _:
            return frame + draw(st.binary(min_size=1, max_size=70))


def resigned(cluster: Cluster, message: Message) -> Message:
    """``message`` with the liar's own index and a right signature: what gets past the first checks."""
    match message:
        case Ballot(Signed(Vote() as vote)):
            return Ballot(cluster.sign(LIAR, vote))
        case Proposal(Signed(Vote() as vote), payload, justification):
            return Proposal(cluster.sign(LIAR, vote), payload, justification)
        case ViewChangeRequest(Signed(ViewChange() as change), prepared):
            return ViewChangeRequest(cluster.sign(LIAR, change), prepared)
        case _:
            return message


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(spoiled() | st.binary(max_size=300), st.booleans(), st.integers(0, 2)), max_size=12))
def test_whatever_a_liar_sends_three_honest_validators_decide(sent: list[tuple[bytes, bool, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), SIZE)
        try:
            for frame, sign, to in sent:
                try:
                    _, content = frames.parse(frame)
                except ProtocolError:
                    continue
                if isinstance(content, Message):
                    cluster.receive(to, LIAR, resigned(cluster, content) if sign else content)
            cluster.start(*HONEST)
            cluster.deliver(among=HONEST)
            assert [decide.digest for decide in cluster.decisions()] == [cluster.digest] * 3
            for index in HONEST:
                bound = SIZE * (2 * VIEWS_PER_SENDER + 1) + REMEMBERED_PAYLOADS
                assert cluster.replicas[index].buffered() <= bound
                assert {evidence.first.signer for evidence in cluster.evidence()} <= {LIAR}
        finally:
            cluster.close()


@settings(max_examples=400)
@given(st.sampled_from([1, 2, 3, 4]), st.binary(max_size=400))
def test_bytes_without_sense_are_refused_and_nothing_else(kind: int, body: bytes) -> None:
    for frame in (bytes([kind]) + body, body):
        try:
            frames.parse(frame)
        except ProtocolError:
            continue


def test_the_stream_of_malformed_frames_reaches_every_part_of_the_parser() -> None:
    """The live fuzzer is worth its time: sound and unsound frames, every message kind, every kind of fault."""
    lies = Malformed(0, keys_of(SIZE)[LIAR], LIAR, SIZE, lambda: 5)
    again = Malformed(0, keys_of(SIZE)[LIAR], LIAR, SIZE, lambda: 5)
    kinds: dict[str, int] = {}
    faults: dict[str, int] = {}
    for _ in range(8_000):
        frame = lies.next()
        assert frame == again.next()
        try:
            _, content = frames.parse(frame)
            name = content.vote.statement.phase.value if isinstance(content, Ballot) else type(content).__name__
            kinds[name] = kinds.get(name, 0) + 1
        except ProtocolError as error:
            faults[str(error)] = faults.get(str(error), 0) + 1
    for kind in ("Prepare", "Commit", "Proposal", "ViewChangeRequest", "Decided", "Status"):
        assert kinds[kind] >= 20, kind
    for fault in (
        "a frame that ends too early",
        "a frame with trailing bytes",
        "a frame of an unknown version",
        "a frame of an unknown kind",
        "a flag that is neither 0 nor 1",
        "a payload above 131072 bytes",
        "an empty frame",
    ):
        assert faults[fault] >= 1, (fault, sorted(faults))
    assert Phase.COMMIT.value in kinds


async def test_a_live_replica_stands_malformed_frames() -> None:
    async with asyncio.timeout(240):
        found: Found = await fuzz(seed=1, frames=4_000)
    assert found.frames == 4_000
    assert found.rounds >= SIZE
    assert found.strangers >= 1
    assert found.reasons["frame: not used"] > 1_000
    assert sum(count for reason, count in found.reasons.items() if reason.startswith("rejected")) > 400
