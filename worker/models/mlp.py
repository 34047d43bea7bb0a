"""Multilayer perceptron: linear layers with an activation between them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from worker.models.activation import Activation, activation_module
from worker.models.family import Family

if TYPE_CHECKING:
    from torch import nn

Width = Annotated[int, Field(ge=1, le=16_384)]


class MLP(Family):
    """``inputs -> hidden[0] -> ... -> classes``; a sample of any shape is flattened."""

    family_name: ClassVar[str] = "mlp"

    inputs: int = Field(ge=1, le=1_000_000, description="integer from 1 to 1000000, values in one sample")
    hidden: list[Width] = Field(
        default=[32], max_length=16, description="list of at most 16 layer widths, each an integer from 1 to 16384"
    )
    classes: int = Field(ge=2, le=65_536, description="integer from 2 to 65536")
    activation: Activation = Field(default="relu", description="one of relu, gelu, tanh")

    def build(self) -> nn.Module:
        """See ``Family.build``; parameters are ``hidden_0.weight``, ``hidden_0.bias``, ..., ``output.weight``,
        ``output.bias``.
        """
        from torch import nn

        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        width = self.inputs
        for number, next_width in enumerate(self.hidden):
            layers[f"hidden_{number}"] = nn.Linear(width, next_width)
            layers[f"activation_{number}"] = activation_module(self.activation)
            width = next_width
        layers["output"] = nn.Linear(width, self.classes)
        return nn.Sequential(layers)

    @property
    def input_elements(self) -> int:
        """Number of values in one sample."""
        return self.inputs

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def activations(self) -> int:
        """See ``Family.activations``: each hidden layer before and after its activation."""
        return self.inputs + 2 * sum(self.hidden) + self.classes
