"""What is known of a run that goes on: its rounds so far and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pot_chain.dashboard.model import RoundRow
from pot_chain.dashboard.text import count_text, name_of, number_text, percent_text, reason_text, seconds_text

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class RunProgress:
    """Rounds by number. A round that comes again replaces itself: a reorganisation of the chain can decide it anew.

    Attributes:
        rounds_expected: final rounds that the task pays for.
        funded_wei: the budget in escrow; None if unknown.
    """

    rounds_expected: int
    funded_wei: int | None = None
    by_number: dict[int, RoundRow] = field(default_factory=dict)

    def add(self, row: RoundRow) -> None:
        """Take ``row`` as what is known of its round."""
        self.by_number[row.number] = row

    @property
    def rows(self) -> list[RoundRow]:
        """In the order of the rounds."""
        return [self.by_number[number] for number in sorted(self.by_number)]

    @property
    def finalized(self) -> int:
        """Final rounds."""
        return sum(not row.skipped for row in self.by_number.values())

    @property
    def skipped(self) -> int:
        """Rounds that ended without an outcome."""
        return len(self.by_number) - self.finalized

    @property
    def view_changes(self) -> int:
        """Views given up."""
        return sum(row.view for row in self.by_number.values())

    @property
    def paid_wei(self) -> int:
        """Rewards allocated."""
        return sum(row.paid_wei for row in self.by_number.values())

    @property
    def left_wei(self) -> int | None:
        """What is not allocated yet; None if the budget is unknown."""
        return None if self.funded_wei is None else self.funded_wei - self.paid_wei

    @property
    def losses(self) -> list[float]:
        """Test loss (training loss where there is none) of the rounds that have a finite one."""
        found = (row.train_loss if row.test_loss is None else row.test_loss for row in self.rows)
        return [loss for loss in found if loss is not None and math.isfinite(loss)]

    @property
    def latest(self) -> RoundRow | None:
        """The last final round."""
        return next((row for row in reversed(self.rows) if not row.skipped), None)


def rejections_text(row: RoundRow, labels: Mapping[str, str]) -> str:
    """``miner 3: gradient not reproduced; miner 5: too large``; empty if none."""
    return "; ".join(f"{name_of(miner, labels)}: {reason_text(reason)}" for miner, reason in row.rejected.items())


def round_line(row: RoundRow, labels: Mapping[str, str], paid: str, done: str) -> str:
    """A round as one line of a log.

    Args:
        paid: ``row.paid_wei`` as text.
        done: how far the run is ("4/20").
    """
    if row.skipped:
        return f"round {row.number:>3}  skipped, unpaid  {seconds_text(row.seconds)}  [{done}]"
    parts = [
        f"round {row.number:>3}",
        f"view {row.view}",
        f"train loss {number_text(row.train_loss)}",
        f"test loss {number_text(row.test_loss)}",
        f"accuracy {percent_text(row.accuracy)}",
        count_text(len(row.accepted), "gradient") + " accepted",
        *([f"rejected {rejections_text(row, labels)}"] if row.rejected else []),
        f"paid {paid}",
        seconds_text(row.seconds),
        f"[{done}]",
    ]
    return "  ".join(parts)


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` finite values as bars of eight heights."""
    shown = list(values)[-width:] if width > 0 else []
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)
