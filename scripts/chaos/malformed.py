"""Frames that no honest validator sends: mutations of sound ones, and bytes without any sense. All from one seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from eth_utils import keccak

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import (
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
from pot_chain.protocol.eip712 import signing_digest
from pot_chain.protocol.signing import sign_digest
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote
from pot_chain.validator import frames
from scripts.bench.node import DOMAIN, EPOCH
from scripts.bench.stub import stub_proposal

TASK = 1
_EXTREMES = (0, 1, 2, 255, 256, (1 << 16) - 1, (1 << 31) - 1, (1 << 32) - 1, (1 << 63), (1 << 64) - 1)
_JSON = (
    b'{"slot":[1,0,1],"value":{}}',
    b'{"slot":[1,0,1],"value":[]}',
    b'{"slot":[1,0,1],"value":["0x' + b"ab" * 20 + b'"]}',
    b'{"slot":[1e400,0,1],"value":null}',
    b'{"slot":[1,-1,true],"value":{"miner":1}}',
    b"[" * 4_000 + b"]" * 4_000,
    b'{"a":' * 2_000 + b"0" + b"}" * 2_000,
    b'{"slot":' + b"9" * 20_000 + b"}",
    b"\xff\xfe\x00",
)


class Malformed:
    """An endless stream of frames by a validator that holds the key ``key`` and index ``index``.

    What it makes is signed rightly where a signature is: mutations behind the signature check matter as much as those
    in front of it. Slots are those around ``round_now()``, so that a live replica takes the frames seriously.
    """

    def __init__(self, seed: int, key: bytes, index: int, size: int, round_now: Callable[[], int]) -> None:
        self._rng = Random(f"malformed {seed}")
        self._key, self._index, self._size, self._round_now = key, index, size, round_now
        self._sound: list[bytes] = []
        self._made = 0

    def next(self) -> bytes:
        """The next frame, at most 300 kB."""
        if self._made % 200 == 0:
            self._sound = [frames.pbft(message) for message in self._messages()]
        self._made += 1
        rng = self._rng
        choice = rng.random()
        if choice < 0.05:
            return rng.randbytes(rng.choice((0, 1, 2, 59, 157, 158, 159, 1_000)))
        if choice < 0.10:
            return bytes([rng.choice((2, 3, 4))]) + self._spoil(rng.choice(_JSON))
        if choice < 0.101:
            return bytes([rng.randint(0, 5), 1, rng.randint(0, 8)]) + rng.randbytes(rng.choice((100_000, 300_000)))
        frame = rng.choice(self._sound)
        for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 5))):  # 0: sound in form, a lie in substance
            frame = self._spoil(frame)
        return frame

    def _spoil(self, frame: bytes) -> bytes:
        rng, size = self._rng, len(frame)
        if not size:
            return rng.randbytes(3)
        match rng.randint(0, 8):
            case 0:  # some bits
                spoiled = bytearray(frame)
                for _ in range(rng.randint(1, 8)):
                    spoiled[rng.randrange(size)] ^= 1 << rng.randrange(8)
                return bytes(spoiled)
            case 1:
                return frame[: rng.randrange(size)]
            case 2:
                return frame + rng.randbytes(rng.choice((1, 2, 65, 1_000)))
            case 3:  # an extreme number somewhere, often a length
                width = rng.choice((1, 2, 4, 8))
                at = rng.randrange(size)
                value = rng.choice(_EXTREMES) & ((1 << (8 * width)) - 1)
                return frame[:at] + value.to_bytes(width, "big") + frame[at + width :]
            case 4:  # two frames spliced
                other = rng.choice(self._sound)
                return frame[: rng.randrange(size)] + other[rng.randrange(len(other)) :]
            case 5:  # another kind
                return frame[:2] + bytes([rng.randint(0, 9)]) + frame[3:]
            case 6:  # another round, epoch or view
                at = rng.choice((35, 43, 51))
                return frame[:at] + rng.choice(_EXTREMES).to_bytes(8, "big") + frame[at + 8 :]
            case 7:  # a piece twice
                at = rng.randrange(size)
                return frame[:at] + frame[at : at + rng.randint(1, 134)] * 2 + frame[at:]
            case _:  # a signature or a certificate's signer that is not quite right
                at = size - rng.randint(1, min(size, 70))
                return frame[:at] + rng.randbytes(1) + frame[at + 1 :]

    def _messages(self) -> list[Message]:
        """Sound in form, signed, and mostly lies."""
        rng, now = self._rng, self._round_now()
        slot = Slot(TASK, max(0, now + rng.choice((-1, 0, 0, 0, 0, 0, 0, 1, 1_000))), EPOCH)
        view = rng.choice((0, 0, 1, 2, 3, rng.randint(4, 1_000), (1 << 64) - 1))
        leader_view = (self._index - slot.round) % self._size
        payload = stub_proposal(slot, self._index, view).to_bytes()
        digest = rng.choice((keccak(payload), rng.randbytes(32)))
        votes = [self._vote(phase, slot, view, digest) for phase in (Phase.PREPARE, Phase.COMMIT)]
        certificate = self._certificate(slot, view, digest)
        prepared = Prepared(certificate, payload)
        changes = tuple(
            Signed(self._change(slot, view, rng.random() < 0.5).statement, signer, rng.randbytes(64) + b"\x1b")
            for signer in range(rng.randint(0, self._size + 1))
        )
        commit = Certificate(Vote(Phase.COMMIT, slot, view, digest), certificate.signatures)
        return [
            *map(Ballot, votes),
            Status(slot, view),
            Proposal(self._vote(Phase.PROPOSE, slot, leader_view, digest), payload, None),
            Proposal(self._vote(Phase.PROPOSE, slot, leader_view, digest), rng.randbytes(50), None),
            Proposal(self._vote(Phase.PROPOSE, slot, leader_view, digest), payload, NewView(changes, certificate)),
            ViewChangeRequest(self._change(slot, view, False), None),
            ViewChangeRequest(self._change(slot, view, True), prepared),
            ViewChangeRequest(self._change(slot, leader_view + 1, False), prepared),
            Decided(commit, payload),
        ]

    def _vote(self, phase: Phase, slot: Slot, view: int, digest: bytes) -> Signed[Vote]:
        vote = Vote(phase, slot, view, digest)
        return Signed(vote, self._index, sign_digest(self._key, signing_digest(DOMAIN, vote)))

    def _change(self, slot: Slot, view: int, claims: bool) -> Signed[ViewChange]:
        change = ViewChange(slot, view, max(0, view - 1), keccak(b"claimed")) if claims else ViewChange(slot, view)
        return Signed(change, self._index, sign_digest(self._key, signing_digest(DOMAIN, change)))

    def _certificate(self, slot: Slot, view: int, digest: bytes) -> Certificate:
        """One's own vote under as many names as one likes."""
        vote = self._vote(Phase.PREPARE, slot, view, digest)
        signers = sorted(self._rng.choices(range(self._size + 1), k=self._rng.choice((0, 1, 3, 3, 4, 256))))
        return Certificate(vote.statement, tuple((signer, vote.signature) for signer in signers))
