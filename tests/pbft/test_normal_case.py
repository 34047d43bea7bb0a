"""OSDI'99 4.2: three phases, one decision, and what a replica does not accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_utils import keccak

from pot_chain.pbft import (
    MAX_PAYLOAD_BYTES,
    Ballot,
    Broadcast,
    CancelTimer,
    Certificate,
    Config,
    Decide,
    Decided,
    NewView,
    ProposalReady,
    Received,
    Replica,
    Send,
    SetTimer,
    Sign,
    SignatureReady,
    SignatureRefused,
    Start,
    Status,
    Timer,
    Validate,
    Validated,
    certificate_fault,
    ecdsa_verifier,
    step,
)
from pot_chain.pbft.replica import REMEMBERED_PAYLOADS
from pot_chain.pbft.tally import VIEWS_PER_SENDER
from pot_chain.protocol.quorum import max_faulty, quorum
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

from .cluster import DOMAIN, SLOT, Cluster, digest_of, payload_of, reasons

MakeCluster = Callable[..., Cluster]


def signed_phases(effects: list[object]) -> list[str]:
    """Kinds of statements that a step asked to have signed."""
    statements = [effect.statement for effect in effects if isinstance(effect, Sign)]
    return [s.phase.value if isinstance(s, Vote) else "ViewChange" for s in statements]


@pytest.mark.parametrize("size", [4, 5, 6, 7, 10, 13])
def test_all_decide_the_primarys_proposal_in_view_0(make_cluster: MakeCluster, size: int) -> None:
    cluster = make_cluster(size)
    cluster.start()
    cluster.deliver()
    decisions = cluster.decisions()
    assert len(decisions) == size
    assert {decision.digest for decision in decisions} == {keccak(payload_of("of 0 in view 0"))}
    for decision in decisions:
        assert decision.certificate.vote == Vote(Phase.COMMIT, SLOT, 0, decision.digest)
        verify = ecdsa_verifier(DOMAIN, cluster.addresses)
        assert certificate_fault(decision.certificate, Phase.COMMIT, size, verify) is None
        assert len(decision.certificate.signatures) == quorum(size)


@pytest.mark.parametrize("size", [4, 7, 10])
def test_f_silent_backups_change_nothing(make_cluster: MakeCluster, size: int) -> None:
    cluster = make_cluster(size)
    cluster.start()
    cluster.deliver(among=set(range(size - max_faulty(size))))
    assert len(cluster.decisions()) == size - max_faulty(size)


def test_f_plus_1_silent_backups_stop_it(cluster: Cluster) -> None:
    cluster.deliver(among={0, 1})
    assert cluster.decisions() == []


def test_the_primary_rotates_with_the_round(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(slot=Slot(7, 6, 1))
    assert [cluster.replicas[0].primary(view) for view in range(4)] == [2, 3, 0, 1]
    cluster.start()
    cluster.deliver()
    assert {decision.digest for decision in cluster.decisions()} == {keccak(payload_of("of 2 in view 0"))}


def test_no_timer_runs_after_the_decision(cluster: Cluster) -> None:
    cluster.deliver()
    for effects in cluster.effects:
        decided = next(place for place, effect in enumerate(effects) if isinstance(effect, Decide))
        assert {effect.timer for effect in effects if isinstance(effect, CancelTimer)} == set(Timer)
        assert not any(isinstance(effect, SetTimer) for effect in effects[decided:])
    assert cluster.fire(1) == []
    assert cluster.fire(1, Timer.RESEND) == []


def test_the_primary_signs_a_prepare_and_its_proposal_counts_for_nothing(cluster: Cluster) -> None:
    """Two PREPAREs besides one's own make Q = 3; the proposal and one PREPARE do not."""
    replica = cluster.replicas[1]
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.PREPARE, 0, cluster.digest)))
    assert replica.prepared is None
    cluster.receive(1, 0, Ballot(cluster.vote(0, Phase.PREPARE, 0, cluster.digest)))
    assert replica.prepared is not None
    assert [signer for signer, _ in replica.prepared.certificate.signatures] == [0, 1, 2]


def test_votes_before_the_proposal_count(cluster: Cluster) -> None:
    for sender in (0, 2, 3):
        for phase in (Phase.COMMIT, Phase.PREPARE):
            cluster.receive(1, sender, Ballot(cluster.vote(sender, phase, 0, cluster.digest)))
    assert cluster.replicas[1].decided is None
    effects = cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    assert any(isinstance(effect, Decide) for effect in effects)
    assert not any(isinstance(effect, Validate | Sign) for effect in effects)


def test_a_quorum_of_commits_decides_without_local_prepares(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    for sender in (0, 2, 3):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    assert cluster.replicas[1].decided is not None


def test_nothing_leaves_before_the_guard_has_signed(cluster: Cluster) -> None:
    """Persist before send: the effect of a proposal is a request to sign, and only its answer a message."""
    replica = cluster.replicas[1]
    effects = replica.step(Received(0, cluster.proposal(0, "of 0 in view 0")))
    assert [type(effect) for effect in effects] == [Validate]
    effects = replica.step(Validated(cluster.digest, ok=True))
    assert [type(effect) for effect in effects] == [Sign]
    request = effects[0]
    assert isinstance(request, Sign)
    effects = replica.step(SignatureReady(request, cluster.guards[1].sign(request)))
    assert [type(effect) for effect in effects] == [Broadcast]


def test_the_commit_brings_the_prepared_certificate_to_the_log(cluster: Cluster) -> None:
    cluster.deliver()
    requests = [effect for effect in cluster.effects[2] if isinstance(effect, Sign)]
    assert [request.prepared is not None for request in requests] == [False, True]
    assert requests[1].prepared == cluster.guards[2].restore(SLOT).prepared


def test_an_invalid_proposal_is_not_prepared_and_ends_the_view(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(valid=lambda index, _: index != 1)
    cluster.start()
    effects = cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    assert signed_phases(effects) == ["ViewChange"]
    assert "proposal is invalid" in reasons(effects)


def test_only_a_confirmation_outlives_its_view(make_cluster: MakeCluster) -> None:
    """What was found valid is not checked again when a later primary proposes it; what was not is."""
    for valid, checks in ((True, 1), (False, 2)):
        cluster = make_cluster(valid=lambda _index, _payload, answer=valid: answer)
        cluster.start()
        cluster.receive(3, 0, cluster.proposal(0, "of 0 in view 0"))
        if valid:
            cluster.fire(3)
        changes = tuple(cluster.view_change(signer, 1).change for signer in (0, 1, 2))
        effects = cluster.receive(3, 1, cluster.proposal(1, "of 0 in view 0", NewView(changes, None)))
        assert sum(isinstance(effect, Validate) for effect in cluster.effects[3]) == checks
        assert signed_phases(effects) == (["Prepare"] if valid else ["ViewChange"])


def test_a_late_verdict_on_an_abandoned_proposal_is_harmless(cluster: Cluster) -> None:
    replica = cluster.replicas[1]
    replica.step(Received(0, cluster.proposal(0, "of 0 in view 0")))
    cluster.fire(1)
    assert replica.step(Validated(cluster.digest, ok=False, reason="too late")) == []
    assert (replica.view, replica.active) == (1, False)


def test_two_proposals_of_one_view_are_evidence_and_end_the_view(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "one"))
    effects = cluster.receive(1, 0, cluster.proposal(0, "another"))
    (evidence,) = cluster.evidence()
    assert evidence.first.signer == evidence.second.signer == 0
    assert evidence.first.statement != evidence.second.statement
    assert signed_phases(effects) == ["ViewChange"]


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.COMMIT])
def test_two_votes_of_one_phase_and_view_are_evidence_once(cluster: Cluster, phase: Phase) -> None:
    for digest in (b"\1" * 32, b"\2" * 32, b"\3" * 32):
        cluster.receive(1, 2, Ballot(cluster.vote(2, phase, 0, digest)))
    (evidence,) = cluster.evidence()
    assert {evidence.first.statement, evidence.second.statement} == {
        Vote(phase, SLOT, 0, b"\1" * 32),
        Vote(phase, SLOT, 0, b"\2" * 32),
    }


def test_a_forged_second_vote_is_no_evidence_and_displaces_nothing(cluster: Cluster) -> None:
    cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.PREPARE, 0, cluster.digest)))
    forged = replace(cluster.vote(2, Phase.PREPARE, 0, b"\1" * 32), signature=b"\1" * 65)
    assert reasons(cluster.receive(1, 2, Ballot(forged))) == ["vote with a wrong signature"]
    assert cluster.evidence() == []


def test_a_forged_vote_is_displaced_by_the_genuine_one(cluster: Cluster) -> None:
    genuine = cluster.vote(2, Phase.PREPARE, 0, cluster.digest)
    cluster.receive(1, 2, Ballot(replace(genuine, signature=b"\1" * 65)))
    cluster.receive(1, 2, Ballot(genuine))
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    cluster.receive(1, 0, Ballot(cluster.vote(0, Phase.PREPARE, 0, cluster.digest)))
    assert cluster.replicas[1].prepared is not None


def test_forged_votes_are_dropped_when_the_count_is_full_and_the_count_goes_on(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    forged = replace(cluster.vote(2, Phase.PREPARE, 0, cluster.digest), signature=b"\1" * 65)
    cluster.receive(1, 2, Ballot(forged))
    effects = cluster.receive(1, 3, Ballot(cluster.vote(3, Phase.PREPARE, 0, cluster.digest)))
    assert reasons(effects) == ["vote with a wrong signature"]
    assert cluster.replicas[1].prepared is None
    cluster.receive(1, 0, Ballot(cluster.vote(0, Phase.PREPARE, 0, cluster.digest)))
    prepared = cluster.replicas[1].prepared
    assert prepared is not None
    assert [signer for signer, _ in prepared.certificate.signatures] == [0, 1, 3]


def test_only_as_many_signatures_are_checked_as_a_quorum_needs(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(7)
    checked: list[int] = []
    verify = ecdsa_verifier(DOMAIN, cluster.addresses)

    def counting(statement: Vote | ViewChange, signer: int, signature: bytes) -> bool:
        checked.append(signer)
        return verify(statement, signer, signature)

    replica = Replica(Config(SLOT, 7, 1, counting, digest_of))
    replica.step(Received(0, cluster.proposal(0, "of 0 in view 0")))
    checked.clear()
    for sender in (6, 5, 4, 3):
        replica.step(Received(sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest))))
    assert checked == []
    effects = replica.step(Received(2, Ballot(cluster.vote(2, Phase.COMMIT, 0, cluster.digest))))
    assert sorted(checked) == [2, 3, 4, 5, 6]
    assert any(isinstance(effect, Decide) for effect in effects)
    replica.step(Received(0, Ballot(cluster.vote(0, Phase.COMMIT, 0, cluster.digest))))
    assert len(checked) == 5


def test_a_repeated_vote_costs_no_signature_check(cluster: Cluster) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("a repeated vote was checked")

    replica = Replica(Config(SLOT, 4, 1, never, digest_of))
    vote = Ballot(cluster.vote(2, Phase.PREPARE, 0, cluster.digest))
    replica.step(Received(2, vote))
    assert reasons(replica.step(Received(2, vote))) == ["vote repeated"]


def test_votes_under_another_name_are_not_counted(cluster: Cluster) -> None:
    vote = cluster.vote(2, Phase.PREPARE, 0, cluster.digest)
    for alias in (0, 3, 6, 65535):
        effects = cluster.receive(1, 2, Ballot(replace(vote, signer=alias)))
        assert reasons(effects) == ["vote not signed by its sender"]


def test_a_propose_statement_is_no_vote(cluster: Cluster) -> None:
    ballot = Ballot(cluster.vote(2, Phase.PROPOSE, 0, cluster.digest))
    assert reasons(cluster.receive(1, 2, ballot)) == ["vote not signed by its sender"]


@pytest.mark.parametrize("sender", [-1, 1, 4])
def test_senders_outside_the_epoch_and_oneself_are_not_heard(cluster: Cluster, sender: int) -> None:
    effects = cluster.receive(1, sender, Status(SLOT, 0))
    assert reasons(effects) == ["sender is no other validator of the epoch"]


@pytest.mark.parametrize("slot", [Slot(8, 0, 1), Slot(7, 1, 1), Slot(7, 0, 2)])
def test_messages_of_another_slot_are_not_taken(cluster: Cluster, slot: Slot) -> None:
    effects = cluster.receive(1, 2, Status(slot, 0))
    assert reasons(effects) == ["message of another slot"]


def test_proposals_that_are_not_the_primarys_are_not_taken(cluster: Cluster) -> None:
    own = cluster.proposal(0, "mine", by=2)
    genuine = cluster.proposal(0, "of 0 in view 0")
    borrowed = replace(genuine, vote=replace(genuine.vote, signer=2))
    for sender, proposal in ((2, own), (2, genuine), (0, own), (0, borrowed)):
        effects = cluster.receive(1, sender, proposal)
        assert reasons(effects) == ["proposal not from the primary of its view"]
    unsigned = replace(genuine, vote=replace(genuine.vote, signature=b"\1" * 65))
    assert reasons(cluster.receive(1, 0, unsigned)) == ["proposal with a wrong signature"]
    assert cluster.replicas[1].view == 0


def test_a_vote_of_another_phase_is_no_proposal(cluster: Cluster) -> None:
    genuine = cluster.proposal(0, "of 0 in view 0")
    for phase in (Phase.PREPARE, Phase.COMMIT):
        disguised = replace(genuine, vote=cluster.vote(0, phase, 0, cluster.digest))
        assert reasons(cluster.receive(1, 0, disguised)) == ["proposal not from the primary of its view"]


def test_a_payload_above_the_limit_is_refused_however_it_came(cluster: Cluster) -> None:
    effects = cluster.receive(1, 0, cluster.proposal(0, "x" * MAX_PAYLOAD_BYTES))
    assert reasons(effects) == ["proposal whose payload does not match its digest"]


@pytest.mark.parametrize("payload", [b"outcome of somebody else", b"malformed", b""])
def test_a_payload_that_is_not_its_digest_ends_the_view(cluster: Cluster, payload: bytes) -> None:
    effects = cluster.receive(1, 0, replace(cluster.proposal(0, "of 0 in view 0"), payload=payload))
    assert reasons(effects) == ["proposal whose payload does not match its digest"]
    assert signed_phases(effects) == ["ViewChange"]


def test_a_valid_decision_from_anybody_decides(cluster: Cluster) -> None:
    certificate = cluster.certificate(Phase.COMMIT, 3, cluster.digest, (0, 2, 3))
    effects = cluster.receive(1, 3, Decided(certificate, payload_of("of 0 in view 0")))
    (decision,) = [effect for effect in effects if isinstance(effect, Decide)]
    assert decision.certificate == certificate


def test_decisions_that_nobody_took_are_not_taken(cluster: Cluster) -> None:
    payload = payload_of("of 0 in view 0")
    genuine = cluster.certificate(Phase.COMMIT, 0, cluster.digest, (0, 2, 3))
    junk = (*genuine.signatures[:2], (3, b"\1" * 65))
    wrong = {
        "decision whose payload does not match its digest": (genuine, payload_of("another")),
        "certificate of the wrong phase": (cluster.certificate(Phase.PREPARE, 0, cluster.digest, (0, 2, 3)), payload),
        "certificate without exactly a quorum of signatures": (
            cluster.certificate(Phase.COMMIT, 0, cluster.digest, (0, 2)),
            payload,
        ),
        "certificate whose signers are not strictly increasing": (
            cluster.certificate(Phase.COMMIT, 0, cluster.digest, (0, 2, 2)),
            payload,
        ),
        "certificate with a signer outside the epoch": (
            Certificate(genuine.vote, (*genuine.signatures[:2], (4, genuine.signatures[2][1]))),
            payload,
        ),
        "certificate with a wrong signature": (Certificate(genuine.vote, junk), payload),
    }
    for reason, (certificate, text) in wrong.items():
        assert reasons(cluster.receive(1, 3, Decided(certificate, text))) == [reason]
    assert cluster.replicas[1].decided is None


def test_who_lags_is_helped_by_who_has_decided(cluster: Cluster) -> None:
    cluster.deliver(among={0, 1, 2})
    lagging = cluster.fire(3, Timer.RESEND)
    assert any(isinstance(effect, Broadcast) and isinstance(effect.message, Status) for effect in lagging)
    cluster.deliver()
    assert cluster.replicas[3].decided is not None


def test_a_decided_replica_answers_questions_and_view_changes_only(cluster: Cluster) -> None:
    cluster.receive(1, 3, cluster.view_change(3, 1))
    cluster.deliver()
    decided = cluster.replicas[1].decided
    assert cluster.receive(1, 2, Status(SLOT, 0)) == [Send(2, decided)]
    assert cluster.receive(1, 2, cluster.view_change(2, 1)) == [Send(2, decided)]
    assert cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.COMMIT, 0, cluster.digest))) == []
    assert cluster.replicas[1].buffered() == 1


def test_a_late_own_signature_still_leaves_after_the_decision(cluster: Cluster) -> None:
    """Others may need that COMMIT to decide."""
    replica = cluster.replicas[1]
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    requests: list[Sign] = []
    for sender in (0, 2):
        effects = replica.step(Received(sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest))))
        requests += [effect for effect in effects if isinstance(effect, Sign)]
    for sender in (0, 2, 3):
        replica.step(Received(sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest))))
    assert replica.decided is not None
    (request,) = requests
    held = replica.buffered()
    effects = replica.step(SignatureReady(request, cluster.guards[1].sign(request)))
    assert [type(effect) for effect in effects] == [Broadcast]
    assert replica.buffered() == held == 1  # the payload; votes are not needed any more


def test_a_refused_signature_makes_an_observer_that_still_decides(cluster: Cluster) -> None:
    replica = cluster.replicas[1]
    replica.step(Received(0, cluster.proposal(0, "of 0 in view 0")))
    (request,) = replica.step(Validated(cluster.digest, ok=True))
    assert isinstance(request, Sign)
    replica.step(SignatureRefused(request, "the log was lost"))
    assert replica.muted == "the log was lost"
    assert signed_phases(cluster.fire(1)) == []
    for sender in (0, 2, 3):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    assert replica.decided is not None


def test_an_observer_has_no_index_and_signs_nothing(cluster: Cluster) -> None:
    observer = Replica(Config(SLOT, 4, None, ecdsa_verifier(DOMAIN, cluster.addresses), digest_of))
    observer.step(Start())
    effects = observer.step(Received(0, cluster.proposal(0, "of 0 in view 0")))
    effects += observer.step(Validated(cluster.digest, ok=True))
    for sender in range(3):
        effects += observer.step(Received(sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest))))
    assert signed_phases(effects) == []
    assert observer.decided is not None


def test_a_flood_of_views_costs_the_flooder_its_own_votes_only(cluster: Cluster) -> None:
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    for sender in (0, 3):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    for view in range(1, 200):
        cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.COMMIT, view, b"\1" * 32)))
    # others: one PREPARE and two COMMITs; the flooder: its share; and the payload of the proposal
    assert cluster.replicas[1].buffered() == 3 + VIEWS_PER_SENDER + 1
    late = cluster.receive(1, 2, Ballot(cluster.vote(2, Phase.COMMIT, 0, cluster.digest)))
    assert reasons(late) == ["votes for too many views"]


def test_only_the_last_payloads_are_kept_and_never_the_prepared_one_dropped(cluster: Cluster) -> None:
    """Payloads of abandoned proposals make room; the one behind the prepared certificate stays."""
    replica = cluster.replicas[1]
    cluster.receive(1, 0, cluster.proposal(0, "of 0 in view 0"))
    for sender in (0, 2):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.PREPARE, 0, cluster.digest)))
    assert replica.prepared is not None
    for view in range(2, 12):
        leader = view % 4
        if leader == 1:
            continue
        changes = tuple(cluster.view_change(signer, view).change for signer in (0, 2, 3))
        cluster.receive(1, leader, cluster.proposal(view, f"of view {view}", NewView(changes, None)))
        assert replica.view == view
    assert set(replica._payloads) == {cluster.digest, *(keccak(payload_of(f"of view {v}")) for v in (8, 10, 11))}
    assert replica.buffered() <= 2 + REMEMBERED_PAYLOADS + 2 * VIEWS_PER_SENDER
    for sender in (0, 2):
        cluster.receive(1, sender, Ballot(cluster.vote(sender, Phase.COMMIT, 0, cluster.digest)))
    assert replica.decided is not None


def test_a_proposal_for_an_abandoned_view_comes_too_late(cluster: Cluster) -> None:
    cluster.drop()
    cluster.fire(0)
    replica = cluster.replicas[0]
    assert replica.step(ProposalReady(0, payload_of("late"))) == []


def test_a_second_proposal_of_ones_own_shell_is_not_signed(make_cluster: MakeCluster) -> None:
    """Also while the guard is still busy with the first."""
    replica = make_cluster().replicas[0]
    assert [type(effect) for effect in replica.step(ProposalReady(0, payload_of("one")))] == [Sign]
    assert replica.step(ProposalReady(0, payload_of("two"))) == []


def test_a_malformed_proposal_of_ones_own_shell_is_a_bug_and_says_so(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    with pytest.raises(ValueError, match="malformed payload"):
        cluster.replicas[0].step(ProposalReady(0, b"nonsense"))


def test_step_is_pure(cluster: Cluster) -> None:
    replica = cluster.replicas[1]
    before = replica.snapshot()
    event = Received(0, cluster.proposal(0, "of 0 in view 0"))
    successor, effects = step(replica, event)
    assert replica.snapshot() == before
    assert successor.snapshot() != before
    again, same_effects = step(replica, event)
    assert (again.snapshot(), same_effects) == (successor.snapshot(), effects)
    assert hash(again.snapshot()) == hash(successor.snapshot())


def test_an_epoch_needs_four_validators_and_an_index_inside_it() -> None:
    def never(*_: object) -> bool:
        return False

    for size, index in ((3, 0), (257, 0), (4, 4), (4, -1)):
        with pytest.raises(ValueError, match="validator"):
            Config(SLOT, size, index, never, digest_of)
