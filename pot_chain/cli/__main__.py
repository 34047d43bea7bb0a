"""``python -m pot_chain.cli`` is ``pot``, also where the console script is not on PATH."""

from pot_chain.cli import main

main()
