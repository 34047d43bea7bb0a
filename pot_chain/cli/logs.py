"""The log of commands that run for long: on stderr, one line an entry."""

from __future__ import annotations

import logging

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Log our own packages from ``level`` on, libraries from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT)
    for package in ("pot_chain", "worker", "ipfs"):
        logging.getLogger(package).setLevel(level)
