"""A round between four validators in one event loop: what must not stop it, and what must not get through."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipfs.embedded import EmbeddedStore
from ipfs.errors import BlockMissing, DaemonDown
from pot_chain.pbft.errors import LogWriteFailed
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.quorum import max_faulty
from pot_chain.protocol.record import SignedReport
from pot_chain.protocol.round import Proposal, check_proposal, make_proposal, report_statement
from pot_chain.validator import actor as actor_module
from pot_chain.validator import consensus, frames
from pot_chain.validator.judge import Judge
from tests.validator.cluster import MINERS, PATIENT, VOTERS, Node, World, until
from worker.tensors import Tensors


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def submit_all(world: World) -> None:
    for miner in world.members:
        world.submit(miner)


def flipped(tensors: Tensors) -> Tensors:
    return {name: np.float32(-4) * value for name, value in tensors.items()}


def all_decided(*nodes: Node) -> Callable[[], bool]:
    return lambda: all(node.actor.decided is not None for node in nodes)


async def agreed(world: World, *nodes: Node) -> Proposal:
    """What all ``nodes`` have decided, after they have."""
    await until(all_decided(*nodes))
    assert len({world.decided(node).digest for node in nodes}) == 1
    assert not any(node.counted("evidence") + node.counted("bug") for node in nodes)
    return world.decided(nodes[0])


async def test_honest_round_is_decided_kept_and_finalized_by_its_primary(world: World) -> None:
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        proposal = await agreed(world, *nodes)
        assert proposal.record.accepted == MINERS
        assert not proposal.record.rejected
        assert proposal.outcome.chain_reveals == 0
        await until(lambda: bool(nodes[0].finalized))  # the primary of view 0
        await until(lambda: all(node.kept == [proposal] for node in nodes))
        assert [len(node.finalized) for node in nodes[1:]] == [0, 0, 0]


async def test_reveals_that_get_lost_between_validators_are_asked_for(world: World) -> None:
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS]
    lost: set[bytes] = set()

    def first_time(sender: str, receiver: str, frame: bytes) -> bool:
        known = (sender + receiver).encode() + frame in lost
        lost.add((sender + receiver).encode() + frame)
        return frame[0] == frames.REVEAL and not known

    world.hub.loses = first_time
    world.tell()
    for i, miner in enumerate(MINERS):
        world.reveal(miner, to=[nodes[i % 4]])
    async with world.ticking():
        proposal = await agreed(world, *nodes)
        assert set(proposal.record.reveals) == set(MINERS)


async def test_restarted_validator_gets_back_what_it_forgot_and_contradicts_nothing(world: World) -> None:
    """Two of four are up and know everything; one of them restarts, one more comes: these three must decide."""
    submit_all(world)
    first, second = Node(world, VOTERS[1]), Node(world, VOTERS[2])
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: len(second.actor.reports.about(world.reveals)) == 2)
        await first.stop()
        first = Node(world, VOTERS[1])
        third = Node(world, VOTERS[3])
        proposal = await agreed(world, first, second, third)
        assert proposal.record.accepted == MINERS
        assert {report.validator for report in proposal.record.reports} == set(VOTERS[1:])


async def test_crash_between_commit_and_decision_loses_nothing(world: World) -> None:
    """Everybody is killed after signing a COMMIT that nobody received: the logs alone lead to the decision."""
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS]
    commits: set[str] = set()

    def commit(sender: str, receiver: str, frame: bytes) -> bool:
        if frame[:3] == bytes([frames.PBFT, 1, 3]):
            commits.add(sender)
            return True
        return frame[:3] == bytes([frames.PBFT, 1, 5])

    world.hub.loses = commit
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: commits == set(VOTERS))
        logged = [node.guard.restore(world.context.slot).prepared for node in nodes]
        digests = {prepared.digest for prepared in logged if prepared is not None}
        assert len(digests) == 1
        for node in nodes:
            await node.stop()
        world.hub.loses = lambda *_: False
        nodes = [Node(world, voter) for voter in VOTERS]
        world.tell()
        world.reveal()
        proposal = await agreed(world, *nodes)
        assert {proposal.digest} == digests


async def test_a_reveal_that_comes_while_the_primary_aggregates_does_not_break_its_proposal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by review: the proposal mixed the old checkpoint with the new reveal, and failed on its missing loss."""
    late = MINERS[4]
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS]
    started, go_on = threading.Event(), threading.Event()
    aggregate = Judge.next_checkpoint

    def slowly(judge: Judge, accepted: tuple[str, ...]) -> bytes:
        started.set()
        assert go_on.wait(20)
        return aggregate(judge, accepted)

    monkeypatch.setattr(Judge, "next_checkpoint", slowly)
    world.now = 121  # the reveal deadline has passed, one is missing
    async with world.ticking():
        world.tell()
        world.reveal(*MINERS[:4])
        await until(started.is_set)
        nodes[0].actor.on_content(VOTERS[1], world.reveals[late])
        await until(lambda: late in nodes[0].actor.collection.reveals)
        go_on.set()
        await agreed(world, *nodes)


async def test_a_late_reveal_neither_spoils_nor_skips_checks(world: World) -> None:
    """One Byzantine validator passes a reveal on after the others have judged: it may be counted, but not unchecked."""
    late = MINERS[4]
    for miner in MINERS[:4]:
        world.submit(miner)
    world.submit(late, flipped(world.honest(late)[0]))
    nodes = [Node(world, voter) for voter in VOTERS]
    world.now = 121
    world.hub.loses = lambda sender, receiver, frame: frame[0] == frames.PBFT
    async with world.ticking():
        world.tell()
        world.reveal(*MINERS[:4])
        await until(lambda: all(node.actor.collection.settled for node in nodes))
        for node in nodes:
            with pytest.raises(ProtocolError, match="closed"):
                node.actor.on_reveal(world.reveals[late])
        nodes[2].actor.on_content(VOTERS[3], world.reveals[late])
        world.hub.loses = lambda *_: False
        proposal = await agreed(world, *nodes)
        assert late not in proposal.record.accepted
        assert proposal.record.accepted == MINERS[:4]


# -- a primary that lies


Forge = Callable[[World, dict[str, Any], Callable[..., Proposal]], Proposal]


def _another_checkpoint(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    return make(**parts | {"checkpoint": b"\xbb" * 32})


def _another_loss(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    return make(**parts | {"losses": {miner: loss + 1 for miner, loss in parts["losses"].items()}})


def _another_audit_seed(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    return make(**parts | {"audit_seed": bytes(32)})


def _too_few_reports(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    return make(**parts | {"reports": parts["reports"][:2]})


def _own_pockets(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    rule = dataclasses.replace(world.context.rule, validator_share_bps=10_000)
    return make(**parts | {"context": dataclasses.replace(world.context, rule=rule)})


def _slander(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    """Rejects honest work; everything else follows from that."""
    accepted = [miner for miner in parts["losses"] if miner != MINERS[1]]
    return make(
        **parts
        | {
            "rejected": parts["rejected"] | {MINERS[1]: "gradient_mismatch"},
            "checkpoint": world.next_checkpoint(accepted),
        }
    )


def _complicity(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    """Accepts poisoned work; everything else follows from that."""
    submissions = parts["losses"] | {MINERS[0]: world.honest(MINERS[0])[1]}
    losses = {miner: submissions[miner] for miner in MINERS}
    return make(**parts | {"rejected": {}, "losses": losses, "checkpoint": world.next_checkpoint(MINERS)})


def _another_reason(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    return make(**parts | {"rejected": {MINERS[0]: "not_finite"}})


def _censorship(world: World, parts: dict[str, Any], make: Callable[..., Proposal]) -> Proposal:
    """Leaves a revealed miner out, as if it had never revealed."""
    collection = parts["collection"].only([miner for miner in MINERS if miner != MINERS[1]])
    losses = {miner: loss for miner, loss in parts["losses"].items() if miner != MINERS[1]}
    return make(**parts | {"collection": collection, "losses": losses, "checkpoint": world.next_checkpoint(losses)})


@pytest.mark.parametrize(
    ("forge", "refusal"),
    [
        (_another_checkpoint, "another aggregate"),
        (_another_loss, "another mean"),
        (_another_audit_seed, "another audit seed"),
        (_too_few_reports, "fewer verdict reports"),
        (_own_pockets, "other rewards"),
        (_slander, "its work is sound"),
        (_complicity, "its gradient is gradient_mismatch"),
        (_another_reason, "rejected as not_finite, its gradient is gradient_mismatch"),
        (_censorship, "left out"),
    ],
)
async def test_a_lying_primary_is_refused_and_replaced(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    forge: Forge,
    refusal: str,
) -> None:
    for miner in MINERS:
        world.submit(miner, flipped(world.honest(miner)[0]) if miner == MINERS[0] else None)
    forged: list[Proposal] = []

    def make(context: Any, collection: Any, **parts: Any) -> Proposal:
        parts |= {"context": context, "collection": collection}
        if not forged:
            forged.append(forge(world, parts, make_proposal))
            return forged[0]
        return make_proposal(**parts)

    monkeypatch.setattr(actor_module, "make_proposal", make)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        proposal = await agreed(world, *nodes)
        assert proposal.digest != forged[0].digest
        assert proposal.record.rejected == {MINERS[0]: "gradient_mismatch"}
        assert proposal.outcome.checkpoint == world.next_checkpoint(MINERS[1:])
        # f + 1 view changes take the others along (PBFT, 4.5.2), so the last backup need not have looked itself
        assert sum(refusal in record.getMessage() for record in caplog.records) >= max_faulty(len(VOTERS)) + 1


async def test_a_liar_that_slanders_everybody_only_makes_the_others_look(world: World) -> None:
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS[:3]]
    liar = Node(world, VOTERS[3])
    await liar.stop()
    rejected = dict.fromkeys(MINERS, "gradient_mismatch")
    report = SignedReport(
        VOTERS[3], rejected, liar.guard.sign_report(report_statement(world.context, world.reveals, rejected))
    )
    async with world.ticking():
        world.tell()
        world.reveal()
        for node in nodes:
            node.actor.on_content(VOTERS[3], report)
            with pytest.raises(ProtocolError):
                node.actor.on_content(VOTERS[2], report)
        proposal = await agreed(world, *nodes)
        assert proposal.record.accepted == MINERS


# -- trouble


class ShakyStore(EmbeddedStore):
    """A store whose daemon may be down, or which may lack a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.down = False
        self.lacks: set[str] = set()

    def get(self, cid: str, *, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.down:
            raise DaemonDown("nothing answers")
        if cid in self.lacks:
            raise BlockMissing(f"no block {cid}")
        return super().get(cid, max_bytes=max_bytes, timeout=timeout)


async def test_storage_that_is_down_says_nothing_against_the_gradients(world: World) -> None:
    """Found by review: with the daemon down for a while, every gradient was rejected as unavailable."""
    submit_all(world)
    stores = [ShakyStore(world.folder / "store") for _ in VOTERS]
    nodes = [Node(world, voter, store) for voter, store in zip(VOTERS, stores, strict=True)]
    async with world.ticking():
        world.tell()
        await until(lambda: all(node.actor._judge is not None for node in nodes))
        for store in stores:
            store.down = True
        world.reveal()
        world.now = 130
        await asyncio.sleep(0.5)
        assert not any(node.actor.collection.settled for node in nodes)
        for store in stores:
            store.down = False
        proposal = await agreed(world, *nodes)
        assert proposal.record.accepted == MINERS


async def test_a_gradient_that_others_have_is_looked_for_again(world: World) -> None:
    submit_all(world)
    lacking = [ShakyStore(world.folder / "store") for _ in range(2)]
    nodes = [Node(world, voter, store) for voter, store in zip(VOTERS, [*lacking, None, None], strict=True)]
    for store in lacking:
        store.lacks = {world.gradient_cid(MINERS[2])}
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: all(node.actor.reports.own is not None for node in nodes))
        own = [node.actor.reports.own for node in nodes]
        assert [report.rejected for report in own if report] == [{MINERS[2]: "unavailable"}] * 2 + [{}] * 2
        for store in lacking:
            store.lacks = set()
        proposal = await agreed(world, *nodes)
        assert proposal.record.accepted == MINERS


async def test_an_unavailable_gradient_is_rejected_as_such(world: World) -> None:
    submit_all(world)
    world.seal(MINERS[3], b"\x77" * 32)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        proposal = await agreed(world, *nodes)
        assert proposal.record.rejected == {MINERS[3]: "unavailable"}


@pytest.mark.parametrize("reveals", [0, 5])
async def test_a_round_without_an_acceptable_gradient_is_left_to_be_skipped(
    world: World, reveals: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by review: the look at no gradients at all raised, which ended the actor; and the warning was endless."""
    for miner in MINERS:
        world.submit(miner, {name: value * np.nan for name, value in world.honest(miner)[0].items()})
    nodes = [Node(world, voter) for voter in VOTERS]
    world.now = 121
    async with world.ticking():
        world.tell()
        world.reveal(*MINERS[:reveals], to=nodes if reveals else [])
        await until(lambda: all(node.actor.consensus.view >= 1 for node in nodes))
        assert not any(node.actor.decided or node.counted("bug") + node.counted("trouble") for node in nodes)
        own = [node.actor.reports.own for node in nodes]
        assert [len(report.rejected) for report in own if report] == [reveals] * 4
    hopeless = [record for record in caplog.records if "nothing to propose" in record.getMessage()]
    assert 1 <= len(hopeless) <= 4  # once a view


async def test_training_that_diverges_ends_in_a_skip(world: World) -> None:
    huge = {name: np.full_like(value, 3e38) for name, value in world.parameters.items()}
    world.replace_parameters(huge)
    for miner in MINERS:
        gradient = {name: np.full_like(value, -3e38) for name, value in huge.items()}
        world.submit(miner, gradient, loss=1.0)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: all(node.actor.consensus.view >= 1 for node in nodes))
        own = [node.actor.reports.own for node in nodes]
        assert {reason for report in own if report for reason in report.rejected.values()} == {"diverged"}
        assert not any(node.actor.decided or node.counted("bug") for node in nodes)


async def test_a_proposal_too_large_for_the_wire_is_not_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by review: the replica raised on it, which ended the actor."""
    submit_all(world)
    monkeypatch.setattr(consensus, "MAX_PAYLOAD_BYTES", 100)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: all(node.actor.consensus.view >= 1 for node in nodes))
        assert not any(node.actor.decided or node.counted("bug") for node in nodes)


async def test_a_failure_of_our_own_check_is_a_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_all(world)
    broken: list[int] = []

    def breaks_once_each(context: Any, collection: Any, proposal: Any, seed: Any) -> None:
        if len(broken) < 3:
            broken.append(1)
            raise KeyError("a bug")
        check_proposal(context, collection, proposal, seed)

    monkeypatch.setattr(actor_module, "check_proposal", breaks_once_each)
    nodes = [Node(world, voter) for voter in VOTERS]
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(all_decided(*nodes))
        assert len({world.decided(node).digest for node in nodes}) == 1
        assert sum(node.counted("bug") for node in nodes) == 3
        assert world.decided(nodes[0]).record.epoch == 1


async def test_nothing_is_sent_once_the_round_is_closed(world: World) -> None:
    """Found by review: a validator that was still judging when the round closed went on for ever, timers and all."""
    submit_all(world)
    nodes = [Node(world, voter) for voter in VOTERS]
    world.tell()
    world.reveal()
    await until(lambda: all(node.actor.phase != "collecting" for node in nodes))
    hub = world.hub
    for node in nodes:
        node.actor.close()
    await asyncio.sleep(0)
    sent = len(hub.carried)
    await asyncio.sleep(0.5)
    assert len(hub.carried) == sent
    for node in nodes:
        await node.stop()


async def test_a_signing_log_that_cannot_be_written_ends_the_validator(world: World) -> None:
    submit_all(world)
    node = Node(world, VOTERS[0])

    def full(request: object) -> bytes:
        raise LogWriteFailed("no space left on device", "free space, then restart the validator")

    node.guard.sign = full  # type: ignore[method-assign]
    others = [Node(world, voter) for voter in VOTERS[1:]]
    async with world.ticking():
        world.tell()
        world.reveal()
        await until(lambda: bool(node.failures))
        await agreed(world, *others)
        assert not [
            frame
            for sender, _, frame in world.hub.carried
            if sender == VOTERS[0] and frame[:1] == b"\x01" and frame[2] in (1, 2, 3, 4)
        ]


async def test_an_on_chain_reveal_that_we_have_not_seen_yet_delays_the_vote_only(world: World) -> None:
    """Found by review: a validator one block behind refused the proposal, and the view with it."""
    submit_all(world)
    nodes = [Node(world, voter, timeouts=PATIENT) for voter in VOTERS]
    world.tell()
    world.reveal()
    behind = dataclasses.replace(world.history, reveals={})
    ahead = dataclasses.replace(world.history, reveals={MINERS[0]: world.reveals[MINERS[0]]})
    informed = [nodes[0]]

    async def tick() -> None:
        while True:
            for node in nodes:
                node.actor.on_chain(ahead if node in informed else behind, world.now, world.audit_seed)
            await asyncio.sleep(0.05)

    ticker = asyncio.create_task(tick())
    await until(lambda: any(frame[:3] == b"\x01\x01\x01" for _, _, frame in world.hub.carried))
    await asyncio.sleep(0.1)
    informed = nodes
    proposal = await agreed(world, *nodes)
    assert proposal.outcome.chain_reveals == 1
    assert all(node.finalized[0][1].vote.view == 0 for node in nodes if node.finalized)
    assert all(node.actor.consensus.view == 0 for node in nodes)
    ticker.cancel()
    for node in nodes:
        await node.stop()


async def test_commits_that_a_reorg_replaces_take_their_reveals_with_them(world: World) -> None:
    submit_all(world)
    node = Node(world, VOTERS[0])
    world.tell()
    world.reveal()
    old = world.reveals[MINERS[0]]
    world.history = dataclasses.replace(world.history, commits=dict(world.history.commits), reveals={MINERS[0]: old})
    world.tell()
    assert node.actor.collection.chain_reveals == {MINERS[0]}
    world.submit(MINERS[0], flipped(world.honest(MINERS[0])[0]))
    world.history = dataclasses.replace(world.history, reveals={})
    world.tell()
    assert set(node.actor.collection.reveals) == set(MINERS[1:])
    assert node.actor.collection.chain_reveals == set()
    with pytest.raises(ProtocolError, match="does not open"):
        node.actor.on_reveal(old)
    world.reveal(MINERS[0])
    others = [Node(world, voter) for voter in VOTERS[1:]]
    async with world.ticking():
        world.tell()
        world.reveal()
        proposal = await agreed(world, node, *others)
        assert proposal.record.rejected == {MINERS[0]: "gradient_mismatch"}
