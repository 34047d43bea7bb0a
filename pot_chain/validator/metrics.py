"""What ``/metrics`` tells: counters of the service, and how long consensus takes, phase by phase.

The replica knows no clock. Its shell hands each effect to a ``SlotTimes``, which notes when it came; histograms are
filled when the slot is decided, so that a phase that was given up with its view does not count.

- ``pot_pbft_phase_seconds`` (histogram; phase): ``propose_prepared``, from the proposal of the deciding view (its
  validation included) to its prepared certificate; ``prepared_committed``, from there to the decision; ``round``, from
  the start of the slot to the decision;
- ``pot_pbft_view`` (gauge; task, round): view of each open round; above 0 a primary has failed;
- ``pot_pbft_votes_total`` (direction, kind): statements signed, and votes received, verified or not;
- ``pot_pbft_rejected_total`` (reason): messages not used; late and repeated ones are normal;
- ``pot_pbft_decided_total``: slots decided;
- ``pot_pbft_evidence_total`` (reason): proofs that a validator has signed a contradiction;
- ``pot_validator_events_total`` (what, detail): everything that is counted, votes excepted;
- ``pot_validator_peers`` (gauge): validators to which frames can be sent now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pot_chain.pbft.events import Decide, Effect, Sign, Validate
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: from a quiet local network to a round whose first primaries are dead."""

SIGNED: Final = "signed"
RECEIVED: Final = "received"


class Span(StrEnum):
    """What is timed; the value is the label."""

    PREPARING = "propose_prepared"
    COMMITTING = "prepared_committed"
    ROUND = "round"


Observe = Callable[[Span, float], None]
"""Takes how long something took (seconds)."""


def unobserved(span: Span, seconds: float) -> None:
    """For whoever wants no metrics."""


class SlotTimes:
    """Times of one slot.

    Args:
        observe: told of each span when the slot is decided.
        clock: seconds, monotonic.
    """

    def __init__(self, observe: Observe, clock: Callable[[], float]) -> None:
        self._observe, self._clock = observe, clock
        self._started: float | None = None
        self._view = -1
        self._proposed: float | None = None
        self._prepared: float | None = None

    def start(self) -> None:
        """The slot has work."""
        if self._started is None:
            self._started = self._clock()

    def see(self, effect: Effect) -> None:
        """An effect of the slot's replica."""
        match effect:
            case Validate(view, _, _):
                self._propose(view)
            case Sign(Vote(Phase.PROPOSE | Phase.PREPARE, _, view, _)):
                self._propose(view)
            case Sign(Vote(Phase.COMMIT, _, view, _)) if view == self._view:
                self._prepared = self._clock()
            case Decide(_, _, certificate):
                self._decide(certificate.vote.view)
            case _:
                pass

    def _propose(self, view: int) -> None:
        """The first sign of a proposal in ``view``; only the highest view is timed."""
        if view > self._view:
            self._view, self._proposed, self._prepared = view, self._clock(), None

    def _decide(self, view: int) -> None:
        now = self._clock()
        if self._started is not None:
            self._observe(Span.ROUND, now - self._started)
        if view == self._view and self._proposed is not None and self._prepared is not None:
            self._observe(Span.PREPARING, self._prepared - self._proposed)
            self._observe(Span.COMMITTING, now - self._prepared)


def kind_of(statement: Vote | ViewChange) -> str:
    """Label of a signed statement: the name of its EIP-712 type."""
    return "ViewChange" if isinstance(statement, ViewChange) else statement.phase.value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the service looks like when somebody asks.

    Attributes:
        counts: by (what, detail), see ``ValidatorService.count``.
        links: rejected frames and handshakes by reason.
        views: view of each open round.
    """

    counts: Mapping[tuple[str, str], int]
    links: Mapping[str, int]
    peers: int
    views: Iterable[tuple[Slot, int]]


class ValidatorMetrics:
    """The metrics of one validator; each has its own, so that several can live in one process.

    Args:
        look: gives the present state.
    """

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._phases = Histogram(
            "pot_pbft_phase_seconds",
            "Time that consensus takes, by phase.",
            labelnames=("phase",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        for span in Span:
            self._phases.labels(span.value)  # all are there from the start, empty
        self._registry.register(_State(look))

    def observe(self, span: Span, seconds: float) -> None:
        """``Observe`` into the histograms."""
        self._phases.labels(span.value).observe(seconds)

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """Counters and gauges as Prometheus sees them."""

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """All metrics at this moment."""
        now = self._look()
        events = CounterMetricFamily(
            "pot_validator_events", "What happened, by kind and detail.", labels=("what", "detail")
        )
        votes = CounterMetricFamily(
            "pot_pbft_votes", "Statements signed and votes received.", labels=("direction", "kind")
        )
        rejected = CounterMetricFamily("pot_pbft_rejected", "Messages of validators not used.", labels=("reason",))
        evidence = CounterMetricFamily("pot_pbft_evidence", "Proofs of contradictions.", labels=("reason",))
        for (what, detail), count in sorted(now.counts.items()):
            if what in (SIGNED, RECEIVED):
                votes.add_metric((what, detail), count)
                continue
            events.add_metric((what, detail), count)
            if what == "rejected":
                rejected.add_metric((detail,), count)
            elif what == "evidence":
                evidence.add_metric((detail,), count)
        for reason, count in sorted(now.links.items()):
            events.add_metric(("link", reason), count)
        yield from (events, votes, rejected, evidence)
        yield CounterMetricFamily("pot_pbft_decided", "Slots decided.", now.counts.get(("decided", ""), 0))
        view = GaugeMetricFamily("pot_pbft_view", "View of an open round.", labels=("task", "round"))
        for slot, number in now.views:
            view.add_metric((str(slot.task_id), str(slot.round)), number)
        yield view
        yield GaugeMetricFamily("pot_validator_peers", "Validators to which frames can be sent now.", now.peers)
