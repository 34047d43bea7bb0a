"""What a seed stands for: the size of the world and its mix of faults, drawn before anything happens.

The mix itself is random (swarm testing, as in TigerBeetle's VOPR): a world with every fault at once hides what one
fault alone would show.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random

from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.sim.storage import Tear
from pot_chain.protocol.quorum import max_faulty

TIMEOUTS = Timeouts(initial=5.0, maximum=40.0, resend=1.5)
CALM_DELAY = 0.3
"""Longest message delay after stabilisation, seconds."""
VALIDATION_DELAY = 0.5
"""Longest validation, seconds."""

SIZES = (4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 6, 6, 7, 7, 7, 10, 13)


class Attack(Enum):
    """What Byzantine validators do (``byzantine`` has them in full)."""

    EQUIVOCATE = "equivocating proposals"
    VOTE_ALL = "votes for everything"
    TWINS = "two copies of one identity"
    SILENCE = "selective silence"
    VIEW_CHANGES = "stale and false view changes"
    FORGED_CERTIFICATES = "forged, duplicate-signer and mixed-view certificates"
    LOW_NEW_VIEW = "new-views with a lower certificate"
    REPLAY = "replay across phase, view, round, task, epoch and contract"
    INVALID = "invalid outcomes"
    FLOOD = "flood and garbage frames"


class Crash(Enum):
    """How a validator stops."""

    BETWEEN = "between two events"
    IN_WRITE = "inside a write of its log, or after it and before the send"
    DISK_LOST = "with the loss of its log"


class Kind(Enum):
    """Kinds of messages, as far as a scenario tells them apart."""

    PROPOSE = "PROPOSE"
    PREPARE = "PREPARE"
    COMMIT = "COMMIT"
    VIEW_CHANGE = "VIEW-CHANGE"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Partition:
    """From ``start`` to ``end`` messages over ``cut`` links (sender, receiver) are lost."""

    start: float
    end: float
    cut: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Outage:
    """Validator ``node`` crashes at ``at`` and starts again ``downtime`` seconds later."""

    at: float
    node: int
    crash: Crash
    tear: Tear
    downtime: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Validator ``node`` does nothing for ``length`` seconds, then finds what has come meanwhile."""

    at: float
    node: int
    length: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One world.

    Attributes:
        pool: number of validators that exist; an epoch has ``size`` of them.
        epochs: validator ids of each epoch (epoch numbers count from 1), ascending.
        slots: epoch number of each consecutive round.
        stable_at: time from which the network is calm and everybody is up.
        deaf: (receiver, kind of message) pairs that get lost until the world is stable, to split what validators know.
        ambush: until the world is stable only this validator hears COMMITs, and once it has decided nobody hears it:
            the worst that a network can do to agreement.
        clock_rates: factor on each validator's timers.
        timer_jumps: share of timers that fire at once, as after a jump of the clock.
        chain_leads: a round is final as soon as anybody has decided it; else only when all honest validators have.
        signing_delay: longest time a signature takes, seconds; 0 signs within the step.
        reorgs: (time, epoch of the round after it) at which the last final round becomes open again.
        wire: messages between honest validators are encoded and decoded.
    """

    seed: int
    size: int
    pool: int
    epochs: tuple[tuple[int, ...], ...]
    slots: tuple[int, ...]
    byzantine: frozenset[int]
    attacks: frozenset[Attack]
    stable_at: float
    loss: float
    duplication: float
    delay: float
    exponential: bool
    partitions: tuple[Partition, ...]
    outages: tuple[Outage, ...]
    pauses: tuple[Pause, ...]
    deaf: frozenset[tuple[int, Kind]]
    ambush: int | None
    clock_rates: tuple[float, ...]
    timer_jumps: float
    signing_delay: float
    chain_leads: bool
    reorgs: tuple[tuple[float, int], ...]
    wire: bool
    real_signatures: bool

    @property
    def faulty(self) -> int:
        return max_faulty(self.size)

    def describe(self) -> str:
        """The fault mix in one paragraph, printed with a failing seed."""
        outages = ", ".join(f"{o.node}@{o.at:.1f}s {o.crash.value}" for o in self.outages) or "none"
        attacks = ", ".join(sorted(attack.value for attack in self.attacks)) or "none"
        return (
            f"seed {self.seed}: n={self.size} of {self.pool}, epochs {self.epochs}, rounds in epochs {self.slots}, "
            f"Byzantine {sorted(self.byzantine)} ({attacks}), stable at {self.stable_at:.1f}s, loss {self.loss:.0%}, "
            f"duplication {self.duplication:.0%}, delay {self.delay:.2f}s{' exp' if self.exponential else ''}, "
            f"{len(self.partitions)} partitions, crashes: {outages}, "
            f"{'no ambush' if self.ambush is None else f'ambush of {self.ambush}'}, {len(self.deaf)} deaf ears, "
            f"{len(self.pauses)} pauses, {len(self.reorgs)} reorgs, "
            f"{'chain leads' if self.chain_leads else 'chain waits'}, {'wire' if self.wire else 'values'}, "
            f"{'secp256k1' if self.real_signatures else 'fast test'} signatures"
        )


def draw(seed: int, *, sizes: tuple[int, ...] = SIZES, liars: int | None = None) -> Scenario:
    """The scenario of ``seed``.

    Args:
        sizes: epoch sizes to choose from.
        liars: number of Byzantine validators; None draws 0 to f. More than f is the negative control.
    """
    rng = Random(seed)
    size = rng.choice(sizes)
    faulty = max_faulty(size)
    rotating = rng.random() < 0.3
    pool = size + 1 if rotating else size
    epochs = (tuple(range(size)), tuple(range(1, pool))) if rotating else (tuple(range(size)),)
    rounds = rng.choice((1, 1, 2, 3))
    slots = tuple(1 if not rotating or number < rounds / 2 else 2 for number in range(rounds))
    split = rng.random() < 0.3  # a world in which one validator decides alone and a liar leads the next view
    lowest = 1 if split else 0
    count = liars if liars is not None else rng.choice((*range(lowest, faulty + 1), faulty, faulty))
    byzantine = _liars(rng, pool, min(count, size - 1), 1 if split else rng.choice((rng.randrange(pool), 0, 1, 2)))
    honest = [node for node in range(pool) if node not in byzantine]
    stable_at = rng.choice((0.0, rng.uniform(2, 10), rng.uniform(8, 40), rng.uniform(8, 40), rng.uniform(30, 100)))
    if split:
        stable_at = rng.uniform(8, 40)
    calm = split or not stable_at
    return Scenario(
        seed=seed,
        size=size,
        pool=pool,
        epochs=epochs,
        slots=slots,
        byzantine=byzantine,
        attacks=_attacks(rng, split) if byzantine else frozenset(),
        stable_at=stable_at,
        loss=_some(rng, 0.05 if split else 0.3),
        duplication=_some(rng, 0.5),
        delay=rng.choice((0.03, 0.3, 0.3, 1.0, 2.0)),
        exponential=rng.random() < 0.5,
        partitions=() if calm else _partitions(rng, pool, stable_at),
        outages=_outages(rng, honest, stable_at, faulty - len(byzantine)),
        pauses=() if calm else _pauses(rng, honest, stable_at),
        clock_rates=tuple(rng.uniform(0.8, 1.2) if rng.random() < 0.5 else 1.0 for _ in range(pool)),
        timer_jumps=_some(rng, 0.1),
        signing_delay=_some(rng, 0.05),
        deaf=_deaf(rng, pool) if not calm and rng.random() < 0.3 else frozenset(),
        ambush=rng.choice(honest) if stable_at and (split or rng.random() < 0.3) else None,
        chain_leads=not split and rng.random() < 0.3,
        reorgs=_reorgs(rng, stable_at, len(epochs)),
        wire=rng.random() < 0.15,
        real_signatures=rng.random() < 0.02,
    )


def _liars(rng: Random, pool: int, count: int, first: int) -> frozenset[int]:
    """``count`` validators with ``first`` among them: it often leads an early view, where lies tell most."""
    if not count:
        return frozenset()
    others = [node for node in range(pool) if node != first]
    return frozenset({first, *rng.sample(others, count - 1)})


def _attacks(rng: Random, split: bool) -> frozenset[Attack]:
    if not split:
        return frozenset(attack for attack in Attack if rng.random() < 0.5)
    leading = rng.choice((Attack.LOW_NEW_VIEW, Attack.LOW_NEW_VIEW, Attack.EQUIVOCATE))
    return frozenset({leading, *(attack for attack in Attack if rng.random() < 0.2)})


def _some(rng: Random, most: float) -> float:
    return rng.uniform(0, most) if rng.random() < 0.5 else 0.0


def _partitions(rng: Random, pool: int, stable_at: float) -> tuple[Partition, ...]:
    partitions = []
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        start = rng.uniform(0, stable_at)
        match rng.randrange(3):
            case 0:  # isolate one
                group = {rng.randrange(pool)}
            case 1:  # a group of uniform size
                group = set(rng.sample(range(pool), rng.randint(1, pool - 1)))
            case _:  # each on a random side
                group = {node for node in range(pool) if rng.random() < 0.5}
        both = rng.random() < 0.6
        cut = frozenset(
            (a, b) for a in range(pool) for b in range(pool) if (a in group) != (b in group) and (both or a in group)
        )
        partitions.append(Partition(start, min(stable_at, start + rng.uniform(0.5, 10)), cut))
    return tuple(partitions)


def _deaf(rng: Random, pool: int) -> frozenset[tuple[int, Kind]]:
    share = rng.choice((0.2, 0.5, 0.8))
    return frozenset((node, kind) for node in range(pool) for kind in Kind if rng.random() < share)


def _outages(rng: Random, honest: list[int], stable_at: float, spare_faults: int) -> tuple[Outage, ...]:
    outages = []
    lost: set[int] = set()
    for _ in range(rng.choice((0, 0, 1, 2, 4, 6)) if stable_at else 0):
        node = rng.choice(honest)
        crash = rng.choice((Crash.BETWEEN, Crash.IN_WRITE, Crash.IN_WRITE, Crash.DISK_LOST))
        if crash is Crash.DISK_LOST:  # such a validator counts as faulty for the rounds that are open
            if len(lost | {node}) > spare_faults:
                crash = Crash.BETWEEN
            else:
                lost.add(node)
        at = rng.uniform(0, stable_at)
        outages.append(Outage(at, node, crash, rng.choice(list(Tear)), rng.uniform(0, stable_at - at)))
    return tuple(sorted(outages, key=lambda outage: outage.at))


def _pauses(rng: Random, honest: list[int], stable_at: float) -> tuple[Pause, ...]:
    pauses = []
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        at = rng.uniform(0, stable_at)
        pauses.append(Pause(at, rng.choice(honest), rng.uniform(0, stable_at - at)))
    return tuple(pauses)


def _reorgs(rng: Random, stable_at: float, epochs: int) -> tuple[tuple[float, int], ...]:
    if not stable_at or rng.random() < 0.8:
        return ()
    return ((rng.uniform(0, stable_at), rng.randint(1, epochs)),)
