"""The exact aggregate: the same bytes on any hardware, with any number of threads and any chunk size (design, section
6).

Rules are registered by name in ``registry``; each is one file.
"""

from worker.aggregate.exact import DEFAULT_CHUNK, AggregationError
from worker.aggregate.mean import mean
from worker.aggregate.registry import aggregate, rule, rule_names
from worker.aggregate.step import apply_sgd

__all__ = [
    "DEFAULT_CHUNK",
    "AggregationError",
    "aggregate",
    "apply_sgd",
    "mean",
    "rule",
    "rule_names",
]
