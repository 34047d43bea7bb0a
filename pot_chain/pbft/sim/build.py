"""The parts of the engine under test, so that a mutant can exchange one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import Message
from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim.crypto import SignedBytes, signed_bytes
from pot_chain.pbft.wire import decode


@dataclass(frozen=True, slots=True)
class Build:
    """What honest validators run; the defaults are the real thing."""

    replica: type[Replica] = Replica
    guard: type[SigningGuard] = SigningGuard
    signed_bytes: SignedBytes = signed_bytes
    decode: Callable[[bytes], Message] = decode


GENUINE = Build()
