"""What a validator finds in gradients, one by one; nothing of it is another node's word."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ipfs import open_store
from ipfs.errors import DaemonDown
from pot_chain.localnet.ports import free_port
from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.record import REASONS, Reveal
from pot_chain.protocol.round import mean_loss
from pot_chain.validator.judge import Flawed, Judge, Sound, same_fault
from tests.validator.cluster import MINERS, SAMPLES, VOTERS, World
from worker import tensorfile
from worker.task import TrainingTask
from worker.tensors import Tensors, encode

A, B, C, *_ = MINERS


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def judge_of(world: World) -> Judge:
    return Judge(world.task, world.context, world.checkpoint, 0)


def examined(world: World, *reveals: Reveal) -> Judge:
    judge = judge_of(world)
    for reveal in reveals:
        judge.note(reveal, judge.examine(reveal))
    return judge


def audited(world: World, *reveals: Reveal) -> tuple[Judge, dict[Address, str]]:
    """All that look sound, re-executed."""
    judge, by_miner = examined(world, *reveals), {reveal.miner: reveal for reveal in reveals}
    for miner in set(by_miner) - set(judge.faults(by_miner)):
        judge.note_check(miner, judge.reexecute(miner))
    return judge, judge.faults(by_miner)


def submission(world: World, data: bytes, **changes: object) -> Reveal:
    """A submission of A with ``data`` as its gradient and ``changes`` to its manifest."""
    made = Submission(1, 0, A, world.checkpoint, world.store.add(data), max(1, len(data)), 1.0, SAMPLES)
    return world.seal(A, world.store.put_manifest(dataclasses.replace(made, **changes).to_bytes()))  # type: ignore[arg-type]


def honest_bytes(world: World) -> bytes:
    return encode(world.honest(A)[0])


def renamed(tensors: Tensors) -> Tensors:
    return {name + "_": value for name, value in tensors.items()}


def with_integers(world: World) -> bytes:
    gradient = world.honest(A)[0]
    return tensorfile.write({name: value.astype(np.int64) for name, value in gradient.items()})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda w: submission(w, honest_bytes(w)), None),
        (lambda w: submission(w, (2).to_bytes(8, "little") + b"no"), "malformed"),
        (lambda w: submission(w, b"no safetensors"), "too_large"),  # by the header's length that it states
        (lambda w: submission(w, b""), "malformed"),
        (lambda w: submission(w, bytes(3 << 20)), "too_large"),  # more than is ever fetched
        (lambda w: submission(w, encode(renamed(w.honest(A)[0]))), "wrong_names"),
        (lambda w: submission(w, with_integers(w)), "wrong_dtype"),
        (lambda w: submission(w, honest_bytes(w), task_id=2), "wrong_round"),
        (lambda w: submission(w, honest_bytes(w), round=1), "wrong_round"),
        (lambda w: submission(w, honest_bytes(w), miner=B), "wrong_round"),
        (lambda w: submission(w, honest_bytes(w), parent=bytes(32)), "wrong_round"),
        (lambda w: submission(w, honest_bytes(w), samples=SAMPLES + 1), "wrong_round"),
        (lambda w: submission(w, honest_bytes(w), loss=1.7e308), "malformed"),  # the sum of two overflows
        (lambda w: submission(w, honest_bytes(w), gradient="zzz"), "malformed"),
        (lambda w: submission(w, honest_bytes(w), gradient="b" + "a" * 58), "malformed"),
        (lambda w: w.seal(A, b"\x77" * 32), "unavailable"),
        (lambda w: w.seal(A, w.store.put_manifest(b"{}")), "malformed"),
        (lambda w: w.seal(A, w.store.put_manifest(b"\xff")), "malformed"),
        (lambda w: w.seal(A, w.store.put_manifest(w.task.spec.to_bytes())), "malformed"),
    ],
)
def test_the_form_of_a_submission(world: World, made: Callable[[World], Reveal], reason: str | None) -> None:
    found = judge_of(world).examine(made(world))
    assert isinstance(found, Sound if reason is None else Flawed)
    assert getattr(found, "reason", None) == reason
    assert reason is None or reason in REASONS


def test_the_largest_losses_that_are_taken_have_a_mean(world: World) -> None:
    reveals = [world.submit(miner, loss=3.4028234663852886e38) for miner in MINERS]
    judge = examined(world, *reveals)
    assert mean_loss(judge.losses(MINERS).values()) == 3.4028234663852886e38


def test_a_daemon_that_is_down_is_our_own_trouble(world: World) -> None:
    store = open_store(f"http://127.0.0.1:{free_port()}")
    reveal = world.submit(A)
    judge = Judge(world.task, world.context, world.checkpoint, 0)
    judge._task = TrainingTask(world.task.spec, world.task.spec_digest, store)
    with pytest.raises(DaemonDown):
        judge.examine(reveal)


def test_the_copier_is_found_whoever_committed_first(world: World) -> None:
    """Found by review: the first to commit passed as the author, so a thief who was quicker had the author rejected."""
    stolen = world.honest(B)[0]
    first, second, third = world.submit(A, stolen), world.submit(B), world.submit(C)
    assert list(world.history.commits) == [A, B, C]
    judge = examined(world, first, second, third)
    by_miner = {reveal.miner: reveal for reveal in (first, second, third)}
    assert {A, B} <= set(judge.to_audit(world.audit_seed, VOTERS[0], by_miner))
    assert audited(world, first, second, third)[1] == {A: "duplicate"}


def test_equal_work_on_equal_samples_is_no_copy(tmp_path: Path) -> None:
    world = World(tmp_path, alike=True)
    reveals = [world.submit(miner) for miner in MINERS]
    assert len({world.gradient_cid(miner) for miner in MINERS}) == 1
    assert audited(world, *reveals)[1] == {}


def test_what_nobody_has_looked_at_is_unavailable(world: World) -> None:
    reveals = {A: world.submit(A), B: world.submit(B)}
    judge = examined(world, reveals[A])
    assert judge.faults(reveals) == {B: "unavailable"}
    assert judge.to_audit(world.audit_seed, VOTERS[0], {B: reveals[B]}) == ()


def test_another_gradient_of_the_same_miner_is_judged_anew(world: World) -> None:
    """A reorg may let a miner commit again."""
    bad = world.submit(A, {name: -value for name, value in world.honest(A)[0].items()})
    judge, faults = audited(world, bad)
    assert faults == {A: "gradient_mismatch"}
    good = world.submit(A)
    assert judge.faults({A: good}) == {A: "unavailable"}
    judge.note(good, judge.examine(good))
    assert judge.faults({A: good}) == {}
    assert not judge.checked(A)


def test_a_claimed_loss_is_checked_too(world: World) -> None:
    assert audited(world, world.submit(A, loss=0.25))[1] == {A: "loss_mismatch"}


def test_next_checkpoint_is_the_rule_and_is_stored(world: World) -> None:
    reveals = [world.submit(miner) for miner in MINERS]
    judge = examined(world, *reveals)
    expected = world.next_checkpoint((A, C))
    assert judge.next_checkpoint((A, C)) == expected
    assert judge.next_checkpoint((A, C)) == expected
    assert world.task.checkpoint(expected).round == 1
    assert judge.next_checkpoint((A, B)) != expected


def test_a_checkpoint_that_diverges_is_computed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.replace_parameters({name: np.full_like(value, 3e38) for name, value in world.parameters.items()})
    reveal = world.submit(A, {name: np.full_like(value, -3e38) for name, value in world.parameters.items()}, loss=1.0)
    judge = examined(world, reveal)
    with pytest.raises(PotError, match="inf"):
        judge.next_checkpoint((A,))
    monkeypatch.setattr("pot_chain.validator.judge.aggregate", None)  # not to be called again
    with pytest.raises(PotError, match="inf"):
        judge.next_checkpoint((A,))


def test_a_data_set_too_small_for_the_members_cannot_be_judged(world: World) -> None:
    crowd = tuple("0x" + f"{i:040x}" for i in range(1, 20))
    context = dataclasses.replace(world.context, members=crowd)
    with pytest.raises(ProtocolError, match="need 152, the dataset has 64"):
        Judge(world.task, context, world.checkpoint, 0)


@pytest.mark.parametrize(
    ("stated", "confirmed", "same"),
    [
        ("wrong_shape", "wrong_shape", True),
        ("unavailable", "wrong_shape", True),
        ("wrong_shape", "unavailable", False),
        ("duplicate", "gradient_mismatch", True),
        ("gradient_mismatch", "duplicate", True),
        ("duplicate", "not_finite", False),
        ("loss_mismatch", "gradient_mismatch", False),
    ],
)
def test_reasons_that_may_stand_for_each_other(stated: str, confirmed: str, same: bool) -> None:
    assert same_fault(stated, confirmed) is same


def test_a_canonical_submission_is_the_only_spelling(world: World) -> None:
    spelled = canonical.decode(Submission(1, 0, A, bytes(32), "bafy", 1, 1.0, 1).to_bytes())
    for name, value in {"loss": 1, "bytes": 0, "samples": -1, "round": True, "kind": "checkpoint"}.items():
        with pytest.raises(ProtocolError):
            Submission.from_bytes(canonical.encode(spelled | {name: value}))
