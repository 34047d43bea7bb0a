"""A running task on a terminal, or line by line in a log."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pot_chain.dashboard.model import RoundRow
from pot_chain.dashboard.progress import RunProgress, rejections_text, round_line, sparkline
from pot_chain.dashboard.text import number_text, percent_text, seconds_text, visible
from pot_chain.protocol.units import format_amount

EVENTS_SHOWN: Final = 5
ROUNDS_AT_LEAST: Final = 4
ROUNDS_AT_END: Final = 60
"""Most rounds of the last frame, which stays on the screen."""

_LINES_AROUND: Final = 11
"""Lines of a frame that are neither rounds nor events: frames, headings, totals, progress."""

_NARROW: Final = 104
"""Columns below which the table has one loss only."""

_TOTALS_IN_TWO_COLUMNS: Final = 80
"""Columns from which the totals stand side by side."""


class LiveView:
    """Shows a run as it goes on.

    On a terminal: a frame that is redrawn in place. Elsewhere: one plain line a round and an event, no control codes.
    Call it from one thread; drawing happens in another.

    Example::

        with LiveView("task 7: digits", 20, {address: "miner 1"}, funded_wei=10**18) as view:
            view.status("waiting for commits")
            view.round(row)
            view.event("validator 2 killed", "red")
    """

    def __init__(
        self,
        title: str,
        rounds_expected: int,
        labels: Mapping[str, str],
        console: Console | None = None,
        *,
        funded_wei: int | None = None,
        amount: Callable[[int], str] = format_amount,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            rounds_expected: final rounds that the task pays for.
            labels: name for people by address; read anew at each change, so that it may grow.
            console: standard output by default.
            funded_wei: budget in escrow, to show what is left of it.
            amount: how an amount of wei (or token units) is written.
            clock: seconds; dates the events.
        """
        self._title = visible(title)
        self._labels = labels
        self._console = console if console is not None else Console(highlight=False)
        self._amount = amount
        self._clock = clock
        self._started = clock()
        self._progress = RunProgress(rounds_expected, funded_wei)
        self._events: deque[Text] = deque(maxlen=EVENTS_SHOWN)
        self._status = ""
        self._bar = Progress(
            SpinnerColumn(finished_text="●"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task("", total=rounds_expected)
        self._live = (
            Live(console=self._console, refresh_per_second=8, vertical_overflow="crop")
            if self._console.is_interactive
            else None
        )
        self._open = False

    def __enter__(self) -> Self:
        self._open = True
        if self._live is None:
            self._line(self._title)
        else:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def round(self, row: RoundRow) -> None:
        """A round ended, or what is known of it changed."""
        self._progress.add(row)
        if self._live is None:
            done = f"{self._progress.finalized}/{self._progress.rounds_expected}"
            self._line(round_line(row, self._labels, self._amount(row.paid_wei), done))
        self._draw()

    def event(self, text: str, style: str | None = None) -> None:
        """Something happened; ``style`` is one of Rich's ("bold red")."""
        if self._live is None:
            self._line(f"* {text}", style)
            return
        since = f"{seconds_text(self._clock() - self._started):>12}  "
        self._events.append(
            Text.assemble((since, "dim"), (visible(text), style or ""), no_wrap=True, overflow="ellipsis")
        )
        self._draw()

    def status(self, text: str) -> None:
        """What the run is doing now, until the next status. Shown on a terminal only: it is gone when it is over."""
        self._status = visible(text)
        self._draw()

    def close(self) -> None:
        """Leave the last frame with all rounds on the screen, or print the totals. Closing twice is harmless."""
        if not self._open:
            return
        self._status = ""
        if self._live is None:
            self._line("  ".join(f"{name} {value.plain}" for name, value in self._totals()))
        else:
            self._bar.stop_task(self._task)
            self._draw(last=True)
            self._live.stop()
        self._open = False

    def _line(self, text: str, style: str | None = None) -> None:
        # a log's encoding may lack a character; a line with a question mark is better than none
        encoding = self._console.encoding
        printable = visible(text).encode(encoding, "replace").decode(encoding)
        self._console.print(Text(printable, style=style or ""), soft_wrap=True)

    def _draw(self, *, last: bool = False) -> None:
        if self._live is None or not self._open:
            return
        self._bar.update(self._task, completed=self._progress.finalized)
        self._live.update(self._frame(last), refresh=True)

    def _frame(self, last: bool) -> RenderableType:
        """A picture that no later call changes: another thread draws it."""
        room = self._console.height - _LINES_AROUND - len(self._events)
        table = self._rounds(ROUNDS_AT_END if last else max(ROUNDS_AT_LEAST, room), fold=last)
        # what matters most is on top: a terminal that is too low cuts the rest off
        status = Text(self._status, style="italic", no_wrap=True, overflow="ellipsis")
        parts: list[RenderableType] = [self._bar, *([] if last else [status]), self._summary(), table]
        if self._events:
            parts.append(Panel(Group(*self._events), title="events", title_align="left", border_style="dim"))
        return Panel(Group(*parts), title=Text(self._title, style="bold"), title_align="left", border_style="cyan")

    def _rounds(self, height: int, *, fold: bool) -> Table:
        """The last ``height`` rounds; without ``fold`` each takes one line, so that the frame keeps its height."""
        narrow = self._console.width < _NARROW
        table = Table(box=None, expand=True, header_style="bold", padding=(0, 1))
        losses = ("loss",) if narrow else ("train loss", "test loss")
        for heading in ("round", "view", *losses, "accuracy", "accepted"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("rejected", ratio=1, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
        table.add_column("time", justify="right", no_wrap=True)
        for row in self._progress.rows[-height:]:
            table.add_row(*self._cells(row, narrow), style="dim" if row.skipped else None)
        return table

    def _cells(self, row: RoundRow, narrow: bool) -> list[Text]:
        if row.skipped:
            blank = [Text("-")] * (4 if narrow else 5)
            return [Text(str(row.number)), *blank, Text("skipped"), Text(seconds_text(row.seconds))]
        return [
            Text(str(row.number)),
            Text(str(row.view), style="yellow" if row.view else ""),
            *([] if narrow else [Text(number_text(row.train_loss))]),
            Text(number_text(row.test_loss)),
            Text(percent_text(row.accuracy)),
            Text(str(len(row.accepted)), style="green"),
            Text(rejections_text(row, self._labels), style="red"),
            Text(seconds_text(row.seconds)),
        ]

    def _summary(self) -> Table:
        totals = self._totals()
        losses = self._progress.losses
        if len(losses) > 1 and self._console.encoding.lower().startswith("utf"):
            bars = sparkline(losses, min(24, self._console.width - 40))
            totals.insert(2, ("loss curve", Text(bars, style="cyan")))
        columns = 2 if self._console.width >= _TOTALS_IN_TWO_COLUMNS else 1
        height = math.ceil(len(totals) / columns)
        grid = Table.grid(padding=(0, 2), expand=False)
        for _ in range(columns):
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
        for line in range(height):
            grid.add_row(*(cell for total in totals[line::height] for cell in total))
        return grid

    def _totals(self) -> list[tuple[str, Text]]:
        progress = self._progress
        latest = progress.latest
        rounds = f"{progress.finalized} of {progress.rounds_expected} final"
        rounds += f", {progress.skipped} skipped" if progress.skipped else ""
        model = "-" if latest is None else f"{percent_text(latest.accuracy)}, loss {number_text(latest.test_loss)}"
        left = progress.left_wei
        return [
            ("rounds", Text(rounds)),
            ("accuracy", Text(model)),
            ("view changes", Text(str(progress.view_changes), style="yellow" if progress.view_changes else "")),
            ("paid", Text(self._amount(progress.paid_wei))),
            *([] if left is None else [("escrow left", Text(self._amount(left)))]),
        ]
