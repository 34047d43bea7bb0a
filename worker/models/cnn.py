"""A small convolutional network for images."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from worker.models.activation import Activation, activation_module
from worker.models.family import Family

if TYPE_CHECKING:
    from torch import nn

Side = Annotated[int, Field(ge=1, le=1024)]
Channels = Annotated[int, Field(ge=1, le=1024)]


class CNN(Family):
    """3x3 convolutions, each followed by an activation and 2x2 max pooling (while both sides are at least 2), then a
    linear layer.

    No batch normalisation: its statistics over a miner's own batch would make the mean of the miners' gradients differ
    from the gradient over all their samples.
    """

    family_name: ClassVar[str] = "cnn"

    image: list[Side] = Field(
        min_length=3, max_length=3, description="[channels, height, width], each an integer from 1 to 1024"
    )
    channels: list[Channels] = Field(
        default=[16, 32],
        min_length=1,
        max_length=10,
        description="list of 1 to 10 numbers of channels, one a convolution, each an integer from 1 to 1024",
    )
    classes: int = Field(ge=2, le=65_536, description="integer from 2 to 65536")
    activation: Activation = Field(default="relu", description="one of relu, gelu, tanh")

    def build(self) -> nn.Module:
        """See ``Family.build``; parameters are ``convolution_0.weight``, ``convolution_0.bias``, ...,
        ``output.weight``, ``output.bias``.
        """
        from torch import nn

        depth, height, width = self.image
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            flatten=nn.Flatten(), image=nn.Unflatten(1, (depth, height, width))
        )
        for number, next_depth in enumerate(self.channels):
            layers[f"convolution_{number}"] = nn.Conv2d(depth, next_depth, kernel_size=3, padding=1)
            layers[f"activation_{number}"] = activation_module(self.activation)
            if min(height, width) >= 2:
                layers[f"pooling_{number}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            depth = next_depth
        layers["features"] = nn.Flatten()
        layers["output"] = nn.Linear(depth * height * width, self.classes)
        return nn.Sequential(layers)

    @property
    def input_elements(self) -> int:
        """Number of values in one image: channels x height x width."""
        channels, height, width = self.image
        return channels * height * width

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def activations(self) -> int:
        """See ``Family.activations``: each convolution's output before and after its activation, and pooled."""
        _, height, width = self.image
        total = self.input_elements + self.classes
        for channels in self.channels:
            total += 3 * channels * height * width
            if min(height, width) >= 2:
                height, width = height // 2, width // 2
        return total
