from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pot_chain.dashboard import charts
from pot_chain.dashboard.charts import HEIGHT, WIDTH, Band, GridRow, LineChart, Mark, Series, grid, line_chart, ticks
from pot_chain.dashboard.text import visible

values = st.floats(-1e12, 1e12)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _chart(curve: list[float], title: str = "loss", kinds: tuple[str, ...] = ()) -> LineChart:
    return LineChart(
        title=title,
        description=title,
        x_label="round",
        last_x=max(len(curve) - 1, 0),
        series=[Series(title, "ours", list(enumerate(curve)))],
        write=lambda y: f"{y:.4f}",
        write_tick=lambda y: f"{y:g}",
        marks=[Mark(0, kind, title) for kind in kinds],
        bands=[Band(0, 0, title)],
    )


@given(values, values)
def test_ticks_are_few_even_and_cover_the_values(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    levels = ticks(low, high)
    room = 1e-6 * max(1.0, abs(low), abs(high))
    assert 2 <= len(levels) <= 6
    assert levels[0] <= low + room
    assert levels[-1] >= high - room
    steps = [after - before for before, after in itertools.pairwise(levels)]
    assert min(steps) > 0
    assert max(steps) - min(steps) <= room


def test_ticks_of_everyday_values() -> None:
    assert ticks(0.14, 1.69) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert ticks(0.46, 0.96) == [0.4, 0.6000000000000001, 0.8, 1.0]


@given(st.lists(values, max_size=80))
def test_a_chart_is_well_formed_and_its_curve_stays_inside(curve: list[float]) -> None:
    root = ElementTree.fromstring(line_chart(_chart(curve)))
    for path in (element for element in root.iter("path") if "line" in element.get("class", "")):
        numbers = [float(number) for number in NUMBER.findall(path.get("d", ""))]
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])
        assert len(numbers) == 2 * len(curve)


def test_a_higher_value_is_drawn_higher() -> None:
    first, second = list(ElementTree.fromstring(line_chart(_chart([2.0, 1.0]))).iter("circle"))
    assert float(first.get("cy", "")) < float(second.get("cy", ""))
    assert float(first.get("cx", "")) < float(second.get("cx", ""))


def test_marks_of_one_round_do_not_cover_each_other() -> None:
    root = ElementTree.fromstring(line_chart(_chart([2.0, 1.0], kinds=("killed", "view", "restarted"))))
    places = [float(NUMBER.findall(mark.get("transform", ""))[0]) for mark in root.iter("g")]
    assert len(places) == 3
    assert min(after - before for before, after in itertools.pairwise(places)) >= 12


@given(st.text().map(visible))  # as the caller of charts passes it
def test_texts_of_strangers_stay_texts(text: str) -> None:
    plain = [element.tag for element in ElementTree.fromstring(line_chart(_chart([1.0], "x", ("view",)))).iter()]
    root = ElementTree.fromstring(line_chart(_chart([1.0], text, ("view",))))
    assert [element.tag for element in root.iter()] == plain
    assert root.get("aria-label") == f"{text}: {text}"


def test_what_cannot_be_drawn() -> None:
    assert not any(charts.plottable(y) for y in (None, float("nan"), float("inf"), -float("inf"), 1e300))
    assert charts.plottable(0.5)


def test_a_grid_names_rows_and_columns() -> None:
    drawn = grid("who", "what", [GridRow("miner <1>", [("accepted", "yes"), ("rejected", "no"), ("", "")])])
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    assert [text.text for text in root.iter("text")] == ["0", "1", "2", "miner <1>"]
    assert [title.text for title in root.iter("title")] == ["yes", "no"]


def test_a_grid_that_is_empty_or_too_large_is_not_drawn() -> None:
    assert grid("who", "what", []) is None
    row = GridRow("miner", [("accepted", "")] * (charts.MOST_CELLS // 2))
    assert grid("who", "what", [row, row]) is not None
    assert grid("who", "what", [row, row, row]) is None
