"""The root of every error that a user or a peer can cause."""

from __future__ import annotations


class PotError(Exception):
    """An error with a cause for people and a hint that says what to do.

    The command line prints ``error: <message>`` and ``hint: <hint>`` and exits with ``exit_code``.
    Neither text may contain a private key.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ProtocolError(PotError):
    """A message, document or value that breaks a rule of the protocol."""
