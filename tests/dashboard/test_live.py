from __future__ import annotations

import io
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, ConsoleDimensions

from pot_chain.dashboard.live import LiveView
from pot_chain.dashboard.model import RoundRow, RunReport
from pot_chain.dashboard.progress import RunProgress, round_line, sparkline

SHOW_CURSOR = "\x1b[?25h"


class Log:
    """A console that writes into a file, as under cron or in CI."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file)

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


class Terminal:
    """A real pseudo-terminal of 120 x 40 and what was written to it."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self.console = Console(file=self._file, width=120, height=40, color_system="truecolor")
        self.written = ""

    def finish(self, reader: threading.Thread) -> None:
        self._file.close()
        reader.join(timeout=10)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """After the block, ``written`` holds everything."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    outside, inside = pty.openpty()
    screen = Terminal(inside)
    collected = bytearray()

    def read() -> None:
        while True:
            try:
                chunk = os.read(outside, 65_536)
            except OSError:  # Linux reports the closed other end as EIO
                return
            if not chunk:
                return
            collected.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield screen
    finally:
        screen.finish(reader)
        os.close(outside)
        screen.written = collected.decode("utf-8")


def _run(console: Console, report: RunReport, labels: dict[str, str]) -> None:
    with LiveView("task 1: digits", 20, labels, console, funded_wei=report.escrow.funded_wei) as view:
        view.status("waiting for commits")
        for row in report.rounds:
            if row.number == 9:
                view.event("validator 1 killed with SIGKILL", "bold red")
            view.round(row)


def test_a_log_gets_one_plain_line_a_round(report: RunReport, labels: dict[str, str]) -> None:
    log = Log()
    _run(log.console, report, labels)
    assert len(log.lines) == 1 + 20 + 1 + 1
    assert all(line.isascii() and line.isprintable() for line in log.lines)
    assert log.lines[0] == "task 1: digits"
    assert log.lines[1].startswith("round   0  view 0  train loss 2.2900  test loss 1.6857  accuracy 46.11 %")
    assert log.lines[10] == "* validator 1 killed with SIGKILL"
    assert log.lines[11] == (
        "round   9  view 1  train loss 0.2984  test loss 0.2775  accuracy 95.00 %  4 gradients accepted  "
        "rejected miner 3: gradient not reproduced  paid 0.0395 ETH  7.9 s  [10/20]"
    )
    assert log.lines[-1] == (
        "rounds 20 of 20 final  accuracy 95.83 %, loss 0.1429  view changes 1  paid 0.955 ETH  "
        "escrow left 0.045000000000000007 ETH"
    )


def test_a_terminal_gets_a_frame_and_its_cursor_back(
    report: RunReport, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch) as screen:
        _run(screen.console, report, labels)
    assert screen.written.rindex(SHOW_CURSOR) > screen.written.rindex("task 1: digits")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.written[screen.written.rindex("task 1: digits") :])
    assert "20 of 20 final" in last
    assert "0.045000000000000007 ETH" in last
    assert "miner 3: gradient not reproduced" in last
    assert "validator 1 killed with SIGKILL" in last
    assert "waiting for commits" not in last
    assert "1.6857" in last, "the last frame has all rounds, the first included"


def test_a_terminal_gets_its_cursor_back_after_an_error(
    report: RunReport, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(console: Console) -> None:
        with LiveView("t", 20, labels, console) as view:
            view.round(report.rounds[0])
            raise KeyboardInterrupt

    with terminal(monkeypatch) as screen, pytest.raises(KeyboardInterrupt):
        interrupted(screen.console)
    assert screen.written.rstrip().endswith(SHOW_CURSOR)


@given(st.text(min_size=1))
def test_nobody_writes_control_codes_or_markup_into_a_log(text: str) -> None:
    log = Log()
    row = RoundRow(0, 0, [], {text: text}, None, None, None, 1.0, 0)
    with LiveView("t", 1, {}, log.console) as view:
        view.round(row)
        view.event(text)
    assert len(log.lines) == 4
    assert all(line.isprintable() for line in log.lines)


def test_markup_is_not_interpreted() -> None:
    log = Log()
    with LiveView("[red]t[/red]", 1, {}, log.console) as view:
        view.event("[bold]x[/bold] [/nothing]")
    assert log.lines[:2] == ["[red]t[/red]", "* [bold]x[/bold] [/nothing]"]


def test_a_log_that_lacks_a_character_gets_a_question_mark() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    with LiveView("t", 1, {}, Console(file=file)) as view:
        view.event("μ")
    assert b"* ?" in raw.getvalue()


def test_a_skipped_round_is_told_and_costs_nothing() -> None:
    log = Log()
    with LiveView("t", 2, {}, log.console, funded_wei=10) as view:
        view.round(RoundRow(0, 0, [], {}, None, None, None, 60.0, 0, skipped=True))
    assert log.lines[1] == "round   0  skipped, unpaid  1 min 00 s  [0/2]"
    assert log.lines[2].startswith("rounds 0 of 2 final, 1 skipped  accuracy -  view changes 0  paid 0 ETH")


def test_a_round_that_is_decided_anew_counts_once(report: RunReport) -> None:
    progress = RunProgress(20, funded_wei=10**18)
    for row in (report.rounds[0], report.rounds[1], report.rounds[0]):
        progress.add(row)
    assert progress.finalized == 2
    assert progress.paid_wei == report.rounds[0].paid_wei + report.rounds[1].paid_wei
    assert progress.left_wei == 10**18 - progress.paid_wei
    assert [row.number for row in progress.rows] == [0, 1]


def test_amounts_of_a_token_are_written_as_the_caller_says(report: RunReport) -> None:
    log = Log()
    with LiveView("t", 1, {}, log.console, amount=lambda units: f"{units} units") as view:
        view.round(report.rounds[0])
    assert f"paid {report.rounds[0].paid_wei} units" in log.lines[1]


def test_labels_may_grow_while_the_run_goes_on() -> None:
    labels: dict[str, str] = {}
    row = RoundRow(0, 0, [], {"0x1": "too_large"}, None, None, None, 1.0, 0)
    assert "rejected 0x1: too large" in round_line(row, labels, "0 ETH", "1/1")
    log = Log()
    with LiveView("t", 1, labels, log.console) as view:
        labels["0x1"] = "miner 9"
        view.round(row)
    assert "rejected miner 9: too large" in log.lines[1]


def test_closing_twice_prints_once() -> None:
    log = Log()
    with LiveView("t", 1, {}, log.console) as view:
        view.close()
    assert len(log.lines) == 2


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [([], 9, ""), ([1.0], 9, "▁"), ([0.0, 7.0], 9, "▁█"), ([9.0, 0.0, 7.0], 2, "▁█"), ([1.0], 0, "")],
)
def test_sparkline(values: list[float], width: int, shown: str) -> None:
    assert sparkline(values, width) == shown


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
def test_a_frame_fits_terminals_of_all_sizes(
    report: RunReport, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    width, height = size
    with terminal(monkeypatch) as screen:
        screen.console.size = ConsoleDimensions(width, height)
        _run(screen.console, report, labels)
    cursor_up = "\x1b[1A\x1b[2K"  # once for each line of the frame that is drawn over, but one
    heights = [len(ups) // len(cursor_up) + 1 for ups in re.findall(rf"(?:{re.escape(cursor_up)})+", screen.written)]
    assert 1 < max(heights) <= height
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Zhl]", "\n", screen.written)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", lines)
    assert max(len(line.strip("\r")) for line in plain.split("\n")) == width
