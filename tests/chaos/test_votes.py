"""The book of votes that chaos keeps finds every contradiction that a guard must prevent."""

from __future__ import annotations

import pytest
from eth_utils import keccak

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import Ballot, Decided, Message, Prepared, Proposal, Signed, Status, ViewChangeRequest
from pot_chain.protocol.eip712 import signing_digest
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote
from pot_chain.validator import frames
from scripts.bench.node import DOMAIN, keys_of
from scripts.chaos.votes import VoteBook

KEYS = keys_of(4)
SLOT = Slot(1, 0, 1)
ONE, TWO = keccak(b"one"), keccak(b"two")


def vote(phase: Phase, digest: bytes, view: int = 0, signer: int = 0, slot: Slot = SLOT) -> Signed[Vote]:
    statement = Vote(phase, slot, view, digest)
    return Signed(statement, signer, sign_digest(KEYS[signer], signing_digest(DOMAIN, statement)))


def change(view: int, prepared: tuple[int, bytes] | None = None, signer: int = 0) -> Message:
    statement = ViewChange(SLOT, view, *(prepared or ()))
    signed = Signed(statement, signer, sign_digest(KEYS[signer], signing_digest(DOMAIN, statement)))
    certificate = Certificate(Vote(Phase.PREPARE, SLOT, 0, ONE), ())
    return ViewChangeRequest(signed, Prepared(certificate, b"") if prepared else None)


def read(*messages: Message) -> list[str]:
    book = VoteBook(DOMAIN, [address_of(key) for key in KEYS])
    for message in messages:
        book.see(frames.pbft(message))
    return book.contradictions()


PREPARE, COMMIT = Phase.PREPARE, Phase.COMMIT


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([Ballot(vote(PREPARE, ONE)), Ballot(vote(PREPARE, TWO))], "several digests in view 0"),
        ([Ballot(vote(PREPARE, ONE)), Ballot(vote(COMMIT, TWO))], "several digests in view 0"),
        ([Proposal(vote(Phase.PROPOSE, ONE), b"", None), Ballot(vote(PREPARE, TWO))], "several digests in view 0"),
        ([change(1), change(1, (0, ONE))], "two view changes to one view"),
        ([Ballot(vote(COMMIT, ONE)), change(1)], "hides a commit"),
        ([Ballot(vote(COMMIT, ONE)), change(1, (0, TWO))], "hides a commit"),
        ([Ballot(vote(COMMIT, ONE, view=2)), change(3, (1, ONE))], "hides a commit"),
        (
            [
                Decided(Certificate(vote(COMMIT, ONE).statement, ((0, vote(COMMIT, ONE).signature),)), b""),
                Ballot(vote(COMMIT, TWO)),
            ],
            "several digests in view 0",
        ),
    ],
)
def test_contradictions_are_found(messages: list[Message], found: str) -> None:
    assert any(found in said for said in read(*messages))


@pytest.mark.parametrize(
    "messages",
    [
        [Ballot(vote(PREPARE, ONE)), Ballot(vote(COMMIT, ONE)), change(1, (0, ONE)), change(2, (0, ONE))],
        [Ballot(vote(PREPARE, ONE)), change(1), Ballot(vote(PREPARE, TWO, view=1))],
        [Ballot(vote(PREPARE, ONE)), Ballot(vote(PREPARE, TWO, signer=1))],
        [Ballot(vote(PREPARE, ONE)), Ballot(vote(PREPARE, TWO, slot=Slot(1, 1, 1)))],
        [change(1), Ballot(vote(COMMIT, ONE, view=1))],
        [Ballot(vote(PREPARE, ONE)), Ballot(vote(PREPARE, ONE)), Status(SLOT, 0)],
    ],
)
def test_honest_votes_are_no_contradiction(messages: list[Message]) -> None:
    assert read(*messages) == []


def test_a_forged_vote_accuses_nobody() -> None:
    honest = vote(PREPARE, ONE)
    forged = Signed(Vote(PREPARE, SLOT, 0, TWO), 0, vote(PREPARE, TWO, signer=1).signature)
    book = VoteBook(DOMAIN, [address_of(key) for key in KEYS])
    for frame in (frames.pbft(Ballot(honest)), frames.pbft(Ballot(forged)), b"", b"\x01garbage"):
        book.see(frame)
    assert (book.statements, book.contradictions()) == (1, [])
