"""The data of a run: what ``report.json`` holds, what the live view and the page show.

Amounts are integers of wei, in JSON too: Python's ``json.loads`` keeps them exact, a program that reads numbers as
doubles loses digits above 2^53. Times are seconds. Rounds are numbered as on chain: from 0, skipped ones included.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pot_chain.dashboard import promises
from pot_chain.dashboard.codec import InvalidReport, from_plain, to_plain
from pot_chain.protocol import canonical

MAX_REPORT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round that ended.

    Attributes:
        view: PBFT view in which the quorum committed; how many views were given up before. Of a skipped round: 0.
        accepted: addresses of the miners in the aggregate.
        rejected: reason by address (a code of ``pot_chain.protocol.record.REASONS``, or any text).
        train_loss: mean loss that the accepted miners report, before the step; None if unknown.
        test_loss, accuracy: of the checkpoint that the round made, on the test set; None if not measured.
        seconds: from the opening of the round to its end.
        paid_wei: rewards that the round allocated to miners and validators.
        skipped: it ended without an outcome.
        earned_wei: ``paid_wei`` by account; empty if unknown.
        checkpoint, record: CIDs of the manifests that the outcome names; empty if unknown.
        transaction: hash of the transaction that finalized (or skipped) the round; empty if unknown.
    """

    number: int
    view: int
    accepted: list[str]
    rejected: dict[str, str]
    train_loss: float | None
    test_loss: float | None
    accuracy: float | None
    seconds: float
    paid_wei: int
    skipped: bool = False
    earned_wei: dict[str, int] = field(default_factory=dict)
    checkpoint: str = ""
    record: str = ""
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """``accuracy`` (a share of 1) and ``loss`` on the test set; None: not a finite number."""

    accuracy: float | None
    loss: float | None


@dataclass(frozen=True, slots=True)
class CentralizedRound:
    """The centralised run after the step that stands for round ``number``; losses as in ``RoundRow``."""

    number: int
    train_loss: float | None
    test_loss: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Centralized:
    """The same spec, seed and samples trained in one process."""

    accuracy: float | None
    loss: float | None
    wall_seconds: float
    rounds: list[CentralizedRound] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MinerTotal:
    """A miner over the whole run; ``paid_wei`` is what it claimed. ``label`` is a name for people ("miner 3")."""

    address: str
    rounds_accepted: int
    rounds_rejected: int
    paid_wei: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class ValidatorTotal:
    """A validator over the whole run; ``paid_wei`` is what it claimed."""

    address: str
    paid_wei: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Gas:
    """Mean gas of the run's transactions of each kind, rounded."""

    commit_gradient: int = field(metadata={"json": "commitGradient"})
    finalize_round: int = field(metadata={"json": "finalizeRound"})
    claim: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes as stored on IPFS: of one gradient (mean) and of the parameters of one checkpoint."""

    gradient: int
    checkpoint: int


@dataclass(frozen=True, slots=True)
class Escrow:
    """The owner's budget: ``funded == paid + refunded + left``. ``left_wei`` is what the contract still holds of it."""

    funded_wei: int
    paid_wei: int
    refunded_wei: int
    left_wei: int


@dataclass(frozen=True, slots=True)
class Ipfs:
    """``backend``: ``kubo/<version>`` or ``embedded``; ``reason``: why this one."""

    backend: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """``client``: what ``web3_clientVersion`` says; ``contracts``: address by name."""

    client: str
    chain_id: int | None = None
    contracts: dict[str, str] = field(default_factory=dict)


class EventKind(StrEnum):
    """What happened."""

    POISONER_ON = "poisoner_on"
    POISONER_OFF = "poisoner_off"
    VALIDATOR_KILLED = "validator_killed"
    VALIDATOR_RESTARTED = "validator_restarted"
    VIEW_CHANGE = "view_change"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something worth a mark on the curve.

    Attributes:
        seconds: since the start of the run.
        text: for people.
        round: round that was open; for POISONER_ON the first poisoned round, for POISONER_OFF the first honest one
            after it.
        node: address of the miner or validator; needed for POISONER_ON and POISONER_OFF.
    """

    seconds: float
    kind: EventKind
    text: str
    round: int | None = None
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A finished run. The attributes are the keys of ``report.json``, in this order.

    Attributes:
        rounds_expected: rounds that the task pays for; ``rounds_finalized``: as the chain counts them.
        view_changes: views given up over all rounds: the sum of ``rounds[].view``.
        wall_seconds: of the training, from the opening of the first round to the end of the last.
        parameters_relative_difference: L2 norm of (final - centralised parameters) over that of the centralised ones;
            None if it was not computed.
        rounds: one row a round, in order; their ``rejected`` say who was rejected and why.
        spec: the task spec as JSON; ``spec_cid`` where it is pinned, ``model_cid``: the final parameters.
        versions: version by program or library; ``machine``: what it ran on, in words.
        started_at: Unix time of the start.
    """

    task_id: int
    rounds_expected: int
    rounds_finalized: int
    view_changes: int
    final: Score
    centralized: Centralized
    parameters_relative_difference: float | None
    wall_seconds: float
    miners: list[MinerTotal]
    validators: list[ValidatorTotal]
    gas: Gas
    bytes: Sizes
    escrow: Escrow
    ipfs: Ipfs
    chain: Chain
    rounds: list[RoundRow]
    events: list[RunEvent] = field(default_factory=list)
    spec: dict[str, Any] = field(default_factory=dict)
    spec_cid: str = ""
    model_cid: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    started_at: int | None = None

    def to_json(self) -> str:
        """``report.json``: the same report gives the same ASCII text. NaN and infinity become null."""
        return json.dumps(to_plain(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunReport:
        """Inverse of ``to_json``.

        Raises:
            InvalidReport: not JSON, or a field is missing, unknown or of the wrong type.
        """
        try:
            value = canonical.parse(text.encode(), max_bytes=MAX_REPORT_BYTES)
        except (canonical.NotCanonical, UnicodeEncodeError) as error:
            raise InvalidReport(
                f"the report cannot be read: {error}", "give a report.json that `pot demo` wrote"
            ) from error
        report: RunReport = from_plain(cls, value)
        return report

    def check(self) -> list[str]:
        """Every promise that the report makes about itself and does not keep, each as a sentence; empty: all hold."""
        return [broken.sentence for broken in promises.broken_promises(self)]

    @property
    def labels(self) -> dict[str, str]:
        """Name for people by address."""
        return {payee.address: payee.label for payee in self.payees if payee.label}

    @property
    def payees(self) -> list[MinerTotal | ValidatorTotal]:
        """All who were paid or could have been: the miners, then the validators."""
        return [*self.miners, *self.validators]

    @property
    def final_rounds(self) -> list[RoundRow]:
        """The rounds that were not skipped."""
        return [row for row in self.rounds if not row.skipped]

    @property
    def poisoned_rounds(self) -> dict[str, set[int]]:
        """By miner: the rounds between its POISONER_ON and the next POISONER_OFF event, or the end of the run."""
        numbers = [row.number for row in self.rounds]
        poisoned: dict[str, set[int]] = {}
        since: dict[str, int] = {}
        for event in self.events:
            if event.round is None:
                continue
            if event.kind is EventKind.POISONER_ON:
                since.setdefault(event.node, event.round)
            elif event.kind is EventKind.POISONER_OFF and event.node in since:
                first, until = since.pop(event.node), event.round
                poisoned.setdefault(event.node, set()).update(n for n in numbers if first <= n < until)
        for node, first in since.items():
            poisoned.setdefault(node, set()).update(n for n in numbers if n >= first)
        return poisoned


def tally_miners(
    rounds: Iterable[RoundRow], paid_wei: Mapping[str, int], labels: Mapping[str, str] | None = None
) -> list[MinerTotal]:
    """One total for each miner in ``paid_wei`` (0 for one that was never paid), in its order."""
    rows = list(rounds)
    accepted = Counter(address for row in rows for address in row.accepted)
    rejected = Counter(address for row in rows for address in row.rejected)
    return [
        MinerTotal(address, accepted[address], rejected[address], wei, (labels or {}).get(address, ""))
        for address, wei in paid_wei.items()
    ]
