"""Gradients: right, deterministic, and equal to centralised training when averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worker.aggregate import aggregate, apply_sgd
from worker.centralized import train
from worker.data import Dataset
from worker.gradient import compute_gradient, evaluate
from worker.models import ModelError, build_model, initial_parameters, micro_batch, objectives, parameter_shapes
from worker.models.objectives import Classification, LossTerm
from worker.tensors import NotFinite, content_digest, decode, encode, flatten
from worker.verification.reexecution import relative_distance

CNN = {"image": [1, 8, 8], "channels": [4, 8], "classes": 10}


def test_the_gradient_is_that_of_the_mean_loss(digits, mlp):
    """Against central differences in float64 along random directions, for a smooth activation."""
    parameters = {**mlp, "activation": "tanh"}
    start = initial_parameters("mlp", parameters, seed=2)
    x, y = digits.batch(range(40))
    gradient = compute_gradient("mlp", parameters, start, x, y)
    model = build_model("mlp", parameters, start).double()
    wide_x, labels = torch.tensor(x).double(), torch.tensor(y)
    generator = np.random.default_rng(0)

    def loss_at(step: float, direction: dict[str, np.ndarray]) -> float:
        moved = {name: torch.tensor(start[name] + step * direction[name]) for name in start}
        logits = torch.func.functional_call(model, moved, (wide_x,))
        return float(torch.nn.functional.cross_entropy(logits, labels))

    for _ in range(3):
        direction = {name: generator.standard_normal(value.shape) for name, value in start.items()}
        slope = (loss_at(1e-5, direction) - loss_at(-1e-5, direction)) / 2e-5
        expected = sum(float((direction[name] * gradient.tensors[name]).sum()) for name in start)
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert gradient.loss == pytest.approx(loss_at(0.0, direction), rel=1e-6)


@pytest.mark.parametrize(("name", "parameters"), [("mlp", None), ("cnn", CNN)])
def test_gradients_are_canonical_float32_and_repeatable(digits, mlp, name, parameters):
    parameters = parameters or mlp
    start = initial_parameters(name, parameters, seed=3)
    before = content_digest(start)
    x, y = digits.batch(range(32))
    first, again = (compute_gradient(name, parameters, start, x, y) for _ in range(2))
    assert content_digest(first.tensors) == content_digest(again.tensors)
    assert first.loss == again.loss
    assert list(first.tensors) == list(parameter_shapes(name, parameters))
    assert decode(encode(first.tensors), parameter_shapes(name, parameters)).keys() == first.tensors.keys()
    assert content_digest(start) == before


@pytest.mark.parametrize("activations", [1, 160, 1000])
def test_micro_batches_change_memory_not_the_gradient(digits, mlp, weights, monkeypatch, activations):
    x, y = digits.batch(range(50))
    whole, score = compute_gradient("mlp", mlp, weights, x, y), evaluate("mlp", mlp, weights, [(x, y)])
    monkeypatch.setattr("worker.models.registry._MICRO_BATCH_ACTIVATIONS", activations)
    assert micro_batch("mlp", mlp) < 50
    parts = compute_gradient("mlp", mlp, weights, x, y)
    assert relative_distance(parts.tensors, whole.tensors) < 1e-5
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    assert evaluate("mlp", mlp, weights, [(x, y)]).accuracy == score.accuracy


def test_parameters_read_from_bytes_do_as_well(digits, mlp, weights):
    x, y = digits.batch(range(8))
    received = decode(encode(weights), parameter_shapes("mlp", mlp))
    assert compute_gradient("mlp", mlp, received, x, y).loss == compute_gradient("mlp", mlp, weights, x, y).loss


def test_divergence_is_reported_as_what_it_is(digits, mlp, weights):
    x, y = digits.batch(range(8))
    huge = {name: np.full_like(value, 3e38) for name, value in weights.items()}
    with pytest.raises(NotFinite, match="loss on the batch") as caught:
        compute_gradient("mlp", mlp, huge, x, y)
    assert "learning rate" in caught.value.hint


def test_an_empty_batch_or_foreign_weights_are_refused(digits, mlp, weights):
    x, y = digits.batch([0, 1])
    with pytest.raises(ValueError, match="0 samples"):
        compute_gradient("mlp", mlp, weights, x[:0], y[:0])
    with pytest.raises(ValueError, match="2 samples and 1 labels"):
        compute_gradient("mlp", mlp, weights, x, y[:1])
    with pytest.raises(ModelError, match="not those of model"):
        compute_gradient("cnn", CNN, weights, x, y)


def test_evaluation_adds_up_over_batches(digits, mlp, weights):
    one, many = (evaluate("mlp", mlp, weights, digits.test_batches(size)) for size in (1000, 17))
    assert one.samples == many.samples == 359
    assert one.accuracy == many.accuracy
    assert one.loss == pytest.approx(many.loss, rel=1e-6)
    model = build_model("mlp", mlp, weights)
    right = sum(int((model(torch.tensor(x)).argmax(1).numpy() == y).sum()) for x, y in digits.test_batches())
    assert one.accuracy == right / 359
    with pytest.raises(ValueError, match="no test samples"):
        evaluate("mlp", mlp, weights, [])


class TwoLosses(Classification):
    """The hidden layer learns the labels, the output layer learns them twice as fast and to be small."""

    def losses(self, model, x, y):
        hidden = frozenset({"hidden_0.weight", "hidden_0.bias"})
        output = frozenset({"output.weight"})
        (term,) = super().losses(model, x, y)
        smallness = dict(model.named_parameters())["output.weight"].square().sum()
        return [LossTerm(term.value, hidden), LossTerm(2 * term.value, output), LossTerm(smallness, output)]


def test_several_losses_each_train_their_own_parameters(digits, mlp, weights, monkeypatch):
    x, y = digits.batch(range(16))
    single = compute_gradient("mlp", mlp, weights, x, y)
    monkeypatch.setitem(objectives._OBJECTIVES, "classification", TwoLosses())
    several = compute_gradient("mlp", mlp, weights, x, y)
    smallness = float(np.square(weights["output.weight"]).sum())
    assert several.loss == pytest.approx(3 * single.loss + smallness, rel=1e-5)
    assert np.array_equal(several.tensors["hidden_0.weight"], single.tensors["hidden_0.weight"])
    expected = 2 * single.tensors["output.weight"] + 2 * weights["output.weight"]
    assert np.allclose(several.tensors["output.weight"], expected, rtol=1e-5, atol=1e-7)
    assert not several.tensors["output.bias"].any()
    central = train("mlp", mlp, weights, [range(16)], digits, 0.1)
    stepped = apply_sgd(weights, {name: value.astype(float) for name, value in several.tensors.items()}, 0.1)
    assert relative_distance(central.parameters, stepped) < 1e-6


def assignments(dataset: Dataset, rounds: int, miners: int, samples: int) -> list[list[np.ndarray]]:
    generator = np.random.default_rng(11)
    return [
        list(generator.permutation(dataset.samples)[: miners * samples].reshape(miners, samples)) for _ in range(rounds)
    ]


@pytest.mark.parametrize(("name", "parameters", "rate"), [("mlp", None, 0.5), ("cnn", CNN, 0.2)])
def test_the_decentralised_formula_is_the_centralised_one(digits, mlp, name, parameters, rate):
    """20 rounds of 5 miners against one process that knows nothing of miners, to a relative 1e-5 in every round."""
    parameters = parameters or mlp
    start = initial_parameters(name, parameters, seed=5)
    plan = assignments(digits, rounds=20, miners=5, samples=32)
    central = train(name, parameters, start, [np.concatenate(parts) for parts in plan], digits, rate)
    current, losses = start, []
    for number, parts in enumerate(plan):
        work = [compute_gradient(name, parameters, current, *digits.batch(part)) for part in parts]
        losses.append(float(np.mean([piece.loss for piece in work])))
        exact = aggregate("mean", [piece.tensors for piece in work])
        whole = compute_gradient(name, parameters, current, *digits.batch(np.concatenate(parts)))
        averaged = {key: value.astype(np.float32) for key, value in exact.items()}
        assert relative_distance(averaged, whole.tensors) < 1e-5, f"round {number}"
        current = apply_sgd(current, exact, rate)
    assert relative_distance(current, central.parameters) < 1e-5
    assert losses == pytest.approx([score.train_loss for score in central.history], rel=1e-5)
    final = evaluate(name, parameters, current, digits.test_batches())
    assert final.accuracy == pytest.approx(central.history[-1].accuracy, abs=0.003)
    assert final.loss == pytest.approx(central.history[-1].loss, rel=1e-5)
    assert final.loss < evaluate(name, parameters, start, digits.test_batches()).loss
    assert not np.array_equal(flatten(current), flatten(start))
