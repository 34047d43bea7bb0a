"""What a family of models is: parameters, a way to build it, what goes in and out, and what it is trained for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from worker.models.validation import ModelParameters

if TYPE_CHECKING:
    from torch import nn


class Family(ModelParameters, ABC):
    """The validated parameters of one model; a subclass is a family, registered by its ``family_name``.

    A family keeps all its state in parameters. Persistent buffers (running statistics of batch normalisation, say)
    would have to be agreed on like parameters and depend on the order of the batches, so ``registry.build_model``
    refuses them.
    """

    family_name: ClassVar[str]
    objective: ClassVar[str] = "classification"

    @abstractmethod
    def build(self) -> nn.Module:
        """The module, on torch's current default device (``meta`` when only the shapes are wanted).

        Its ``forward`` takes float32 ``[n, *features]`` and returns float32 ``[n, outputs]``.
        """

    @property
    @abstractmethod
    def input_elements(self) -> int:
        """Number of values in one sample."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of classes, for a classifier."""

    @property
    @abstractmethod
    def activations(self) -> int:
        """Number of values that the forward pass of one sample keeps, from above: what a batch's memory grows by."""
