"""What commands print: results on stdout, everything for the eyes of a person who waits on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from pot_chain.protocol.units import format_amount

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]


_PIPE_WIDTH: Final = 1000
"""Columns where there is no terminal: an address or a path must not be broken."""


def stdout() -> Console:
    """Console for results."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def stderr() -> Console:
    """Console for progress and errors."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _PIPE_WIDTH)


def print_json(value: Any) -> None:
    """``value`` as one JSON document."""
    typer.echo(json.dumps(value, indent=2))


def note(text: str) -> None:
    """A line that is not the result."""
    stderr().print(text, markup=False)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table without a frame; columns named in ``right`` are numbers."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, value)
    return made


@contextmanager
def waiting(text: str) -> Iterator[Callable[[str], None]]:
    """Shows a person at a terminal that the command works; gives a function that says what is being done."""
    console = stderr()
    if not console.is_terminal:
        yield note
        return
    with console.status(text) as spinner:

        def say(step: str) -> None:
            console.print(step, markup=False)
            spinner.update(step)

        yield say


def amount(units: int, token: str) -> str:
    """An amount of native coins, or of base units of a token, whose decimals the protocol does not know."""
    from pot_chain.protocol.addresses import ZERO_ADDRESS  # its hashes load slowly, and `pot --help` needs none

    return format_amount(units) if token == ZERO_ADDRESS else f"{units} units of {token}"


def moment(seconds: int) -> str:
    """A time of the chain's clock for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def percent(share: float) -> str:
    """A share of 1 with two decimals."""
    return f"{100 * share:.2f} %"
