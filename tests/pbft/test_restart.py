"""A replica that restarts goes on from its log: it repeats what it said and contradicts nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pot_chain.pbft import (
    Ballot,
    Broadcast,
    Effect,
    Message,
    Proposal,
    RequestProposal,
    Sign,
    Start,
    Status,
    ViewChangeRequest,
    decode,
)
from pot_chain.protocol.votes import Phase, ViewChange

from .cluster import Cluster, reasons
from .test_view_change import prepare_at, view_timers

MakeCluster = Callable[..., Cluster]


def sent(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Broadcast)]


def test_everybody_may_crash_after_every_delivery(make_cluster: MakeCluster) -> None:
    """All four crash together after each batch of messages; only logs survive, and one outcome is decided."""
    cluster = make_cluster()
    cluster.start()
    for _ in range(10):
        batch = [(link, decode(frame)) for link, queue in sorted(cluster.links.items()) for frame in queue]
        cluster.drop()
        for (sender, to), message in batch:
            cluster.receive(to, sender, message)
        if len(cluster.decisions()) >= 4:
            break
        cluster.drop()
        for index in range(4):
            cluster.restart(index)
        cluster.start()
    assert {decision.digest for decision in cluster.decisions()} == {cluster.digest}
    assert all(replica.decided for replica in cluster.replicas)


def test_a_primary_repeats_the_proposal_it_signed_and_asks_for_no_other(cluster: Cluster) -> None:
    cluster.drop()
    cluster.restart(0)
    effects = cluster.step(0, Start())
    assert not any(isinstance(effect, RequestProposal) for effect in effects)
    assert isinstance(sent(effects)[0], Proposal)
    cluster.deliver()
    assert {decision.digest for decision in cluster.decisions()} == {cluster.digest}


def test_a_primary_that_died_before_its_proposal_makes_one(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.restart(0)
    assert RequestProposal(0) in cluster.step(0, Start())


def test_a_prepared_replica_reports_its_certificate_after_the_restart(cluster: Cluster) -> None:
    prepare_at(cluster, 2)
    cluster.restart(2)
    cluster.step(2, Start())
    cluster.drop()
    effects = cluster.fire(2)
    (request,) = [effect for effect in effects if isinstance(effect, Sign)]
    assert isinstance(request.statement, ViewChange)
    assert (request.statement.prepared_view, request.statement.prepared_digest) == (0, cluster.digest)
    (message,) = sent(effects)
    assert isinstance(message, ViewChangeRequest)
    assert message.prepared == cluster.replicas[2].prepared


def test_a_view_change_is_repeated_with_its_proof(cluster: Cluster) -> None:
    prepare_at(cluster, 2)
    before = [message for message in sent(cluster.fire(2)) if isinstance(message, ViewChangeRequest)]
    cluster.restart(2)
    assert (cluster.replicas[2].view, cluster.replicas[2].active) == (1, False)
    after = [message for message in sent(cluster.step(2, Start())) if isinstance(message, ViewChangeRequest)]
    assert before == after
    assert after[0].prepared is not None


def test_after_a_restart_commits_decide_what_was_prepared_before(cluster: Cluster) -> None:
    prepare_at(cluster, 2)
    cluster.restart(2)
    for sender in (0, 1):
        cluster.receive(2, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    assert cluster.replicas[2].decided is not None


def test_a_first_start_says_nothing_and_a_restart_repeats_and_asks(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    assert sent(cluster.step(2, Start())) == []
    cluster.receive(2, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.restart(2)
    assert [type(message) for message in sent(cluster.step(2, Start()))] == [Ballot, Status]


def test_a_restart_within_a_view_change_waits_for_a_quorum_before_its_timer(cluster: Cluster) -> None:
    cluster.fire(2)
    cluster.restart(2)
    assert view_timers(cluster.step(2, Start())) == []
    cluster.receive(2, 1, cluster.view_change(1, 1))
    assert view_timers(cluster.receive(2, 3, cluster.view_change(3, 1))) == [(1, 8.0)]
    cluster.restart(2)
    for sender in (1, 3):
        assert view_timers(cluster.receive(2, sender, cluster.view_change(sender, 1))) == []
    assert view_timers(cluster.step(2, Start())) == [(1, 8.0)]


def test_the_old_view_is_not_entered_again(cluster: Cluster) -> None:
    cluster.fire(2)
    cluster.restart(2)
    effects = cluster.receive(2, 0, cluster.proposal(0, "of 0 in view 0"))
    assert reasons(effects) == ["proposal of an older view"]


def test_the_same_proposal_is_taken_up_again(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.restart(1)
    cluster.step(1, Start())
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    for sender in (0, 2):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest)))
    assert cluster.replicas[1].prepared is not None
    assert cluster.replicas[1].muted is None


def test_after_a_restart_the_others_prepares_may_come_before_the_proposal(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.restart(1)
    cluster.step(1, Start())
    for sender in (0, 2):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest)))
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    assert cluster.replicas[1].prepared is not None


def test_another_proposal_of_the_same_view_is_not(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.restart(1)
    cluster.step(1, Start())
    effects = cluster.receive(1, 0, cluster.proposal(0, "another"))
    assert reasons(effects) == ["proposal differs from the one prepared before the restart"]
    assert (cluster.replicas[1].view, cluster.replicas[1].muted) == (1, None)


def test_a_new_log_makes_a_silent_observer(make_cluster: MakeCluster) -> None:
    """Amnesia: with its log lost a validator abstains from the rounds that were open, and votes in the next."""
    cluster = make_cluster()
    cluster.start()
    cluster.guards[1].close()
    (cluster.folder / "1.log").unlink()
    cluster.guards[1] = cluster._open(1)
    cluster.replicas[1] = cluster._replica(1)
    assert cluster.guards[1].fresh
    cluster.guards[1].begin({cluster.slot.task_id: cluster.slot.round})
    cluster.step(1, cluster.guards[1].restore(cluster.slot))
    cluster.step(1, Start())
    cluster.deliver()
    assert len(cluster.decisions()) == 4
    assert not any(isinstance(message, Ballot) for message in sent(cluster.effects[1]))
    assert cluster.replicas[1].muted is not None


@pytest.mark.parametrize("view", [1, 5])
def test_a_new_primary_that_restarts_leads_from_its_log(cluster: Cluster, view: int) -> None:
    leader = view % 4
    cluster.drop()
    while cluster.replicas[leader].view < view:
        cluster.fire(leader)
        cluster.replicas[leader]._timer_view = cluster.replicas[leader].view
    others = [index for index in range(4) if index != leader][:2]
    for other in others:
        cluster.receive(leader, other, cluster.view_change(other, view))
    cluster.drop()
    cluster.restart(leader)
    (proposal,) = [m for m in sent(cluster.step(leader, Start())) if isinstance(m, Proposal)]
    assert proposal.vote.statement.view == view
    assert proposal.justification is not None
    assert len(proposal.justification.view_changes) == 3
