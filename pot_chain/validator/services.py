"""What the parts of a round need of their validator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.guard import SigningGuard
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.round import Proposal
from pot_chain.validator.metrics import Observe, unobserved
from pot_chain.validator.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """Runs blocking work outside the event loop."""

    def __call__(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Awaitable[T]: ...


@dataclass(frozen=True)
class Wiring:
    """What consensus works with.

    Attributes:
        count: metrics: (what, detail).
        fail: told when the signing log cannot be written: the validator must end.
        observe: metrics: how long a phase took.
    """

    guard: SigningGuard
    transport: Transport
    timeouts: Timeouts
    count: Callable[[str, str], None]
    fail: Callable[[PotError], None]
    observe: Observe = unobserved


@dataclass(frozen=True)
class Services:
    """What an actor works with.

    Attributes:
        compute: runs heavy work, one piece at a time.
        fetch: runs what waits for storage, many at a time.
        keep: makes the record of a decided round last.
        finalize: sends ``finalizeRound``; returns when the round is final, by whomever.
    """

    wiring: Wiring
    compute: Executor
    fetch: Executor
    keep: Callable[[Proposal], Awaitable[None]]
    finalize: Callable[[Proposal, Certificate], Awaitable[None]]
