"""A sentence and a hint for each error of our contracts.

Placeholders are the error's arguments, then the arguments of the call that was refused, by their Solidity names, and
``sender``. A test checks that every error of the compiled contracts has its entry.
"""

from __future__ import annotations

from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {}
