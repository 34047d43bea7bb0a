"""Activations that a task may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "gelu", "tanh"]


def activation_module(name: Activation) -> nn.Module:
    """A fresh module that computes the activation ``name`` element by element."""
    from torch import nn

    modules: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
    return modules[name]()
