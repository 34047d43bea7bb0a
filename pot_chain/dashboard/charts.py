"""Line charts and grids as inline SVG: no script, no request, coloured by the style sheet of the page.

Charts carry classes, not colours (``report.css.j2`` has them), so that they follow the reader's light or dark scheme.
Nothing is told by colour alone: series differ in line style, marks in shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

WIDTH: Final = 480
HEIGHT: Final = 290
"""User units of a line chart; the page scales it to the width of its column."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 30, 40
_LANE: Final = 14
"""Height at which marks stand, above the plot."""
_BETWEEN_MARKS: Final = 14

MOST_DOTS: Final = 60
"""Longer series have a line without dots."""

MOST_CELLS: Final = 6_000
"""Larger grids are not drawn."""

_LARGEST: Final = 1e12
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Series:
    """A curve. ``style``: its CSS class. Points are (x, y), x ascending, y ``plottable``."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at ``x``: ``kind`` is a key of ``MARKS``, ``text`` its tooltip."""

    x: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Band:
    """Rounds from ``first`` to ``last`` in which something went on."""

    first: float
    last: float
    text: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """What a chart shows.

    Attributes:
        title: its heading for screen readers; ``description``: what one sees, in words.
        write: a value as text, for tooltips; ``write_tick``: for the y axis.
        last_x: the x axis has the whole numbers from 0 to it.
    """

    title: str
    description: str
    x_label: str
    last_x: int
    series: Sequence[Series]
    write: Callable[[float], str]
    write_tick: Callable[[float], str]
    marks: Sequence[Mark] = field(default_factory=tuple)
    bands: Sequence[Band] = field(default_factory=tuple)


MARKS: Final[dict[str, Markup]] = {
    "killed": Markup('<path class="mark killed" d="M-4.5-4.5L4.5 4.5M4.5-4.5L-4.5 4.5"/>'),
    "restarted": Markup('<path class="mark restarted" d="M-4-5.5L5 0L-4 5.5Z"/>'),
    "view": Markup('<path class="mark view" d="M0-6L6 0L0 6L-6 0Z"/>'),
    "poisoned": Markup('<rect class="band" x="-6" y="-6" width="12" height="12"/>'),
    "accepted": Markup('<rect class="accepted" x="-6" y="-6" width="12" height="12" rx="2"/>'),
    "rejected": Markup(
        '<rect class="rejected" x="-6" y="-6" width="12" height="12" rx="2"/>'
        '<path class="cross" d="M-3-3L3 3M3-3L-3 3"/>'
    ),
    "absent": Markup('<rect class="absent" x="-5.5" y="-5.5" width="11" height="11" rx="2"/>'),
}
"""Symbols by kind, drawn around the origin within 6 units."""


def plottable(y: float | None) -> bool:
    """Whether a value can be drawn: measured, finite and not beyond what an axis can show."""
    return y is not None and math.isfinite(y) and abs(y) <= _LARGEST


def symbol(kind: str) -> Markup:
    """The symbol ``kind`` as a picture of its own, for a legend."""
    return Markup('<svg class="key" viewBox="-7 -7 14 14" width="14" height="14" aria-hidden="true">{}</svg>').format(
        MARKS[kind]
    )


def line_key(style: str) -> Markup:
    """A piece of the curve with the CSS class ``style``, for a legend."""
    return Markup(
        '<svg class="key" viewBox="0 0 26 10" width="26" height="10" aria-hidden="true">'
        '<path class="line {}" d="M1 5H25"/></svg>'
    ).format(style)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, ``most`` or fewer, evenly spaced."""
    if high - low <= 1e-9 * max(1.0, abs(low)):
        room = 0.1 * abs(low) or 0.5
        low, high = low - room, high + room
    power = 10.0 ** math.floor(math.log10((high - low) / (most - 1)))
    for step in (power * factor for factor in (*_STEPS, 20.0, 50.0)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first + 1 <= most:
            break
    return [number * step for number in range(first, last + 1)]


def line_chart(chart: LineChart) -> Markup:
    """``chart`` as an SVG element that names and describes itself to screen readers."""
    values = [y for series in chart.series for _, y in series.points]
    levels = ticks(min(values), max(values)) if values else [0.0, 1.0]
    low, high = levels[0], levels[-1]

    def x_of(x: float) -> float:
        # half a round of room on both sides, so that bands and dots at the ends are whole
        return _LEFT + (x + 0.5) / (chart.last_x + 1) * (WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        return HEIGHT - _BOTTOM - (y - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    parts = [*_bands(chart, x_of), *_axes(chart, levels, x_of, y_of)]
    for series in chart.series:
        parts += _curve(series, chart, x_of, y_of)
    parts += _marks(chart, x_of)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}: {}">{}</svg>').format(
        WIDTH, HEIGHT, chart.title, chart.description, Markup("").join(parts)
    )


def _bands(chart: LineChart, x_of: Callable[[float], float]) -> list[Markup]:
    return [
        Markup('<rect class="band" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>').format(
            x_of(band.first - 0.5),
            _TOP,
            x_of(band.last + 0.5) - x_of(band.first - 0.5),
            HEIGHT - _TOP - _BOTTOM,
            band.text,
        )
        for band in chart.bands
    ]


def _axes(
    chart: LineChart, levels: Sequence[float], x_of: Callable[[float], float], y_of: Callable[[float], float]
) -> list[Markup]:
    parts = [
        Markup('<path class="grid" d="M{0} {2:.1f}H{1}"/><text class="y" x="{3}" y="{4:.1f}">{5}</text>').format(
            _LEFT, WIDTH - _RIGHT, y_of(level), _LEFT - 7, y_of(level) + 4, chart.write_tick(level)
        )
        for level in levels
    ]
    step = max(1, math.ceil((chart.last_x + 1) / 10))
    step = next((nice for nice in (1, 2, 5) if nice >= step), 10 * math.ceil(step / 10))
    parts += [
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(x_of(x), HEIGHT - _BOTTOM + 16, x)
        for x in range(0, chart.last_x + 1, step)
    ]
    label = Markup('<text class="x name" x="{:.1f}" y="{}">{}</text>')
    return [*parts, label.format((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, chart.x_label)]


def _curve(
    series: Series, chart: LineChart, x_of: Callable[[float], float], y_of: Callable[[float], float]
) -> list[Markup]:
    if not series.points:
        return []
    path = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in series.points)
    parts = [Markup('<path class="line {}" d="M{}"/>').format(series.style, path)]
    if len(series.points) <= MOST_DOTS:
        parts += [
            Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"><title>{}</title></circle>').format(
                series.style, x_of(x), y_of(y), f"{series.name}, {chart.x_label} {x:g}: {chart.write(y)}"
            )
            for x, y in series.points
        ]
    return parts


def _marks(chart: LineChart, x_of: Callable[[float], float]) -> list[Markup]:
    """Marks of one x stand side by side; a thin line leads down from them."""
    together: dict[float, list[Mark]] = {}
    for mark in chart.marks:
        together.setdefault(mark.x, []).append(mark)
    parts = []
    for position, marks in together.items():
        x = x_of(position)
        parts.append(Markup('<path class="lead" d="M{0:.1f} {1}V{2}"/>').format(x, _LANE + 8, HEIGHT - _BOTTOM))
        parts += [
            Markup('<g transform="translate({:.1f} {})"><title>{}</title>{}</g>').format(
                x + _BETWEEN_MARKS * (place - (len(marks) - 1) / 2), _LANE, mark.text, MARKS[mark.kind]
            )
            for place, mark in enumerate(marks)
        ]
    return parts


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of a grid: ``cells`` are (kind, tooltip) by column; ``kind`` is a key of ``MARKS``, empty for none."""

    label: str
    cells: Sequence[tuple[str, str]]


def grid(title: str, description: str, rows: Sequence[GridRow]) -> Markup | None:
    """Symbols in rows and numbered columns; None if it would have more than ``MOST_CELLS``."""
    columns = max((len(row.cells) for row in rows), default=0)
    if not columns or columns * len(rows) > MOST_CELLS:
        return None
    left, size, top = 92, 20, 20
    width, height = left + columns * size + 4, top + len(rows) * size + 4
    parts = [
        Markup('<text class="x" x="{}" y="12">{}</text>').format(left + (column + 0.5) * size, column)
        for column in range(0, columns, 1 if columns <= 30 else 5)
    ]
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * size
        parts.append(Markup('<text class="label" x="0" y="{}">{}</text>').format(y + 4, row.label))
        parts += [
            Markup('<g transform="translate({} {})"><title>{}</title>{}</g>').format(
                left + (column + 0.5) * size, y, tooltip, MARKS[kind]
            )
            for column, (kind, tooltip) in enumerate(row.cells)
            if kind
        ]
    return Markup(
        '<svg class="matrix" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}: {3}">{4}</svg>'
    ).format(width, height, title, description, Markup("").join(parts))
