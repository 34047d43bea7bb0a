"""Models by name and validated parameters: never code or pickles from a task's creator.

A family is one file (see ``mlp`` and ``cnn``); ``registry`` finds it by name and builds it. Nothing here loads torch
until a module is built, so a command can check a model's parameters at once.
"""

from worker.models.registry import (
    MAX_ACTIVATIONS,
    MAX_PARAMETERS,
    build_model,
    initial_parameters,
    micro_batch,
    model_names,
    objective_of,
    parameter_shapes,
    require_fit,
    resolve,
)
from worker.models.validation import ModelError

__all__ = [
    "MAX_ACTIVATIONS",
    "MAX_PARAMETERS",
    "ModelError",
    "build_model",
    "initial_parameters",
    "micro_batch",
    "model_names",
    "objective_of",
    "parameter_shapes",
    "require_fit",
    "resolve",
]
