"""The command line, ``pot``.

Nothing is imported here: ``pot --help`` has to be quick, so commands load web3 and torch
when they need them.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script ``pot``."""
    from pot_chain.cli.app import run

    run()
