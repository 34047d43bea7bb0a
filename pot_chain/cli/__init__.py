"""The command line, ``pot``.

Nothing is imported here: ``pot --help`` has to be quick, so commands load web3 and torch
when they need them.
"""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def main() -> None:
    """Entry point of the console script ``pot``."""
    try:
        from pot_chain.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
