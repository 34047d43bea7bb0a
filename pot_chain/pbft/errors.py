"""Errors of the consensus layer."""

from __future__ import annotations

from pot_chain.protocol.errors import PotError


class PbftError(PotError):
    """Root of what can go wrong in the consensus layer."""


class MessageError(PbftError):
    """Bytes from a peer that are no message; the text names the fault and never quotes the bytes."""


class GuardError(PbftError):
    """The signing guard does not sign, or cannot start."""


class SigningRefused(GuardError):
    """The guard refuses one statement for ever; the replica goes on as an observer of the slot."""


class EquivocationRefused(SigningRefused):
    """Signing would contradict, or go back behind, a statement that is already signed."""


class SlotRetired(SigningRefused):
    """The slot is final, or the guard abstains from it because it may have voted in it before its log was lost."""


class LogDamaged(GuardError):
    """The signing log is damaged before its tail: votes that left this machine may be unreadable."""


class LogLocked(GuardError):
    """Another process holds the signing log."""


class LogWriteFailed(GuardError):
    """The log could not be made durable; the guard signs nothing more until it is opened again."""
