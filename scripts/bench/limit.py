"""What the network alone allows: PBFT's normal case and view change with no cost but message delays.

Every message takes U(low, high), drawn for itself; computation, disk and bandwidth cost nothing; each message is sent
once, directly, and one's own vote counts at once. Model and percentiles are those of the Monte Carlo in the project's
performance anchors; with seed and sizes given there it reproduces its figures (``tests/scripts/test_bench_limit.py``).

Times are seconds from the primary's proposal; arrays of delays are indexed ``[…, sender, receiver]``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pot_chain.protocol.quorum import quorum, weak_quorum
from pot_chain.protocol.votes import Slot

Times: TypeAlias = npt.NDArray[np.float64]

PROPOSE, PREPARE, COMMIT, VIEW_CHANGE, REQUEST, REPLY = range(6)
"""Kinds of messages, each with delays of its own. REQUEST and REPLY are the client's."""
_CHUNK_CELLS = 2_000_000
_NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Delays:
    """One-way delays, uniform in ``low`` to ``high`` plus a constant ``hop`` (seconds).

    ``of`` depends on its arguments and the seed alone, so that a sender in any process and the limit computed
    afterwards see the same delay for the same message, and a message that is sent twice gains nothing.
    """

    seed: int
    low: float
    high: float
    hop: float = 0.0

    @property
    def mean(self) -> float:
        """Mean delay (seconds)."""
        return (self.low + self.high) / 2 + self.hop

    def of(self, kind: int, slot: Slot, view: int, sender: int, receiver: int) -> float:
        """Delay of the message of ``kind`` in ``view`` of ``slot`` from ``sender`` to ``receiver``."""
        named = struct.pack(">QQQQQHH", self.seed, kind, slot.task_id, slot.round, view, sender, receiver)
        uniform = int.from_bytes(blake2b(named, digest_size=8).digest(), "big") / 2.0**64
        return self.low + (self.high - self.low) * uniform + self.hop

    def matrix(self, kind: int, slot: Slot, view: int, size: int) -> Times:
        """``of`` for all pairs."""
        return np.array(
            [[self.of(kind, slot, view, sender, to) for to in range(size)] for sender in range(size)], dtype=np.float64
        )

    def draw(self, rng: np.random.Generator, *shape: int) -> Times:
        """Independent delays."""
        return rng.uniform(self.low, self.high, shape) + self.hop


def decision_times(propose: Times, prepare: Times, commit: Times, primary: int, needed: int) -> Times:
    """When each replica decides (OSDI'99 4.2): proposal, ``needed`` PREPAREs, ``needed`` COMMITs.

    Args:
        propose: ``[…, receiver]`` delays of the proposal; infinite for a replica that is dead.
        prepare, commit: ``[…, sender, receiver]`` delays.
    """
    accepted = propose.copy()
    accepted[..., primary] = 0.0
    prepared = np.maximum(accepted, _kth_arrival(accepted, prepare, needed))
    return np.maximum(accepted, _kth_arrival(prepared, commit, needed))


def view_change_times(
    view_change: Times, propose: Times, prepare: Times, commit: Times, dead: int, primary: int, needed: int
) -> Times:
    """When each replica decides if ``dead`` leads view 0 and all others give it up at time 0 (4.4)."""
    left = np.zeros(propose.shape)
    left[..., dead] = _NEVER
    begun = _kth_arrival(left, view_change, needed)[..., primary]
    first = propose.copy()
    first[..., dead] = _NEVER
    return decision_times(first, prepare, commit, primary, needed) + begun[..., None]


def client_time(request: Times, decided: Times, reply: Times, needed: int) -> Times:
    """When a client has ``needed`` replies: request to the primary, decision, a reply of each replica."""
    arrivals = np.partition(request[..., None] + decided + reply, needed - 1, axis=-1)
    times: Times = arrivals[..., needed - 1]
    return times


def _kth_arrival(sent: Times, delay: Times, k: int) -> Times:
    """When each receiver has the ``k``-th of the messages that all send at ``sent``; one's own takes no time."""
    size = sent.shape[-1]
    arrivals = sent[..., :, None] + np.where(np.eye(size, dtype=bool), 0.0, delay)
    times: Times = np.partition(arrivals, k - 1, axis=-2)[..., k - 1, :]
    return times


@dataclass(frozen=True, slots=True)
class Limit:
    """What no implementation can beat on average; arrays with one entry a trial (seconds).

    Attributes:
        median: the median replica decides.
        last: the last one does.
        client: a client of the paper has f + 1 replies.
        client_published: a client that waits for 2 * floor(n / 3) + 1 replies, as the published prototype's does.
        recovery: with the first primary dead, from the time-out to the median live replica's decision.
    """

    median: Times
    last: Times
    client: Times
    client_published: Times
    recovery: Times


def published_replies(size: int) -> int:
    """Replies for which the published prototype's client waits."""
    return size // 3 * 2 + 1


def monte_carlo(size: int, delays: Delays, trials: int, seed: int) -> Limit:
    """``trials`` independent decisions among ``size`` replicas."""
    rng = np.random.default_rng((seed, size))
    step = max(1, _CHUNK_CELLS // size**2)
    parts = [_trial(size, delays, min(step, trials - done), rng) for done in range(0, trials, step)]
    columns = zip(*parts, strict=True)
    return Limit(*(np.concatenate(column) for column in columns))


def _trial(size: int, delays: Delays, trials: int, rng: np.random.Generator) -> tuple[Times, ...]:
    needed, pairs = quorum(size), (trials, size, size)
    propose, prepare, commit = delays.draw(rng, trials, size), delays.draw(rng, *pairs), delays.draw(rng, *pairs)
    decided = decision_times(propose, prepare, commit, 0, needed)
    request, reply = delays.draw(rng, trials), delays.draw(rng, trials, size)
    recovered = view_change_times(delays.draw(rng, *pairs), propose, prepare, commit, 0, 1, needed)[:, 1:]
    return (
        np.median(decided, axis=-1),
        decided.max(axis=-1),
        client_time(request, decided, reply, weak_quorum(size)),
        client_time(request, decided, reply, published_replies(size)),
        np.median(recovered, axis=-1),
    )


def same_draws(size: int, delays: Delays, slot: Slot) -> float:
    """Limit of the median replica's decision in view 0 of ``slot``, for the very delays that its messages had."""
    primary = slot.round % size
    propose = np.array([delays.of(PROPOSE, slot, 0, primary, to) for to in range(size)])
    prepare, commit = (delays.matrix(kind, slot, 0, size) for kind in (PREPARE, COMMIT))
    return float(np.median(decision_times(propose, prepare, commit, primary, quorum(size))))
