"""Verification: honest work passes whatever the threads and batches, and every attack is caught by its check."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.aggregate import AggregationError, apply_sgd, mean
from worker.gradient import Gradient, compute_gradient
from worker.models import ModelError, initial_parameters, parameter_shapes
from worker.poison import AttackError, Context, attack, attack_names
from worker.tensors import GradientError, content_digest, decode, encode
from worker.verification import Check, find_copies, reexecute, suspicious
from worker.verification.reexecution import relative_distance
from worker.verification.screening import features

CNN = {"image": [1, 8, 8], "channels": [4, 8], "classes": 10}


@pytest.fixture(scope="module")
def honest(digits, mlp, weights) -> list[Gradient]:
    """The gradients of seven miners on 32 samples each."""
    return [compute_gradient("mlp", mlp, weights, *digits.batch(range(32 * k, 32 * k + 32))) for k in range(7)]


@pytest.fixture
def check(digits, mlp, weights):
    """Re-execution of the first miner's assignment."""

    def run(claimed, loss, **options) -> Check:
        return reexecute(claimed, loss, "mlp", mlp, weights, *digits.batch(range(32)), **options)

    return run


# Re-execution


@pytest.mark.parametrize(("name", "parameters"), [("mlp", None), ("cnn", CNN)])
def test_honest_work_with_another_number_of_threads_passes(digits, mlp, name, parameters):
    parameters = parameters or mlp
    start = initial_parameters(name, parameters, seed=1)
    x, y = digits.batch(range(512))
    torch.set_num_threads(2)
    try:
        claimed = compute_gradient(name, parameters, start, x, y)
    finally:
        torch.set_num_threads(1)
    found = reexecute(claimed.tensors, claimed.loss, name, parameters, start, x, y)
    assert found.ok
    assert found.reason is None
    assert found.error < 1e-5


def test_honest_work_in_other_micro_batches_passes(digits, mlp, weights, check):
    parts = [compute_gradient("mlp", mlp, weights, *digits.batch(range(k, k + 8))) for k in range(0, 32, 8)]
    claimed = {name: value.astype(np.float32) for name, value in mean([part.tensors for part in parts]).items()}
    assert check(claimed, float(np.mean([part.loss for part in parts]))).ok


def test_the_cheapest_frauds_are_told_from_rounding(digits, mlp, weights, check, honest):
    true = honest[0]
    x, y = digits.batch(range(32))
    swapped = digits.batch([*range(31), 1000])
    moved = apply_sgd(weights, {name: value.astype(np.float64) for name, value in true.tensors.items()}, 0.1)
    frauds = {
        "drop one of 32 samples": compute_gradient("mlp", mlp, weights, x[:31], y[:31]),
        "swap one of 32 samples": compute_gradient("mlp", mlp, weights, *swapped),
        "half the batch": compute_gradient("mlp", mlp, weights, x[:16], y[:16]),
        "stale parameters": compute_gradient("mlp", mlp, moved, x, y),
        "scaled by 1.001": Gradient({k: np.float32(1.001) * v for k, v in true.tensors.items()}, true.loss),
        "sign flipped": Gradient({k: -v for k, v in true.tensors.items()}, true.loss),
        "another miner's": honest[1],
    }
    for name, fraud in frauds.items():
        found = check(fraud.tensors, true.loss)
        assert not found.ok, name
        assert found.reason == "gradient_mismatch", name
        assert found.error > 5e-4, name


@pytest.mark.parametrize("factor", [0.999, 1.001, -1.0, math.nan, math.inf])
def test_a_false_loss_is_caught(check, honest, factor):
    found = check(honest[0].tensors, honest[0].loss * factor)
    assert not found.ok
    assert found.reason == ("loss_mismatch" if math.isfinite(factor) else "not_finite")


def test_the_tolerance_is_what_the_task_says(check, honest):
    scaled = {name: np.float32(1.001) * value for name, value in honest[0].tensors.items()}
    assert check(scaled, honest[0].loss, tolerance=1e-2).ok
    assert check(scaled, honest[0].loss, tolerance=1e-4).error == pytest.approx(1e-3, rel=1e-3)


def test_claims_that_cannot_be_compared_are_refused_not_crashed_on(check, honest):
    tensors, loss = honest[0].tensors, honest[0].loss
    assert check({}, loss).reason == "wrong_names"
    assert check({**tensors, "more": np.zeros(1, np.float32)}, loss).reason == "wrong_names"
    assert check(attack("wrong_shape").on_gradient(tensors, Context()), loss).reason == "wrong_shape"
    for value in (np.nan, np.inf):
        broken = {**tensors, "output.bias": np.full(10, value, np.float32)}
        found = check(broken, loss)
        assert (found.ok, found.error, found.reason) == (False, math.inf, "not_finite")


def test_nobody_passes_where_training_diverged_and_a_bad_checkpoint_is_not_the_miners_fault(
    digits, mlp, weights, honest
):
    x, y = digits.batch(range(32))
    huge = {name: np.full_like(value, 3e38) for name, value in weights.items()}
    found = reexecute(honest[0].tensors, honest[0].loss, "mlp", mlp, huge, x, y)
    assert (found.ok, found.reason) == (False, "diverged")
    with pytest.raises(ModelError):
        reexecute(honest[0].tensors, honest[0].loss, "mlp", mlp, {}, x, y)


def test_relative_distance_at_zero():
    zero, one = {"w": np.zeros(3, np.float32)}, {"w": np.ones(3, np.float32)}
    assert relative_distance(zero, zero) == 0.0
    assert relative_distance(one, zero) == math.inf
    assert relative_distance(zero, one) == 1.0
    assert math.isnan(relative_distance({"w": np.full(3, np.nan, np.float32)}, zero))


# Screening


def test_honest_gradients_of_one_round_are_not_suspected(honest):
    assert suspicious([gradient.tensors for gradient in honest]) == set()


@pytest.mark.parametrize("name", ["sign_flip", "scale", "noise", "zero", "label_flip"])
@pytest.mark.parametrize("place", [0, 3])
def test_crude_attacks_are_suspected_and_only_they(digits, mlp, weights, honest, name, place):
    found = [gradient.tensors for gradient in honest]
    found[place] = attacked(name, digits, mlp, weights, range(32 * place, 32 * place + 32))
    assert suspicious(found) == {place}


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 50))
def test_norms_and_cosines_are_what_they_say(seed, count, chunk):
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, 40)).astype(np.float32) * np.float32(10) ** generator.integers(-9, 9)
    rows[0] *= generator.integers(0, 2)
    found = features([{"a": row[:30].reshape(5, 6), "b": row[30:]} for row in rows], chunk=chunk)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    units = rows / np.where(norms > 0, norms, 1)[:, None]
    median = np.median(rows.astype(np.float64), axis=0)
    length = np.linalg.norm(median)
    cosines = units @ median / (length if length > 0 else 1)
    assert np.allclose(found.norms, norms, rtol=1e-12)
    assert np.allclose(found.cosines, cosines, atol=1e-6)


def test_two_cannot_outvote_each_other(honest):
    flipped = attack("sign_flip").on_gradient(honest[1].tensors, Context())
    assert suspicious([honest[0].tensors, flipped]) == set()
    with pytest.raises(AggregationError):
        suspicious([])


# Copies


@given(st.lists(st.integers(0, 4), max_size=12))
def test_each_copy_is_listed_once_with_the_first_of_its_kind(contents):
    pairs = find_copies([f"cid-{content}" for content in contents])
    assert pairs == [
        (contents.index(content), position)
        for position, content in enumerate(contents)
        if contents.index(content) < position
    ]


def test_a_copy_in_another_file_is_found_by_its_tensors(honest):
    digests = [content_digest(gradient.tensors) for gradient in honest[:3]]
    assert find_copies(["a", "b", "c", "d"], [*digests, digests[1]]) == [(1, 3)]
    assert find_copies(["a", "b", "a"], [digests[0], digests[1], None]) == [(0, 2)]
    assert find_copies([], []) == []
    with pytest.raises(ValueError, match="2 CIDs and 1 digests"):
        find_copies(["a", "b"], [None])


# Attacks, each from the attacker's program to what catches it


def attacked(name, digits, mlp, weights, indices, others=()) -> dict[str, np.ndarray]:
    chosen = attack(name)
    x, y = digits.batch(indices)
    gradient = compute_gradient("mlp", mlp, weights, x, chosen.on_labels(y, 10))
    return chosen.on_gradient(gradient.tensors, Context(seed=1, others=others))


@pytest.mark.parametrize("name", attack_names())
def test_every_attack_is_caught_when_its_author_is_audited(digits, mlp, weights, honest, check, name):
    others = [honest[1].tensors]
    poisoned = attacked(name, digits, mlp, weights, range(32), others)
    again = attacked(name, digits, mlp, weights, range(32), others)
    assert encode(poisoned) == encode(again)
    if name in ("nan", "wrong_shape"):
        with pytest.raises(GradientError) as caught:
            decode(encode(poisoned), parameter_shapes("mlp", mlp))
        assert caught.value.reason == {"nan": "not_finite", "wrong_shape": "wrong_shape"}[name]
    else:
        received = decode(encode(poisoned), parameter_shapes("mlp", mlp))
        assert check(received, honest[0].loss).reason == "gradient_mismatch"


def test_a_copied_gradient_has_the_content_of_the_original(digits, mlp, weights, honest):
    stolen = attacked("copy", digits, mlp, weights, range(32), [honest[1].tensors])
    assert content_digest(stolen) == content_digest(honest[1].tensors)
    with pytest.raises(AttackError, match="no gradient of another miner"):
        attacked("copy", digits, mlp, weights, range(32))


def test_an_unknown_attack_is_named():
    with pytest.raises(AttackError, match="no attack 'ddos'") as caught:
        attack("ddos")
    assert "sign_flip" in caught.value.hint
