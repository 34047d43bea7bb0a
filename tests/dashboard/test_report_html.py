from __future__ import annotations

import dataclasses
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pot_chain
from pot_chain.dashboard.model import Escrow, EventKind, RoundRow, RunEvent, RunReport, tally_miners
from pot_chain.dashboard.report import render_html

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=alert(1) </title></style></svg>{{ 7*7 }}"
_frozen_fixture = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Page(HTMLParser):
    """Elements, attributes and texts of a page; fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _hostile(report: RunReport, text: str) -> RunReport:
    """``text`` in every place that somebody else can write."""
    miner = dataclasses.replace(report.miners[0], address=text, label=text)
    row = dataclasses.replace(report.rounds[4], rejected={text: text}, checkpoint=text, record=text, transaction=text)
    return dataclasses.replace(
        report,
        miners=[miner, *report.miners[1:]],
        validators=[dataclasses.replace(report.validators[0], address=text, label=text), *report.validators[1:]],
        rounds=[*report.rounds[:4], row, *report.rounds[5:]],
        events=[
            *report.events,
            RunEvent(1.0, EventKind.VALIDATOR_KILLED, text, 3, text),
            RunEvent(1.0, EventKind.POISONER_ON, text, 3, text),
        ],
        spec={"name": text, text: [text]},
        spec_cid=text,
        model_cid=text,
        versions={text: text},
        machine=text,
        ipfs=dataclasses.replace(report.ipfs, backend=text, reason=text),
        chain=dataclasses.replace(report.chain, client=text, contracts={text: text}),
    )


def test_a_page_needs_nothing_else(report: RunReport) -> None:
    html = render_html(report)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert not [a for _, attributes in page.elements for a in attributes if a in ("src", "href", "srcset", "action")]
    assert not re.search(r"url\(|@import|https?:", html)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_hostile_strings_stay_text(report: RunReport) -> None:
    page = Page(render_html(_hostile(report, HOSTILE)))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img"})
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text


@_frozen_fixture
@given(text=st.text(min_size=1))
def test_no_text_changes_the_structure_of_the_page(report: RunReport, text: str) -> None:
    html = render_html(_hostile(report, text))
    assert html.encode("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b]", html)
    assert _structure(html) == _structure(render_html(_hostile(report, "x")))


def _structure(html: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Page(html).elements]


def test_the_verdict_is_that_of_the_checks(report: RunReport) -> None:
    assert "Every claim about this run holds" in Page(render_html(report)).text
    broken = dataclasses.replace(report, escrow=dataclasses.replace(report.escrow, left_wei=1))
    text = Page(render_html(broken)).text
    assert "1 of 5 claims about this run do not hold" in text
    assert "The money adds up to the wei: does not hold" in text
    assert all(sentence in text for sentence in broken.check())


def test_money_is_shown_to_the_wei(report: RunReport) -> None:
    text = Page(render_html(report)).text
    assert "Funded by the owner 1.000000000000000007" in text
    assert "Refunded to the owner 0.045000000000000007" in text
    odd = dataclasses.replace(report.miners[0], paid_wei=160_000_000_000_000_001)
    shown = Page(render_html(dataclasses.replace(report, miners=[odd, *report.miners[1:]]))).text
    assert "0.160000000000000001 16.8 %" in shown
    assert "0.120000000000000000 12.6 %" in shown


def test_the_reasons_stand_beside_the_miner(report: RunReport) -> None:
    text = Page(render_html(report)).text
    assert "15 5 gradient not reproduced (round 6-10) 0.12 12.6 %" in text


def test_tables_and_pictures_are_accessible(report: RunReport) -> None:
    html = render_html(report)
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    pictures = [svg for svg in page.all("svg") if svg.get("class") != "key"]
    assert len(pictures) == 3
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg") if svg.get("class") == "key")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    labelled = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert len(ids) == len(set(ids))
    assert labelled <= set(ids)


def test_text_has_the_contrast_that_wcag_asks_for() -> None:
    css = (Path(pot_chain.__file__).parent / "dashboard" / "templates" / "report.css.j2").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(schemes) == 2
    for colours in schemes:
        for ink, ground in (
            *((ink, ground) for ink in ("ink", "soft") for ground in ("page", "card")),
            *((ink, "card") for ink in ("bad", "warn", "ours", "good")),
            *((ink, f"{mood}-page") for mood in ("good", "bad") for ink in ("ink", mood)),
        ):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for shape in ("ours", "reference", "accepted", "bad", "good", "warn"):
            assert _contrast(colours[shape], colours["card"]) >= 3, shape


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2, 1.4.3 and 1.4.11)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_a_run_in_which_nothing_happened_has_a_page_too(report: RunReport) -> None:
    empty = dataclasses.replace(
        report,
        rounds=[],
        miners=[],
        validators=[],
        events=[],
        spec={},
        centralized=dataclasses.replace(report.centralized, rounds=[]),
        escrow=Escrow(0, 0, 0, 0),
        started_at=10**18,
    )
    assert "do not hold" in Page(render_html(empty)).text


def test_skipped_rounds_and_large_runs(report: RunReport) -> None:
    miners = [f"0x{number:040x}" for number in range(60)]
    rows = [RoundRow(n, 0, miners, {}, 1.0, 1 / (n + 1), 0.5, 1.0, 60) for n in range(150)]
    rows.append(RoundRow(150, 0, [], {}, None, None, None, 60.0, 0, skipped=True))
    large = dataclasses.replace(report, rounds=rows, miners=tally_miners(rows, dict.fromkeys(miners, 150)))
    page = Page(render_html(large))
    assert "skipped: no outcome before the deadline" in page.text
    assert not [svg for svg in page.all("svg") if svg.get("class") == "matrix"]


def test_templates_are_shipped() -> None:
    package = Path(pot_chain.__file__).parent
    project = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["pot_chain"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    templates = set((package / "dashboard" / "templates").iterdir())
    assert len(templates) == 2
    assert templates <= shipped
