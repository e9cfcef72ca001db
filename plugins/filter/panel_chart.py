"""Draw what a panel shows as inline SVG.

Colours are names that the page defines, for light and for dark; text is text, in the reader's own fonts.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

WIDTH, HEIGHT, SPARK_HEIGHT, ROW_HEIGHT = 360, 190, 90, 34  # points; a phone shows them one to one
COLOURS = 6
DASHES = ("solid", (0, (4, 2)))
_TIME_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
# What happened at a moment, as a line from top to bottom: colour and dashes.
MARKS = {"deploy": ("ink", (1, 2)), "bundle": ("bad", (4, 2))}
# Beyond these a threshold would press the values flat; the page names it all the same.
_FARTHEST_THRESHOLD = 3
_LABEL_LENGTH = 46
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

# matplotlib wants colours of its own; each is replaced by the name of the page's.
_NAMES = {
    "#010101": "var(--ink)",
    "#020202": "var(--grid)",
    "#030303": "var(--rest)",
    "#040404": "var(--ok)",
    "#050505": "var(--warning)",
    "#060606": "var(--bad)",
    **{f"#0707{number:02x}": f"var(--series-{number})" for number in range(COLOURS)},
}
_STANDS_FOR = {name: colour for colour, name in _NAMES.items()}


def panel_chart(view: Mapping[str, Any]) -> str:
    """The chart of a view of `panel_views`; nothing where there are no data, or a number alone."""
    number_alone = view["kind"] == "stat" and all(len(entry["values"]) == 1 for entry in view["series"])
    if view["empty"] or number_alone:
        return ""
    # Filters are loaded by every playbook run, and this import takes half a second.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    height = _height(view)
    with (
        rc_context({"svg.fonttype": "none", "svg.hashsalt": view["id"], "font.size": 11}),
        warnings.catch_warnings(),
    ):
        # The fonts that measure the text lack most scripts; those that show it are the reader's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        figure.patch.set_visible(False)
        canvas = FigureCanvasSVG(figure)
        (_draw_bars if view["kind"] == "bars" else _draw_lines)(figure, view, height)
        drawn = io.BytesIO()
        canvas.print_svg(drawn, metadata={"Date": None})
    return _inline(drawn.getvalue(), view["id"], view["alternative"])


def charted(dashboards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The views of `panel_views`, each panel with its chart."""
    return [
        {
            **dashboard,
            "panels": [{**panel, "chart": panel_chart(panel)} for panel in dashboard["panels"]],
        }
        for dashboard in dashboards
    ]


def _height(view: Mapping[str, Any]) -> int:
    if view["kind"] == "bars":
        return ROW_HEIGHT * sum(entry["style"] is not None for entry in view["series"]) + 4
    return SPARK_HEIGHT if view["kind"] == "stat" else HEIGHT


# --- lines -------------------------------------------------------------------------------------------


def _draw_lines(figure: Any, view: Mapping[str, Any], height: int) -> None:
    factor, unit = view["scale"]
    low, high = _limits(view)
    ticks = value_ticks(low, high, factor, 2 if view["kind"] == "stat" else 4)
    labels = [f"{round(tick / factor, 10):,g}" for tick in ticks]
    top = 8 if view["kind"] == "stat" else 20
    left, bottom = 12 + 8 * max([4, *map(len, labels)]), 20
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, 1 - (left + 10) / WIDTH, 1 - (bottom + top) / height)
    )
    # The most important lines lie on top.
    for entry in sorted(view["series"], key=lambda entry: entry["style"] is not None):
        _draw_series(axes, entry, view)
    for step in view["thresholds"]:
        if low <= step["value"] <= high:
            colour = _colour(step["level"])
            axes.axhline(step["value"], color=colour, linewidth=1.2, dashes=(6, 3), zorder=1.5)
    for mark in view.get("marks", ()):
        colour, dashes = MARKS[mark["kind"]]
        axes.axvline(mark["at"], color=_colour(colour), linewidth=1.2, dashes=dashes, zorder=1.6)
    if view["kind"] != "stat":
        figure.text(0, 1, unit, va="top", parse_math=False, color=_colour("ink"))
    axes.set_ylim(low, high)
    axes.set_xlim(view["start"], view["end"])
    axes.set_yticks(ticks, labels)
    times = time_ticks(view["start"], view["end"])
    axes.set_xticks(times, [_clock(moment, view["end"] - view["start"]) for moment in times])
    axes.grid(axis="y", color=_colour("grid"), linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_colour("ink"), length=3, pad=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_colour("ink"))
    axes.patch.set_visible(False)


def _draw_series(axes: Any, entry: Mapping[str, Any], view: Mapping[str, Any]) -> None:
    values = [math.nan if value is None else value for value in entry["values"]]
    moments = [view["end"] - (len(values) - 1 - place) * view["step"] for place in range(len(values))]
    style = entry["style"]
    look = {"color": _colour("rest"), "linewidth": 0.7, "zorder": 2}
    if style is not None:
        look = {
            "color": _colour(f"series-{style % COLOURS}"),
            # The later ones are thinner: where two lines are the same, both show.
            "linewidth": 2.6 - 0.3 * (style % COLOURS),
            "linestyle": DASHES[style // COLOURS],
            "zorder": 3,
        }
    axes.plot(moments, values, solid_joinstyle="round", **look)
    alone = [place for place in range(len(values)) if _alone(entry["values"], place)]
    if alone:
        # A line needs two points; what has no neighbour would be invisible.
        axes.plot(
            [moments[place] for place in alone],
            [values[place] for place in alone],
            linestyle="none",
            marker="o",
            markersize=3.5,
            markeredgewidth=0,
            color=look["color"],
            zorder=look["zorder"],
        )


def _alone(values: Sequence[float | None], place: int) -> bool:
    before = values[place - 1] if place else None
    after = values[place + 1] if place + 1 < len(values) else None
    return values[place] is not None and before is None and after is None


def _limits(view: Mapping[str, Any]) -> tuple[float, float]:
    """From zero where nothing is negative; thresholds are inside where that leaves the values readable."""
    values = [value for entry in view["series"] for value in entry["values"] if value is not None]
    low, high = min([*values, 0.0]), max([*values, 0.0])
    near = [step["value"] for step in view["thresholds"] if 0 < step["value"] <= high * _FARTHEST_THRESHOLD]
    high = max([high, *near])
    if high == low:
        high = low + (1.0 if not low else abs(low))
    spread = high - low
    low = low if not low else low - 0.05 * spread
    high += 0.05 * spread
    return (
        low if view["minimum"] is None else min(low, float(view["minimum"])),
        high if view["maximum"] is None else max(high, float(view["maximum"]) * 1.02),
    )


def value_ticks(low: float, high: float, factor: float, count: int) -> list[float]:
    """Round numbers in the unit that stands beside them, inside the axis."""
    raw = (high - low) / factor / count
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(magnitude * nice for nice in (1, 2, 2.5, 5, 10) if magnitude * nice >= raw * 0.999) * factor
    first = math.ceil(low / step - 1e-9)
    return [place * step for place in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(start: float, end: float) -> list[float]:
    """At most five round times."""
    step = next((step for step in _TIME_STEPS if (end - start) / step <= 5), _TIME_STEPS[-1])
    return [float(moment) for moment in range(math.ceil(start / step) * step, math.floor(end) + 1, step)]


def _clock(moment: float, span: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M" if span <= 86400 else "%m-%d %H:%M")


# --- bars --------------------------------------------------------------------------------------------


def _draw_bars(figure: Any, view: Mapping[str, Any], height: int) -> None:
    """A bar with its label and value above it, the largest first: no label is cut by an axis."""
    axes = figure.add_axes((0, 0, 1, 1))
    shown = [entry for entry in view["series"] if entry["style"] is not None]
    longest = max([*(abs(entry["peak"]) for entry in shown), float(view["maximum"] or 0)]) or 1.0
    for place, entry in enumerate(shown):
        top = height - place * ROW_HEIGHT
        length = (WIDTH - 2) * max(entry["peak"], 0.0) / longest
        axes.barh(top - 24, WIDTH - 2, left=1, height=10, color=_colour("grid"), linewidth=0)
        axes.barh(
            top - 24, length, left=1, height=10, color=_colour(entry["level"] or "series-0"), linewidth=0
        )
        axes.text(1, top - 4, _short(entry["name"]), va="top", parse_math=False, color=_colour("ink"))
        axes.text(
            *(WIDTH - 1, top - 4, entry["last_text"]),
            va="top",
            ha="right",
            parse_math=False,
            color=_colour("ink"),
        )
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, height)
    axes.axis("off")


def _short(name: str) -> str:
    """Without its middle: names differ at their ends."""
    half = _LABEL_LENGTH // 2
    return name if len(name) <= _LABEL_LENGTH else f"{name[: half - 1]}…{name[-half:]}"


# --- SVG ---------------------------------------------------------------------------------------------


def _colour(name: str) -> str:
    return _STANDS_FOR[f"var(--{name})"]


def _inline(document: bytes, identity: str, alternative: str) -> str:
    """The SVG element alone, for a page that holds many: without ids that clash, sized by the page."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(document)
    # A style element would hold for the whole page, whose own says the same.
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    referenced = set(re.findall(r"#([\w-]+)", document.decode("utf-8")))
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in referenced:
            element.set("id", f"{identity}-{name}")
        for key, value in element.attrib.items():
            if key == "style":
                element.set(key, re.sub("#[0-9a-f]{6}", lambda colour: _NAMES[colour[0]], value))
            elif key in ("clip-path", f"{{{_XLINK}}}href"):
                element.set(key, value.replace("#", f"#{identity}-"))
    for name in ("width", "height"):
        del root.attrib[name]
    root.set("role", "img")
    root.set("aria-label", alternative)
    return ElementTree.tostring(root, encoding="unicode")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"charted": charted}
