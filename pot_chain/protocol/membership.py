"""Who belongs to which round of a task, from the chain's join and leave events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pot_chain.protocol.addresses import Address, canonical_order


@dataclass(slots=True)
class Membership:
    """Members of a task by round; ``joined`` and ``left`` are the events' ``fromRound``."""

    _spans: dict[Address, list[tuple[int, int | None]]] = field(default_factory=dict)

    def joined(self, miner: Address, from_round: int) -> None:
        """``miner`` takes part from ``from_round`` on."""
        self._spans.setdefault(miner, []).append((from_round, None))

    def left(self, miner: Address, from_round: int) -> None:
        """``miner`` takes part no more from ``from_round`` on."""
        spans = self._spans.get(miner, [])
        if spans and spans[-1][1] is None:
            spans[-1] = (spans[-1][0], from_round)

    def members(self, round_number: int) -> tuple[Address, ...]:
        """Members of a round in canonical order."""
        return canonical_order(miner for miner in self._spans if self.includes(miner, round_number))

    def includes(self, miner: Address, round_number: int) -> bool:
        """Whether ``miner`` belongs to the round."""
        return any(
            start <= round_number and (end is None or round_number < end) for start, end in self._spans.get(miner, [])
        )

    def knows(self, miner: Address) -> bool:
        """Whether ``miner`` has ever joined."""
        return miner in self._spans

    @classmethod
    def of(cls, joins: Iterable[tuple[Address, int]]) -> Membership:
        """Members that have only joined."""
        membership = cls()
        for miner, from_round in joins:
            membership.joined(miner, from_round)
        return membership
