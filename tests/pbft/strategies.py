"""Hypothesis strategies for everything that travels."""

from __future__ import annotations

from hypothesis import strategies as st

from pot_chain.pbft import (
    MAX_VALIDATORS,
    Ballot,
    Certificate,
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
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

uint64 = st.integers(0, (1 << 64) - 1)
digests = st.binary(min_size=32, max_size=32)
signers = st.integers(0, (1 << 16) - 1)
signatures = st.binary(min_size=65, max_size=65)
payloads = st.binary(max_size=300)
slots = st.builds(Slot, st.integers(0, (1 << 256) - 1), uint64, uint64)


def votes(slot: Slot, *phases: Phase) -> st.SearchStrategy[Vote]:
    return st.builds(Vote, st.sampled_from(phases), st.just(slot), uint64, digests)


def changes(slot: Slot, views: st.SearchStrategy[int]) -> st.SearchStrategy[ViewChange]:
    some = st.builds(ViewChange, st.just(slot), views, uint64, digests.filter(lambda digest: digest != ZERO_DIGEST))
    return st.one_of(st.builds(ViewChange, st.just(slot), views), some)


def certificates(slot: Slot, *phases: Phase) -> st.SearchStrategy[Certificate]:
    entries = st.lists(st.tuples(signers, signatures), max_size=min(8, MAX_VALIDATORS)).map(tuple)
    return st.builds(Certificate, votes(slot, *phases), entries)


def signed_changes(slot: Slot, views: st.SearchStrategy[int]) -> st.SearchStrategy[Signed[ViewChange]]:
    return st.builds(Signed, changes(slot, views), signers, signatures)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message that has an encoding, sound or not."""
    slot = draw(slots)
    kind = draw(st.integers(0, 4))
    if kind == 0:
        vote = draw(votes(slot, Phase.PROPOSE))
        views = st.just(vote.view)
        new_view = st.builds(
            NewView,
            st.lists(signed_changes(slot, views), max_size=4).map(tuple),
            st.none() | certificates(slot, *Phase),
        )
        return Proposal(Signed(vote, draw(signers), draw(signatures)), draw(payloads), draw(st.none() | new_view))
    if kind == 1:
        return Ballot(Signed(draw(votes(slot, Phase.PREPARE, Phase.COMMIT)), draw(signers), draw(signatures)))
    if kind == 2:
        prepared = st.builds(Prepared, certificates(slot, *Phase), payloads)
        return ViewChangeRequest(draw(signed_changes(slot, uint64)), draw(st.none() | prepared))
    if kind == 3:
        return Decided(draw(certificates(slot, Phase.COMMIT)), draw(payloads))
    return Status(slot, draw(uint64))
