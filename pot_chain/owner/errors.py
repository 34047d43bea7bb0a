"""What keeps an owner's or earner's command from being done."""

from __future__ import annotations

from pot_chain.protocol.errors import PotError


class OwnerError(PotError):
    """Root of the errors of the owner's side."""


class BudgetAboveBalance(OwnerError):
    """The account cannot pay the task's budget (and the gas to create it)."""


class NotYours(OwnerError):
    """The account is not the task's owner."""


class WrongState(OwnerError):
    """The task is not in a state in which that can be done."""


class NothingToPay(OwnerError):
    """There is nothing to claim or to refund."""


class RecordMismatch(OwnerError):
    """What storage holds contradicts what the chain says about the same round."""


class NoSuchRound(OwnerError):
    """The task has no such round, or the round left no checkpoint."""


class FileExists(OwnerError):
    """A file would be overwritten."""


class RegistrationError(OwnerError):
    """The account cannot be registered as asked."""
