"""The order in which one validator signs within a slot; replica and guard share it."""

from __future__ import annotations

from enum import IntEnum

from pot_chain.protocol.votes import Phase, ViewChange, Vote


class Rank(IntEnum):
    """VIEW-CHANGE(v) < PROPOSE(v) < PREPARE(v) < COMMIT(v) < VIEW-CHANGE(v + 1)."""

    VIEW_CHANGE = 0
    PROPOSE = 1
    PREPARE = 2
    COMMIT = 3


_RANKS = {Phase.PROPOSE: Rank.PROPOSE, Phase.PREPARE: Rank.PREPARE, Phase.COMMIT: Rank.COMMIT}


def rank_of(statement: Vote | ViewChange) -> Rank:
    """Place of ``statement`` within its view; ``(view, rank)`` orders all statements of a slot."""
    return Rank.VIEW_CHANGE if isinstance(statement, ViewChange) else _RANKS[statement.phase]
