"""Signals for commands that have started something which must be stopped with them."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def exit_on_sigterm() -> None:
    """From now on SIGTERM ends the command as an error does: what it has started is stopped."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
