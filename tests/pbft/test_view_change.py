"""OSDI'99 4.4 and 4.5.2: view changes carry what was prepared, and time-outs make sure that they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_utils import keccak

from pot_chain.pbft import (
    Ballot,
    Broadcast,
    CancelTimer,
    Effect,
    NewView,
    Prepared,
    Proposal,
    RequestProposal,
    SetTimer,
    Sign,
    Start,
    Timeouts,
    Timer,
    TimerFired,
    Validate,
    ViewChangeRequest,
)
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

from .cluster import SLOT, Cluster, payload_of, reasons

MakeCluster = Callable[..., Cluster]


def proposals(effects: list[Effect]) -> list[Proposal]:
    """Proposals that left."""
    return [
        effect.message for effect in effects if isinstance(effect, Broadcast) and isinstance(effect.message, Proposal)
    ]


def view_timers(effects: list[Effect]) -> list[tuple[int, float]]:
    """(view, delay) of the view timers that were set."""
    return [
        (effect.view, effect.delay) for effect in effects if isinstance(effect, SetTimer) and effect.timer is Timer.VIEW
    ]


def prepare_at(cluster: Cluster, *indices: int) -> None:
    """Let validators ``indices`` of four prepare the proposal of view 0; nobody hears their COMMITs."""
    for index in indices:
        cluster.receive(index, 0, cluster.proposal(0, "of 0 in view 0"))
        for sender in {0, 1, 2, 3} - {index}:
            cluster.receive(index, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest)))
        assert cluster.replicas[index].prepared is not None
    cluster.drop()


def new_view(cluster: Cluster, view: int, *requests: ViewChangeRequest, carry: Prepared | None = None) -> NewView:
    return NewView(tuple(request.change for request in requests), carry.certificate if carry else None)


def test_a_dead_primary_is_replaced(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start(1, 2, 3)
    for index in (1, 2, 3):
        cluster.fire(index)
    cluster.deliver(among={1, 2, 3})
    assert [decision.certificate.vote.view for decision in cluster.decisions()] == [1, 1, 1]
    assert {decision.digest for decision in cluster.decisions()} == {keccak(payload_of("of 1 in view 1"))}


def test_two_dead_primaries_are_replaced(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(7)
    alive = {2, 3, 4, 5, 6}
    cluster.start(*alive)
    for _ in range(2):
        for index in alive:
            cluster.fire(index)
        cluster.deliver(among=alive)
    assert [decision.certificate.vote.view for decision in cluster.decisions()] == [2] * 5


def test_what_one_validator_prepared_is_carried_into_the_next_view_unchecked(make_cluster: MakeCluster) -> None:
    """A digest fixed by a certificate is prepared even by those who would refuse it: f + 1 honest ones have confirmed
    it.
    """
    cluster = make_cluster(valid=lambda index, _: index != 3)
    cluster.start()
    cluster.drop()
    prepare_at(cluster, 2)
    for index in (1, 2, 3):
        cluster.fire(index)
    cluster.deliver(among={1, 2, 3})
    assert [(d.certificate.vote.view, d.digest) for d in cluster.decisions()] == [(1, cluster.digest)] * 3
    assert not any(isinstance(effect, Validate) for effect in cluster.effects[3])


def test_the_highest_certificate_wins(cluster: Cluster) -> None:
    cluster.drop()
    low, high = cluster.prepared(0, "low", (0, 1, 2)), cluster.prepared(1, "high", (1, 2, 3))
    cluster.fire(2)
    cluster.fire(2)
    cluster.receive(2, 0, cluster.view_change(0, 2, low))
    effects = cluster.receive(2, 3, cluster.view_change(3, 2, high))
    (proposal,) = proposals(effects)
    assert proposal.vote.statement.digest == high.digest
    assert proposal.justification is not None
    assert proposal.justification.certificate == high.certificate
    assert not any(isinstance(effect, RequestProposal) for effect in effects)


def test_with_nothing_prepared_the_new_primary_is_free(cluster: Cluster) -> None:
    cluster.drop()
    cluster.fire(1)
    cluster.receive(1, 2, cluster.view_change(2, 1))
    effects = cluster.receive(1, 3, cluster.view_change(3, 1))
    assert RequestProposal(1) in effects
    (proposal,) = proposals(effects)
    assert proposal.justification is not None
    assert proposal.justification.certificate is None
    assert [change.signer for change in proposal.justification.view_changes] == [1, 2, 3]


def test_a_bad_view_change_is_left_out_and_spoils_nothing(cluster: Cluster) -> None:
    cluster.drop()
    cluster.fire(1)
    genuine = cluster.prepared(0, "of 0 in view 0", (0, 1, 2))
    forged = replace(genuine, certificate=replace(genuine.certificate, signatures=genuine.certificate.signatures[:2]))
    assert reasons(cluster.receive(1, 2, cluster.view_change(2, 1, forged))) == [
        "certificate without exactly a quorum of signatures"
    ]
    cluster.receive(1, 3, cluster.view_change(3, 1))
    effects = cluster.receive(1, 2, cluster.view_change(2, 1, genuine))
    assert proposals(effects)[0].vote.statement.digest == genuine.digest


def test_each_false_view_change_is_refused_with_its_reason(cluster: Cluster) -> None:
    prepared = cluster.prepared(0, "of 0 in view 0", (0, 1, 2))
    true = cluster.view_change(2, 2, prepared)
    commits = Prepared(cluster.certificate(Phase.COMMIT, 0, prepared.digest, (0, 1, 2)), prepared.payload)
    other = cluster.prepared(0, "another", (0, 1, 2))
    claim_above = ViewChangeRequest(cluster.sign(2, ViewChange(SLOT, 1, 1, prepared.digest)), prepared)
    elsewhere = ViewChangeRequest(cluster.sign(2, ViewChange(Slot(7, 0, 9), 1)), None)
    false = {
        "view change not signed by its sender": replace(true, change=replace(true.change, signer=3)),
        "view change with a wrong signature": replace(true, change=replace(true.change, signature=b"\1" * 65)),
        "view change to no view of the slot": cluster.view_change(2, 0),
        "view change that claims a certificate of a view not below its own": claim_above,
        "view change without the certificate it claims": replace(true, prepared=None),
        "view change with a certificate it does not claim": replace(true, prepared=other),
        "view change whose payload does not match its digest": replace(true, prepared=replace(prepared, payload=b"x")),
        "message of another slot": elsewhere,
    }
    for reason, request in false.items():
        assert reasons(cluster.receive(1, 2, request)) == [reason]
    unclaimed = replace(cluster.view_change(2, 2), prepared=prepared)
    assert reasons(cluster.receive(1, 2, unclaimed)) == ["view change with a certificate it does not claim"]
    assert reasons(cluster.receive(1, 2, replace(true, prepared=commits))) == [
        "view change with a certificate it does not claim"
    ]


def test_of_one_sender_the_highest_view_change_counts(cluster: Cluster) -> None:
    cluster.receive(1, 2, cluster.view_change(2, 3))
    assert reasons(cluster.receive(1, 2, cluster.view_change(2, 2))) == ["view change older than the sender's last"]
    assert reasons(cluster.receive(1, 2, cluster.view_change(2, 3))) == ["view change repeated"]


def test_two_view_changes_to_one_view_are_evidence(cluster: Cluster) -> None:
    cluster.receive(1, 2, cluster.view_change(2, 1))
    cluster.receive(1, 2, cluster.view_change(2, 1, cluster.prepared(0, "of 0 in view 0", (0, 1, 2))))
    (evidence,) = cluster.evidence()
    assert evidence.reason == "two view changes to one view"


@pytest.mark.parametrize("commit_first", [True, False])
def test_a_view_change_that_hides_a_commit_is_evidence(cluster: Cluster, commit_first: bool) -> None:
    commit = Ballot(cluster.vote(2, Phase.COMMIT, 0, cluster.digest))
    hiding = cluster.view_change(2, 1)
    for message in (commit, hiding) if commit_first else (hiding, commit):
        cluster.receive(1, 2, message)
    (evidence,) = cluster.evidence()
    assert {evidence.first, evidence.second} == {commit.vote, hiding.change}


def test_an_honest_view_change_after_a_commit_is_no_evidence(cluster: Cluster) -> None:
    cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.COMMIT, 0, cluster.digest)))
    cluster.receive(1, 2, cluster.view_change(2, 1, cluster.prepared(0, "of 0 in view 0", (0, 1, 2))))
    cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.COMMIT, 1, cluster.digest)))
    assert cluster.evidence() == []


def test_false_new_views_are_refused_with_their_reason(make_cluster: MakeCluster) -> None:
    reference = make_cluster()
    low, high = reference.prepared(0, "low", (0, 1, 2)), reference.prepared(1, "high", (1, 2, 3))
    changes = {
        signer: reference.view_change(signer, 2, prepared) for signer, prepared in ((0, low), (1, high), (3, None))
    }
    free = [reference.view_change(signer, 2) for signer in (0, 1, 3)]
    liar = reference.sign(3, ViewChange(SLOT, 2, 1, low.digest))
    forged = replace(free[1].change, signature=b"\1" * 65)
    outside = replace(free[2].change, signer=4)
    ahead = reference.sign(3, ViewChange(SLOT, 2, 2, high.digest))
    elsewhere = reference.view_change(3, 3).change
    foreign = reference.sign(3, ViewChange(Slot(7, 0, 2), 2))
    false: dict[str, tuple[str, NewView | None]] = {
        "proposal without a new-view": ("x", None),
        "new-view without exactly a quorum of view changes": ("x", new_view(reference, 2, *free[:2])),
        "new-view whose signers are not strictly increasing validators": (
            "x",
            new_view(reference, 2, free[0], free[0], free[1]),
        ),
        "new-view with a view change to another view": (
            "x",
            NewView((free[0].change, free[1].change, elsewhere), None),
        ),
        "view change to no view of the slot": ("x", NewView((free[0].change, free[1].change, foreign), None)),
        "view change with a wrong signature": ("x", NewView((free[0].change, forged, free[2].change), None)),
        "view change that claims a certificate of a view not below its own": (
            "high",
            NewView((free[0].change, free[1].change, ahead), high.certificate),
        ),
        "new-view with a certificate nobody claims": ("low", new_view(reference, 2, *free, carry=low)),
        "new-view without the certificate it needs": ("high", new_view(reference, 2, *changes.values())),
        "new-view that does not carry the highest prepared digest": (
            "low",
            new_view(reference, 2, *changes.values(), carry=low),
        ),
        "new-view with another certificate than the highest claimed": (
            "high",
            new_view(reference, 2, *changes.values(), carry=low),
        ),
        "certificate without exactly a quorum of signatures": (
            "high",
            NewView(
                tuple(request.change for request in changes.values()),
                replace(high.certificate, signatures=high.certificate.signatures[1:]),
            ),
        ),
    }
    two_digests = ("high", NewView((changes[0].change, changes[1].change, liar), high.certificate))
    cases = [*false.items(), ("new-view that does not carry the highest prepared digest", two_digests)]
    cases.append(
        (
            "new-view whose signers are not strictly increasing validators",
            ("x", NewView((free[0].change, free[1].change, outside), None)),
        )
    )
    for reason, (text, justification) in cases:
        cluster = make_cluster()
        cluster.start(0)
        assert reasons(cluster.receive(0, 2, reference.proposal(2, text, justification))) == [reason]
        assert cluster.replicas[0].view == 0
    cluster = make_cluster()
    cluster.start(0)
    assert (
        reasons(
            cluster.receive(0, 2, reference.proposal(2, "high", new_view(reference, 2, *changes.values(), carry=high)))
        )
        == []
    )
    assert (cluster.replicas[0].view, cluster.replicas[0].active) == (2, True)


def test_view_0_takes_no_new_view(cluster: Cluster) -> None:
    justification = NewView(tuple(cluster.view_change(signer, 1).change for signer in (0, 1, 2)), None)
    proposal = cluster.proposal(0, "of 0 in view 0", justification)
    assert reasons(cluster.receive(1, 0, proposal)) == ["proposal with a new-view in view 0"]


def test_a_bad_new_view_of_the_awaited_primary_ends_the_wait(cluster: Cluster) -> None:
    cluster.fire(0)
    cluster.receive(0, 1, cluster.proposal(1, "x"))
    assert (cluster.replicas[0].view, cluster.replicas[0].active) == (2, False)


def test_f_plus_1_higher_view_changes_take_a_replica_along(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(7)
    cluster.start(0)
    for sender, view in ((1, 9), (2, 4)):
        cluster.receive(0, sender, cluster.view_change(sender, view))
        assert cluster.replicas[0].view == 0
    cluster.receive(0, 3, cluster.view_change(3, 6))
    assert (cluster.replicas[0].view, cluster.replicas[0].active) == (4, False)
    cluster.receive(0, 4, cluster.view_change(4, 6))
    assert cluster.replicas[0].view == 6


def test_f_liars_push_nobody_upwards(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(7)
    cluster.start(0)
    for sender in (1, 2):
        cluster.receive(0, sender, cluster.view_change(sender, 1 << 40))
    assert cluster.replicas[0].view == 0


def test_in_a_view_change_the_timer_waits_for_a_quorum(cluster: Cluster) -> None:
    effects = cluster.fire(0)
    assert view_timers(effects) == []
    assert view_timers(cluster.receive(0, 2, cluster.view_change(2, 1))) == []
    assert view_timers(cluster.receive(0, 3, cluster.view_change(3, 1))) == [(1, 8.0)]


def test_view_changes_to_higher_views_count_for_the_timer(cluster: Cluster) -> None:
    """Three validators in three views, the fourth silent: somebody must move, or all wait for ever."""
    cluster.fire(0)
    cluster.fire(0)
    cluster.receive(0, 2, cluster.view_change(2, 2))
    assert view_timers(cluster.receive(0, 3, cluster.view_change(3, 5))) == [(2, 16.0)]


def test_scattered_views_come_together_without_new_time_outs_of_their_own(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.start(1, 2, 3)
    for index, times in ((1, 1), (2, 2), (3, 3)):
        for _ in range(times):
            cluster.step(index, TimerFired(Timer.VIEW, cluster.replicas[index].view))
            cluster.replicas[index]._timer_view = cluster.replicas[index].view  # as if Q others had been there
    cluster.drop()
    for _ in range(6):
        for index in (1, 2, 3):
            cluster.fire(index, Timer.RESEND)
        cluster.deliver(among={1, 2, 3})
        for index in (1, 2, 3):
            cluster.fire(index)
        cluster.deliver(among={1, 2, 3})
    assert len(cluster.decisions()) == 3


def test_a_stale_timer_does_nothing(cluster: Cluster) -> None:
    cluster.fire(1)
    assert cluster.step(1, TimerFired(Timer.VIEW, 0)) == []
    assert cluster.replicas[1].view == 1


def test_being_taken_along_stops_the_timer_of_the_old_view(cluster: Cluster) -> None:
    cluster.receive(0, 2, cluster.view_change(2, 1))
    effects = cluster.receive(0, 3, cluster.view_change(3, 1))
    assert CancelTimer(Timer.VIEW) in effects
    assert cluster.step(0, TimerFired(Timer.VIEW, 0)) == []
    assert cluster.replicas[0].view == 1


def test_a_timer_is_set_once_a_view(cluster: Cluster) -> None:
    cluster.fire(0)
    cluster.receive(0, 2, cluster.view_change(2, 1))
    assert view_timers(cluster.receive(0, 3, cluster.view_change(3, 1))) == [(1, 8.0)]
    assert view_timers(cluster.receive(0, 1, cluster.view_change(1, 1))) == []
    changes = tuple(cluster.view_change(signer, 1).change for signer in (1, 2, 3))
    assert view_timers(cluster.receive(0, 1, cluster.proposal(1, "x", NewView(changes, None)))) == []


def test_a_new_view_from_far_ahead_sets_the_timer(cluster: Cluster) -> None:
    changes = tuple(cluster.view_change(signer, 2).change for signer in (1, 2, 3))
    effects = cluster.receive(0, 2, cluster.proposal(2, "x", NewView(changes, None)))
    assert view_timers(effects) == [(2, 16.0)]


def test_one_more_view_change_does_not_start_a_view_again(cluster: Cluster) -> None:
    cluster.drop()
    cluster.fire(1)
    for sender in (2, 3):
        cluster.receive(1, sender, cluster.view_change(sender, 1))
    assert cluster.receive(1, 0, cluster.view_change(0, 1)) == []
    for sender in (2, 3):
        digest = keccak(payload_of("of 1 in view 1"))
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 1, digest)))
    assert cluster.replicas[1].prepared is not None


def test_who_prepared_nothing_is_free_to_vote_for_another_digest_in_the_next_view(cluster: Cluster) -> None:
    cluster.receive(3, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.fire(3)
    changes = tuple(cluster.view_change(signer, 1).change for signer in (0, 1, 2))
    effects = cluster.receive(3, 1, cluster.proposal(1, "another", NewView(changes, None)))
    assert reasons(effects) == []
    votes = [effect.statement for effect in effects if isinstance(effect, Sign)]
    assert votes == [Vote(Phase.PREPARE, SLOT, 1, keccak(payload_of("another")))]


def test_time_outs_double_up_to_a_cap() -> None:
    timeouts = Timeouts(initial=4.0, maximum=60.0)
    assert [timeouts.of_view(view) for view in (0, 1, 2, 3, 4, 5, 1 << 40)] == [4, 8, 16, 32, 60, 60, 60]


def test_the_view_timer_waits_for_the_start(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    effects = cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    assert view_timers(effects) == []
    assert view_timers(cluster.step(1, Start())) == [(0, 4.0)]
    assert cluster.step(1, Start()) == []


def test_commits_of_an_older_view_still_decide(cluster: Cluster) -> None:
    prepare_at(cluster, 1)
    cluster.fire(1)
    assert cluster.replicas[1].view == 1
    for sender in (0, 2):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    assert cluster.replicas[1].decided is not None
    assert cluster.replicas[1].decided.certificate.vote.view == 0


def test_prepares_of_an_older_view_do_not(cluster: Cluster) -> None:
    cluster.fire(1)
    effects = cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.PREPARE, 0, cluster.digest)))
    assert reasons(effects) == ["prepare of an older view"]
    assert reasons(cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))) == ["proposal of an older view"]


def test_in_a_view_change_nothing_is_prepared(cluster: Cluster) -> None:
    """4.4: a replica in a view change accepts nothing but view changes, new-views and what is decided."""
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.fire(1)
    for sender in (0, 2, 3):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest)))
    assert cluster.replicas[1].prepared is None


def test_the_repetition_holds_all_that_is_current(cluster: Cluster) -> None:
    prepare_at(cluster, 1)
    sent = [effect.message for effect in cluster.fire(1, Timer.RESEND) if isinstance(effect, Broadcast)]
    assert [type(message).__name__ for message in sent] == ["Ballot", "Ballot", "Status"]
    cluster.fire(1)
    sent = [effect.message for effect in cluster.fire(1, Timer.RESEND) if isinstance(effect, Broadcast)]
    kinds = [type(message).__name__ for message in sent]
    assert kinds == ["ViewChangeRequest", "Ballot", "Ballot", "Status"]


def test_each_statement_is_asked_for_once(cluster: Cluster) -> None:
    prepare_at(cluster, 1)
    for _ in range(3):
        cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    requests = [effect for effect in cluster.effects[1] if isinstance(effect, Sign)]
    assert len(requests) == len({request.statement for request in requests}) == 2
