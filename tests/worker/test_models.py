"""Models by name: validated parameters, shapes without allocation, reproducible initial weights."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from worker.models import (
    MAX_ACTIVATIONS,
    MAX_PARAMETERS,
    ModelError,
    build_model,
    initial_parameters,
    micro_batch,
    model_names,
    parameter_shapes,
    require_fit,
    resolve,
)
from worker.models.objectives import objective

MLP = {"inputs": 64, "hidden": [32, 16], "classes": 10}
CNN = {"image": [1, 8, 8], "channels": [4, 8], "classes": 10}


def test_a_name_finds_its_family():
    assert model_names() == ["cnn", "mlp"]
    with pytest.raises(ModelError, match="no model 'gpt-9'") as caught:
        parameter_shapes("gpt-9", {})
    assert caught.value.hint == "models are: cnn, mlp"


def test_shapes_of_the_perceptron():
    assert parameter_shapes("mlp", MLP) == {
        "hidden_0.bias": (32,),
        "hidden_0.weight": (32, 64),
        "hidden_1.bias": (16,),
        "hidden_1.weight": (16, 32),
        "output.bias": (10,),
        "output.weight": (10, 16),
    }


def test_shapes_of_the_convolutional_network():
    shapes = parameter_shapes("cnn", CNN)
    assert shapes["convolution_1.weight"] == (8, 4, 3, 3)
    assert shapes["output.weight"] == (10, 8 * 2 * 2)


@pytest.mark.parametrize(
    ("name", "parameters", "features"),
    [
        ("mlp", MLP, (1, 8, 8)),
        ("mlp", {"inputs": 64, "hidden": [], "classes": 2, "activation": "tanh"}, (64,)),
        ("cnn", CNN, (64,)),
        ("cnn", {"image": [3, 5, 7], "channels": [2] * 10, "classes": 3, "activation": "gelu"}, (3, 5, 7)),
        ("cnn", {"image": [1, 1, 1], "channels": [2], "classes": 3}, (1,)),
    ],
)
def test_a_model_maps_samples_of_any_equivalent_shape_to_logits(name, parameters, features):
    model = build_model(name, parameters)
    assert model(torch.zeros(5, *features)).shape == (5, parameters["classes"])
    assert {key: tuple(value.shape) for key, value in model.named_parameters()} == parameter_shapes(name, parameters)
    require_fit(name, parameters, features=features, classes=parameters["classes"])


@pytest.mark.parametrize(
    ("name", "change", "message", "hint"),
    [
        (
            "mlp",
            {"inputs": 0},
            "'inputs' is 0: input should be greater than or equal to 1",
            "inputs: integer from 1 to",
        ),
        ("mlp", {"inputs": "64"}, "'inputs' is '64': input should be a valid integer", "inputs: integer from 1 to"),
        ("mlp", {"inputs": True}, "'inputs' is True", "inputs: integer from 1 to"),
        ("mlp", {"hidden": [32, 20_000]}, "'hidden.1' is 20000", "hidden: list of at most 16 layer widths"),
        ("mlp", {"hidden": [8] * 17}, "'hidden' is [8, 8", "hidden: list of at most 16 layer widths"),
        ("mlp", {"hidden": 32}, "'hidden' is 32: input should be a valid list", "hidden: list of at most"),
        ("mlp", {"classes": 1}, "'classes' is 1", "classes: integer from 2 to 65536"),
        ("mlp", {"activation": "__import__('os')"}, "'activation' is", "activation: one of relu, gelu, tanh"),
        ("mlp", {"dropout": 0.1}, "unknown parameter 'dropout'", "parameters are: inputs (integer"),
        ("cnn", {"image": [8, 8]}, "'image' is [8, 8]", "image: [channels, height, width]"),
        ("cnn", {"image": [1, 8, 2000]}, "'image.2' is 2000", "image: [channels, height, width]"),
        ("cnn", {"channels": []}, "'channels' is []", "channels: list of 1 to 10"),
    ],
)
def test_bad_parameters_are_named_with_what_they_may_be(name, change, message, hint):
    with pytest.raises(ModelError) as caught:
        resolve(name, {"mlp": MLP, "cnn": CNN}[name] | change)
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


def test_a_missing_parameter_is_named():
    with pytest.raises(ModelError, match="model 'mlp': parameter 'inputs' is missing"):
        resolve("mlp", {"classes": 10})


def test_a_giant_is_refused_before_anything_is_allocated():
    parameters = {"inputs": 1_000_000, "hidden": [16_384] * 16, "classes": 65_536}
    for function in (parameter_shapes, build_model, lambda *model: initial_parameters(*model, seed=1)):
        with pytest.raises(ModelError, match=f"at most {MAX_PARAMETERS:,}"):
            function("mlp", parameters)


def test_a_sample_that_would_fill_the_memory_is_refused():
    with pytest.raises(ModelError, match=f"for each sample; at most {MAX_ACTIVATIONS:,}"):
        resolve("cnn", {"image": [3, 1024, 1024], "channels": [1024], "classes": 10})


@pytest.mark.parametrize(("name", "parameters"), [("mlp", MLP), ("cnn", CNN), ("cnn", CNN | {"image": [3, 5, 1]})])
def test_a_family_knows_how_much_its_forward_pass_holds(name, parameters):
    model, held = build_model(name, parameters), []
    for layer in model:
        layer.register_forward_hook(lambda layer, given, output: held.append(output.numel()))
    family = resolve(name, parameters)
    model(torch.zeros(1, family.input_elements))
    assert max(held) <= family.activations
    assert sum(held) - 3 * family.input_elements <= family.activations
    assert micro_batch(name, parameters) >= 1000


def test_initial_weights_are_reproducible_and_leave_torchs_generator_alone():
    torch.manual_seed(3)
    before = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = (initial_parameters("mlp", MLP, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), before)
    assert list(first) == sorted(first)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)
    assert all(value.dtype == np.float32 for value in first.values())


def test_a_model_with_given_weights_has_its_own_copy_of_them():
    weights = initial_parameters("mlp", MLP, seed=1)
    model = build_model("mlp", MLP, weights)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    assert all(value.any() for name, value in weights.items() if name.endswith("weight"))


def test_weights_of_another_model_are_refused():
    weights = initial_parameters("mlp", MLP, seed=1)
    with pytest.raises(ModelError, match="not those of model 'mlp'"):
        build_model("mlp", MLP | {"hidden": [32]}, weights)
    with pytest.raises(ModelError, match="not those of model 'mlp'"):
        build_model("mlp", MLP | {"hidden": [32, 17]}, weights)


def test_data_that_does_not_fit_the_model_is_explained():
    with pytest.raises(ModelError, match=r"takes 64 values a sample, the data has 784 \(shape \[1, 28, 28\]\)"):
        require_fit("mlp", MLP, features=[1, 28, 28], classes=10)
    with pytest.raises(ModelError, match="10 classes, the data has 26"):
        require_fit("mlp", MLP, features=[64], classes=26)


def test_an_unknown_objective_is_an_error():
    with pytest.raises(ModelError, match="no training objective 'adversarial'"):
        objective("adversarial")


def test_checking_parameters_or_handling_data_does_not_load_torch():
    code = """if True:
        import sys
        import worker.aggregate, worker.data, worker.poison, worker.tensors
        from worker.models import resolve
        resolve("cnn", {"image": [1, 8, 8], "classes": 10})
        sys.exit("torch" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
