"""Votes of one phase, counted towards certificates: bounded for each sender, verified late."""

from __future__ import annotations

from collections.abc import Iterator

from pot_chain.pbft.certificate import Certificate, Verifier
from pot_chain.pbft.messages import Signed
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Vote

VIEWS_PER_SENDER = 4
"""Views for which votes of one sender are kept; the highest win, so a flood displaces only the flooder's own votes."""


class Tally:
    """PREPAREs or COMMITs of one slot: one vote for each (view, signer).

    A vote is stored unverified, which is sound because the replica stores it only under the identity of the link it
    came from. Signatures are checked when a count reaches the quorum; forged ones are dropped then, and the count goes
    on.
    """

    def __init__(self, quorum: int, verify: Verifier) -> None:
        self._quorum = quorum
        self._verify = verify
        self._views: dict[int, dict[int, Signed[Vote]]] = {}
        self._verified: set[tuple[int, int]] = set()

    def copy(self) -> Tally:
        """An independent tally with the same votes."""
        twin = type(self)(self._quorum, self._verify)
        twin._views = {view: dict(votes) for view, votes in self._views.items()}
        twin._verified = set(self._verified)
        return twin

    def __len__(self) -> int:
        return sum(len(votes) for votes in self._views.values())

    def __iter__(self) -> Iterator[Signed[Vote]]:
        for view in sorted(self._views):
            yield from (vote for _, vote in sorted(self._views[view].items()))

    def get(self, view: int, signer: int) -> Signed[Vote] | None:
        """The vote of ``signer`` in ``view``, verified or not."""
        return self._views.get(view, {}).get(signer)

    def votes_of(self, signer: int) -> list[Signed[Vote]]:
        """All votes kept of ``signer``, by ascending view."""
        return [votes[signer] for _, votes in sorted(self._views.items()) if signer in votes]

    def views_of(self, digest: Digest) -> list[int]:
        """Views with a vote for ``digest``, ascending."""
        return [
            view
            for view, votes in sorted(self._views.items())
            if any(vote.statement.digest == digest for vote in votes.values())
        ]

    def put(self, vote: Signed[Vote], *, verified: bool = False) -> bool:
        """Store ``vote`` in place of the signer's vote of that view; False if higher views fill the signer's share."""
        view, signer = vote.statement.view, vote.signer
        held = [view for view, votes in self._views.items() if signer in votes]
        if view not in held and len(held) >= VIEWS_PER_SENDER:
            lowest = min(held)
            if view < lowest:
                return False
            self._remove(lowest, signer)
        self._views.setdefault(view, {})[signer] = vote
        if verified:
            self._verified.add((view, signer))
        else:
            self._verified.discard((view, signer))
        return True

    def check(self, vote: Signed[Vote]) -> bool:
        """Whether the signature of ``vote`` is right; remembered if it is the stored one."""
        key = (vote.statement.view, vote.signer)
        stored = self.get(*key) == vote
        if stored and key in self._verified:
            return True
        right = self._verify(vote.statement, vote.signer, vote.signature)
        if right and stored:
            self._verified.add(key)
        return right

    def certificate(self, vote: Vote) -> tuple[Certificate | None, list[int]]:
        """A certificate if Q distinct validators signed ``vote``, and senders of forged votes dropped on the way."""
        good: list[tuple[int, bytes]] = []
        forged: list[int] = []
        votes = self._views.get(vote.view, {})
        if len(votes) < self._quorum:
            return None, forged  # the common case by far: nothing to sort yet
        matching = {signer: held for signer, held in sorted(votes.items()) if held.statement == vote}
        if len(matching) < self._quorum:
            return None, forged
        for signer, held in matching.items():
            if self.check(held):
                good.append((signer, held.signature))
            else:
                self._remove(vote.view, signer)
                forged.append(signer)
            if len(good) == self._quorum:
                return Certificate(vote, tuple(good)), forged
        return None, forged

    def _remove(self, view: int, signer: int) -> None:
        votes = self._views[view]
        del votes[signer]
        self._verified.discard((view, signer))
        if not votes:
            del self._views[view]
