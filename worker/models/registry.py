"""Families by name: checks parameters, builds modules, tells shapes without allocating, draws initial weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from worker.models.cnn import CNN
from worker.models.family import Family
from worker.models.mlp import MLP
from worker.models.validation import ModelError, validate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

MAX_PARAMETERS = 200_000_000
"""Most parameters of one model: 800 MB in float32, what a node must be able to hold a few times over."""

MAX_ACTIVATIONS = 1 << 24
"""Most values that one sample may occupy in the forward pass: 64 MiB in float32, whatever a stranger's task asks for.
"""
_MICRO_BATCH_ACTIVATIONS = 1 << 26
"""Values of the forward pass held at once: 256 MiB in float32."""

_FAMILIES: dict[str, type[Family]] = {family.family_name: family for family in (MLP, CNN)}


def model_names() -> list[str]:
    """Names of the registered families, sorted."""
    return sorted(_FAMILIES)


def resolve(name: str, parameters: Mapping[str, Any]) -> Family:
    """The family ``name`` with validated ``parameters``; loads no torch.

    Raises:
        ModelError: no such family, or a parameter it does not allow (named, with its range).
    """
    try:
        schema = _FAMILIES[name]
    except KeyError:
        raise ModelError(f"there is no model {name!r}", f"models are: {', '.join(model_names())}") from None
    family = validate(name, schema, parameters)
    if family.activations > MAX_ACTIVATIONS:
        raise ModelError(
            f"model {name!r} would hold {family.activations:,} values for each sample; "
            f"at most {MAX_ACTIVATIONS:,} are allowed",
            "choose smaller samples, or fewer or narrower layers",
        )
    return family


def parameter_shapes(name: str, parameters: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter by name, in canonical (sorted) order; allocates none of them.

    Raises:
        ModelError: see ``resolve``; or more than ``MAX_PARAMETERS`` elements in all.
    """
    module = _on_meta(name, resolve(name, parameters))
    return {key: tuple(value.shape) for key, value in sorted(module.named_parameters())}


def build_model(
    name: str, parameters: Mapping[str, Any], weights: Mapping[str, NDArray[np.float32]] | None = None
) -> nn.Module:
    """A module on the CPU with ``weights`` (copied), or with torch's default initialisation.

    Raises:
        ModelError: see ``parameter_shapes``; or weights whose names or shapes are not the model's.
    """
    import torch

    family = resolve(name, parameters)
    module = _on_meta(name, family)
    if weights is None:
        return family.build()
    expected = {key: tuple(value.shape) for key, value in module.named_parameters()}
    if {key: value.shape for key, value in weights.items()} != expected:
        raise ModelError(
            f"the weights given are not those of model {name!r}",
            "use a checkpoint of the same model and parameters",
        )
    module.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, strict=False, assign=True)
    return module.requires_grad_(True)


def initial_parameters(name: str, parameters: Mapping[str, Any], seed: int) -> dict[str, NDArray[np.float32]]:
    """Torch's default initialisation drawn from ``seed`` (0 to 2**64 - 1), in canonical order.

    Reproducible on one machine only: initial weights therefore travel by CID, and nobody derives them from the seed
    again.

    Raises:
        ModelError: see ``parameter_shapes``.
    """
    import torch

    family = resolve(name, parameters)
    _on_meta(name, family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = family.build()
    return {key: value.detach().numpy().copy() for key, value in sorted(module.named_parameters())}


def micro_batch(name: str, parameters: Mapping[str, Any]) -> int:
    """Number of samples that go through the model at once, so that memory stays bounded for any batch.

    Raises:
        ModelError: see ``resolve``.
    """
    return max(1, _MICRO_BATCH_ACTIVATIONS // resolve(name, parameters).activations)


def objective_of(name: str) -> str:
    """Name of the training objective of the family ``name``.

    Raises:
        ModelError: no such family.
    """
    if name not in _FAMILIES:
        raise ModelError(f"there is no model {name!r}", f"models are: {', '.join(model_names())}")
    return _FAMILIES[name].objective


def require_fit(name: str, parameters: Mapping[str, Any], *, features: Sequence[int], classes: int) -> None:
    """Check that the model takes samples of shape ``features`` and tells ``classes`` classes apart.

    Raises:
        ModelError: it does not, or see ``resolve``.
    """
    family = resolve(name, parameters)
    elements = math.prod(features)
    if family.input_elements != elements:
        raise ModelError(
            f"model {name!r} takes {family.input_elements} values a sample, "
            f"the data has {elements} (shape {list(features)})",
            f"set the model's input to {elements} values",
        )
    if family.outputs < classes:
        raise ModelError(
            f"model {name!r} has {family.outputs} classes, the data has {classes}", f"set classes = {classes}"
        )


def _on_meta(name: str, family: Family) -> nn.Module:
    """The module with shapes but no storage, after the checks that need the shapes."""
    import torch

    with torch.device("meta"):
        module = family.build()
    elements = sum(value.numel() for value in module.parameters())
    if elements > MAX_PARAMETERS:
        raise ModelError(
            f"model {name!r} would have {elements:,} parameters; at most {MAX_PARAMETERS:,} are allowed",
            "choose fewer or narrower layers",
        )
    if set(module.state_dict()) != {key for key, _ in module.named_parameters()}:
        raise ModelError(
            f"model {name!r} keeps state outside its parameters", "a family must have no persistent buffers"
        )
    return module
