"""Charts as SVG: every type of panel, and the values that break drawings."""

from __future__ import annotations

import re
import warnings
from typing import Any
from xml.etree import ElementTree

import pytest

from plugins.filter.dashboard_panels import dashboard_panels
from plugins.filter.panel_chart import charted, time_ticks, value_ticks
from plugins.filter.panel_views import panel_views
from tests.dashboards import answer, dashboard, history, panel, values
from tests.render import TEMPLATES

SVG = "{http://www.w3.org/2000/svg}"


def chart(kind: str, *series: tuple[dict[str, str], str], **more: Any) -> str:
    """The chart of a panel of this type."""
    model = panel(1, "Panel", kind, "a", legend="{{ n }}", **more)
    panels = dashboard_panels([dashboard(model)], {}, 3600, 15)
    shown = panel_views(panels, history({"soundcheck-test/1/A": answer(*series)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return str(charted(shown)[0]["panels"][0]["chart"])


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def strokes(svg: str, colour: str) -> list[str]:
    """The paths drawn in a colour of the page."""
    return [
        element.get("d", "")
        for element in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if f"stroke: var(--{colour})" in element.get("style", "")
    ]


@pytest.mark.parametrize("kind", ["timeseries", "stat", "barchart", "bargauge"])
def test_every_type_is_drawn_for_a_reader_and_for_a_listener(kind: str) -> None:
    svg = ElementTree.fromstring(chart(kind, ({"n": "a"}, "1 2 3 4 5 6"), unit="s"))
    assert svg.tag == f"{SVG}svg"
    assert svg.get("role") == "img"
    assert "a 6 s" in svg.get("aria-label", "")
    assert svg.get("width") is None, "the page sizes it"
    assert [*svg.iter(f"{SVG}path")]


@pytest.mark.parametrize("kind", ["timeseries", "stat", "barchart", "bargauge"])
def test_without_data_nothing_is_drawn(kind: str) -> None:
    assert chart(kind) == ""
    assert chart(kind, ({}, "nan nan nan nan nan nan")) == ""


def test_a_number_alone_needs_no_chart() -> None:
    assert chart("stat", ({}, "4"), instant=True) == ""


@pytest.mark.parametrize(
    "numbers",
    [
        *("0 0 0 0 0 0", "5 5 5 5 5 5", "-1 -2 -3 -1 -2 -3", "-1 1 -1 1 -1 1", "1e-9 1e-9 0 0 0 0"),
        *("1e290 1 1 1 1 1", "nan 1 inf -inf - 2", "- - 1 - - -", "1e-300 0 0 0 0 0"),
    ],
)
@pytest.mark.parametrize("kind", ["timeseries", "stat"])
def test_odd_values_are_drawn(kind: str, numbers: str) -> None:
    svg = chart(kind, ({"n": "a"}, numbers), steps=[("red", 2)], unit="bytes")
    assert "<path" in svg
    assert "nan" not in svg.lower()


@pytest.mark.parametrize("number", ["0", "-3", "1e-300", "1e290"])
def test_odd_values_are_bars(number: str) -> None:
    assert "<path" in chart("bargauge", ({"n": "a"}, number), ({"n": "b"}, "nan"), unit="s")


def test_a_gap_is_a_gap() -> None:
    """Missing values are neither bridged nor zero: the line begins anew behind them."""
    [whole] = strokes(chart("timeseries", ({"n": "a"}, "5 6 5 6 5 6")), "series-0")
    [broken] = strokes(chart("timeseries", ({"n": "a"}, "5 6 - - 5 6")), "series-0")
    assert (whole.count("M"), broken.count("M")) == (1, 2)
    assert broken.count("L") == 2


def test_a_single_value_is_a_dot() -> None:
    svg = ElementTree.fromstring(chart("timeseries", ({"n": "a"}, "5 6 - 4 - -")))
    dots = [use for use in svg.iter(f"{SVG}use") if "fill: var(--series-0)" in use.get("style", "")]
    assert len(dots) == 1


def test_fifty_series_are_told_apart_as_far_as_eyes_do() -> None:
    svg = chart("timeseries", *(({"n": str(n)}, values([n] * 6)) for n in range(50)))
    for colour in range(6):
        assert len(strokes(svg, f"series-{colour}")) == 2, "once solid, once dashed"
    assert len(strokes(svg, "rest")) == 38


@pytest.mark.parametrize(
    ("limit", "drawn"),
    [(2, 1), (14, 1), (40, 0)],
)
def test_a_threshold_is_a_line_where_it_leaves_the_values_readable(limit: float, drawn: int) -> None:
    svg = chart("timeseries", ({"n": "a"}, "1 2 3 4 5 5"), steps=[("red", limit)])
    assert len(strokes(svg, "bad")) == drawn


@pytest.mark.parametrize("kind", ["timeseries", "barchart"])
@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "$x^2$ \\alpha", "한국어 작업", "a\x00b", "&amp;"]
)
def test_labels_are_text(kind: str, name: str) -> None:
    svg = chart(kind, ({"n": name}, "1 2 3 4 5 6"))
    root = ElementTree.fromstring(svg)
    shown = name.replace("\x00", "?")
    assert shown in root.get("aria-label", "")
    assert "<script" not in svg
    if kind == "barchart":
        assert shown in texts(svg)


def test_a_long_label_keeps_both_ends() -> None:
    svg = chart("barchart", ({"n": "music.tasks.charts.update_realtime_chart.v2 - success"}, "3"))
    [label, value] = texts(svg)
    assert label.startswith("music.tasks.charts.")
    assert label.endswith("v2 - success")
    assert "…" in label
    assert value == "3"


def test_axes_say_units_and_utc_times() -> None:
    svg = chart("timeseries", ({"n": "a"}, values([n * 1024**2 for n in range(6)])), unit="bytes")
    found = texts(svg)
    assert {"MiB", "0", "2", "4"} <= set(found)
    assert [text for text in found if re.fullmatch(r"\d\d:\d\d", text)] == [
        *("14:14", "14:15", "14:16", "14:17", "14:18"),
    ]


@pytest.mark.parametrize(
    ("low", "high", "factor", "ticks"),
    [
        (0, 10, 1, [0, 2.5, 5, 7.5, 10]),
        (0, 1, 1e-3, [0, 0.25, 0.5, 0.75, 1]),
        (-1.05, 1.05, 1, [-1, 0, 1]),
        (0, 3 * 1024, 1024, [0, 1024, 2048, 3072]),
        (0, 102, 1, [0, 50, 100]),
    ],
)
def test_ticks_are_round_in_their_unit(low: float, high: float, factor: float, ticks: list[float]) -> None:
    assert value_ticks(low, high, factor, 4) == pytest.approx(ticks)


@pytest.mark.parametrize(("span", "step"), [(300, 60), (900, 300), (3600, 900), (86400, 21600)])
def test_times_are_round(span: int, step: int) -> None:
    ticks = time_ticks(1_790_000_000, 1_790_000_000 + span)
    assert 2 <= len(ticks) <= 6
    assert all(tick % step == 0 for tick in ticks)


def test_charts_of_one_page_share_no_ids() -> None:
    models = [panel(number, "Panel", "timeseries", "a") for number in (1, 2)]
    panels = dashboard_panels([dashboard(*models)], {}, 3600, 15)
    answers = {f"soundcheck-test/{n}/A": answer(({}, "1 2 - 4 - -")) for n in (1, 2)}
    [shown] = charted(panel_views(panels, history(answers)))
    first, second = (re.findall(r' id="([^"]+)"', entry["chart"]) for entry in shown["panels"])
    assert first
    assert not set(first) & set(second)
    for entry, known in zip(shown["panels"], (first, second), strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', entry["chart"])) <= set(known)


def test_the_page_defines_every_colour_of_the_charts() -> None:
    page = (TEMPLATES / "report" / "page.css.j2").read_text(encoding="utf-8")
    drawn = "".join(
        chart(kind, *(({"n": str(n)}, values([n] * 6)) for n in range(50)), steps=[("green", 1), ("red", 2)])
        for kind in ("timeseries", "stat", "bargauge")
    )
    used = set(re.findall(r"var\(--([\w-]+)\)", drawn)) | {"warning"}
    light, dark = (set(re.findall(r"--([\w-]+):", part)) for part in page.split("prefers-color-scheme: dark"))
    assert used <= light
    assert used <= dark
