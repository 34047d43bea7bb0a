"""Counting votes: bounded whatever comes, and no signature is checked twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pot_chain.pbft import Signed
from pot_chain.pbft.tally import VIEWS_PER_SENDER, Tally
from pot_chain.protocol.votes import Phase, ViewChange, Vote

from .cluster import SLOT

D = b"d" * 32


def vote(signer: int, view: int = 0, digest: bytes = D) -> Signed[Vote]:
    return Signed(Vote(Phase.COMMIT, SLOT, view, digest), signer, bytes([signer]) * 65)


class CountingVerifier:
    """Accepts everything but the signatures of ``forgers``, and counts."""

    def __init__(self, *forgers: int) -> None:
        self.forgers = forgers
        self.checked: list[int] = []

    def __call__(self, statement: Vote | ViewChange, signer: int, signature: bytes) -> bool:
        self.checked.append(signer)
        return signer not in self.forgers


def test_each_signature_is_checked_once() -> None:
    verify = CountingVerifier()
    tally = Tally(3, verify)
    for signer in range(3):
        tally.put(vote(signer), verified=signer == 0)
    for _ in range(2):
        certificate, forged = tally.certificate(vote(0).statement)
        assert certificate is not None
        assert forged == []
        assert all(tally.check(vote(signer)) for signer in range(3))
    assert verify.checked == [1, 2]


def test_another_signature_is_checked_for_itself() -> None:
    verify = CountingVerifier()
    tally = Tally(3, verify)
    tally.put(vote(1), verified=True)
    stranger = Signed(vote(1).statement, 1, bytes(65))
    assert tally.check(stranger)
    assert tally.check(stranger)
    assert verify.checked == [1, 1]
    tally.put(stranger)
    assert tally.check(stranger)
    assert verify.checked == [1, 1, 1]


def test_forged_votes_go_and_their_places_can_be_taken() -> None:
    tally = Tally(3, CountingVerifier(0, 1))
    for signer in range(4):
        tally.put(vote(signer))
    certificate, forged = tally.certificate(vote(0).statement)
    assert (certificate, forged) == (None, [0, 1])
    assert [held.signer for held in tally] == [2, 3]
    tally.put(vote(4))
    certificate, forged = tally.certificate(vote(0).statement)
    assert certificate is not None
    assert [signer for signer, _ in certificate.signatures] == [2, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.sampled_from((D, b"e" * 32))), max_size=80))
def test_of_each_sender_the_highest_views_are_kept(votes: list[tuple[int, int, bytes]]) -> None:
    tally = Tally(3, CountingVerifier())
    for signer, view, digest in votes:
        tally.put(vote(signer, view, digest))
    for signer in range(4):
        seen = sorted({view for voter, view, _ in votes if voter == signer})
        assert [held.statement.view for held in tally.votes_of(signer)] == seen[-VIEWS_PER_SENDER:]
    assert len(tally) == len(list(tally)) <= 4 * VIEWS_PER_SENDER
    assert len(tally._views) <= len(tally)  # no empty views stay behind


def test_a_copy_is_independent() -> None:
    tally = Tally(3, CountingVerifier())
    tally.put(vote(0))
    twin = tally.copy()
    twin.put(vote(1))
    tally.put(vote(2))
    assert [held.signer for held in tally] == [0, 2]
    assert [held.signer for held in twin] == [0, 1]
