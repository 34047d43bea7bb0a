"""Plain text tables."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

WIDEST = 88


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Columns as wide as their content, long cells wrapped; the columns `right` are aligned to the right."""
    wrapped = [[textwrap.wrap(cell, WIDEST) or [""] for cell in row] for row in [head, *rows]]
    widths = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(head))]

    def lines(row: Sequence[Sequence[str]]) -> list[str]:
        height = max(len(cell) for cell in row)
        shown = []
        for index in range(height):
            cells = [cell[index] if index < len(cell) else "" for cell in row]
            pairs = zip(cells, widths, strict=True)
            aligned = [c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(pairs)]
            shown.append("  ".join(aligned).rstrip())
        return shown

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*lines(wrapped[0]), rule, *(line for row in wrapped[1:] for line in lines(row))])
