"""Metrics: what is timed, what is told, and that the core needs no clock for it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.events import Decide, Reject, Sign, Validate
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote
from pot_chain.validator.metrics import SlotTimes, Snapshot, Span, ValidatorMetrics

SLOT = Slot(7, 3, 1)
DIGEST = b"\x11" * 32


class Watch:
    """A clock that a test sets, and what was observed."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list[tuple[Span, float]] = []
        self.times = SlotTimes(lambda span, seconds: self.seen.append((span, seconds)), lambda: self.now)

    def sign(self, phase: Phase, view: int, at: float) -> None:
        self.now = at
        self.times.see(Sign(Vote(phase, SLOT, view, DIGEST), 0))

    def decide(self, view: int, at: float) -> None:
        self.now = at
        certificate = Certificate(Vote(Phase.COMMIT, SLOT, view, DIGEST), ())
        self.times.see(Decide(b"", DIGEST, certificate))


def test_the_phases_of_a_backup() -> None:
    watch = Watch()
    watch.times.start()
    watch.now = 101.0
    watch.times.see(Validate(0, b"", DIGEST))
    watch.sign(Phase.PREPARE, 0, 101.5)
    watch.sign(Phase.COMMIT, 0, 102.0)
    watch.decide(0, 104.0)
    assert watch.seen == [(Span.ROUND, 4.0), (Span.PREPARING, 1.0), (Span.COMMITTING, 2.0)]


def test_a_primary_counts_from_its_own_proposal() -> None:
    watch = Watch()
    watch.times.start()
    watch.sign(Phase.PROPOSE, 0, 103.0)
    watch.sign(Phase.PREPARE, 0, 103.5)
    watch.sign(Phase.COMMIT, 0, 104.0)
    watch.decide(0, 104.25)
    assert watch.seen == [(Span.ROUND, 4.25), (Span.PREPARING, 1.0), (Span.COMMITTING, 0.25)]


def test_only_the_deciding_view_is_timed() -> None:
    watch = Watch()
    watch.times.start()
    watch.sign(Phase.PREPARE, 0, 101.0)
    watch.sign(Phase.COMMIT, 0, 102.0)
    watch.now = 105.0
    watch.times.see(Sign(ViewChange(SLOT, 1), 0))
    watch.sign(Phase.PREPARE, 1, 106.0)
    watch.sign(Phase.COMMIT, 1, 107.0)
    watch.decide(1, 109.0)
    assert watch.seen == [(Span.ROUND, 9.0), (Span.PREPARING, 1.0), (Span.COMMITTING, 2.0)]


def test_a_certificate_from_elsewhere_gives_the_round_alone() -> None:
    """Decided by state transfer: in a view that this replica has not seen, or was not prepared in."""
    for view in (0, 4):
        watch = Watch()
        watch.times.start()
        watch.sign(Phase.PREPARE, 0, 101.0)
        watch.decide(view, 103.0)
        assert watch.seen == [(Span.ROUND, 3.0)]


def test_a_decision_before_the_start_times_nothing() -> None:
    watch = Watch()
    watch.decide(0, 103.0)
    assert watch.seen == []


def test_other_effects_are_no_phases_and_a_second_start_changes_nothing() -> None:
    watch = Watch()
    watch.times.start()
    watch.now = 101.0
    watch.times.start()
    watch.times.see(Reject(1, "vote repeated"))
    watch.decide(0, 102.0)
    assert watch.seen == [(Span.ROUND, 2.0)]


def test_everything_is_told_in_the_text_format() -> None:
    counts = {
        ("signed", "Prepare"): 3,
        ("received", "Commit"): 5,
        ("rejected", "vote repeated"): 2,
        ("evidence", "two proposals in one view"): 1,
        ("decided", ""): 4,
        ("trouble", "RpcDown"): 6,
    }
    metrics = ValidatorMetrics(lambda: Snapshot(counts, {"rate_limit": 9}, 3, [(SLOT, 2)]))
    metrics.observe(Span.ROUND, 1.5)
    metrics.observe(Span.ROUND, 0.02)
    told = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }
    assert told["pot_pbft_votes_total", ("direction", "signed"), ("kind", "Prepare")] == 3
    assert told["pot_pbft_votes_total", ("direction", "received"), ("kind", "Commit")] == 5
    assert told["pot_pbft_rejected_total", ("reason", "vote repeated")] == 2
    assert told["pot_pbft_evidence_total", ("reason", "two proposals in one view")] == 1
    assert told["pot_pbft_decided_total",] == 4
    assert told["pot_validator_events_total", ("detail", "RpcDown"), ("what", "trouble")] == 6
    assert told["pot_validator_events_total", ("detail", "rate_limit"), ("what", "link")] == 9
    assert told["pot_pbft_view", ("round", "3"), ("task", "7")] == 2
    assert told["pot_validator_peers",] == 3
    assert told["pot_pbft_phase_seconds_count", ("phase", "round")] == 2
    assert told["pot_pbft_phase_seconds_sum", ("phase", "round")] == 1.52
    assert told["pot_pbft_phase_seconds_bucket", ("le", "0.025"), ("phase", "round")] == 1
    assert told["pot_pbft_phase_seconds_count", ("phase", "propose_prepared")] == 0


def test_two_validators_in_one_process_do_not_mix() -> None:
    one, two = (ValidatorMetrics(lambda: Snapshot({}, {}, 0, [])) for _ in range(2))
    one.observe(Span.ROUND, 1.0)
    assert 'pot_pbft_phase_seconds_count{phase="round"} 1.0' in one.text().decode()
    assert 'pot_pbft_phase_seconds_count{phase="round"} 0.0' in two.text().decode()
