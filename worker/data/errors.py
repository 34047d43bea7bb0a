"""Errors of the data layer."""

from pot_chain.protocol.errors import PotError


class DataError(PotError):
    """Training data that is missing, malformed, or not what its manifest promises."""
