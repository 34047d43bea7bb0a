"""The chain of the validators' tests, here without validators."""

from tests.validator.conftest import chain

__all__ = ["chain"]
