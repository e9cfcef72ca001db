"""From panels and the history of their questions to what a page says of each, in words and numbers.

Missing data is said and never becomes a zero: a value that is not there, or is not a number, is None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Lines in a style of their own; the others are drawn thin and grey, and counted.
STYLED = 12
# Beyond it nobody measures anything, and arithmetic with it overflows.
_LIMIT = 1e300
_MIN_SPAN = 300  # s; a chart of a deployment that has just begun is not one dot wide

_TIME = ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h"), (86400, "d"))
_BINARY = tuple((1024**power, f"{prefix}B") for power, prefix in enumerate(("", "Ki", "Mi", "Gi", "Ti")))
_DECIMAL = ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
# Grafana's unit ids: the factors above which a prefix is used, and what stands behind the number.
_UNITS: dict[str, tuple[tuple[float, str], ...]] = {
    "": ((1, ""),),
    "none": ((1, ""),),
    "short": _DECIMAL,
    "s": _TIME,
    "ms": tuple((factor * 1e3, name) for factor, name in _TIME),
    "bytes": _BINARY,
    "decbytes": tuple((factor, f"{prefix}B") for factor, prefix in _DECIMAL),
    "Bps": tuple((factor, f"{prefix}B/s") for factor, prefix in _DECIMAL),
    "binBps": tuple((factor, f"{name}/s") for factor, name in _BINARY),
    "bps": tuple((factor, f"{prefix}b/s") for factor, prefix in _DECIMAL),
    "percent": ((1, "%"),),
    "percentunit": ((0.01, "%"),),
    "reqps": ((1, "req/s"),),
    "ops": ((1, "ops/s"),),
    "cps": ((1, "/s"),),
    "iops": ((1, "io/s"),),
}


def unit_scale(unit: str, size: float) -> tuple[float, str]:
    """By what a number of this size is divided, and what stands behind it."""
    steps = _UNITS.get(unit) or ((1, unit.removeprefix("suffix:").strip()),)
    fitting = [step for step in steps if step[0] <= abs(size)]
    if fitting:
        return fitting[-1]
    # Zero has the plain unit; whatever is smaller than the smallest prefix has that.
    plain = [step for step in steps if step[0] == 1]
    return plain[0] if plain and not size else steps[0]


def number_text(value: float | None, unit: str) -> str:
    """Three digits and the unit."""
    if value is None:
        return "no data now"
    factor, name = unit_scale(unit, value)
    scaled = value / factor
    digits = f"{scaled:,.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{digits} {name}".rstrip()


def panel_views(
    dashboards: Sequence[Mapping[str, Any]],
    history: Mapping[str, Any],
    questions: Sequence[Mapping[str, Any]] = (),
    hidden_labels: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The dashboards with what their panels show.

    `questions`: of the catalogue, for their `empty_reason`. `hidden_labels`: those that all series share.
    """
    reasons = {question["title"]: question.get("empty_reason", "") for question in questions}
    views = []
    for dashboard in dashboards:
        panels = [
            _view(panel, history["queries"], reasons.get(panel["title"], ""), hidden_labels)
            for panel in dashboard["panels"]
        ]
        views.append({**dashboard, "panels": panels})
    _share_axis([panel for view in views for panel in view["panels"]], history)
    return views


def _view(
    panel: Mapping[str, Any], answers: Mapping[str, Any], reason: str, hidden: Sequence[str]
) -> dict[str, Any]:
    unit = panel["unit"]
    series, notes, problems = [], [], []
    for question in panel["questions"]:
        answer = answers[question["key"]]
        if answer["problem"]:
            problems.append(answer["problem"])
        if answer["omitted"]:
            notes.append(f"{answer['omitted']} more series are not shown")
        for line in answer["series"]:
            name = _legend(question["legend"], line["labels"], hidden) or panel["title"]
            series.append(_series(name, line["values"], unit))
    infinite = sum(entry["infinite"] for entry in series)
    if infinite:
        notes.append(f"{infinite} infinite values are not drawn")
    notes += [f"a question was not answered: {problem}" for problem in problems]
    drawn = [entry for entry in series if entry["peak"] is not None]
    if panel["kind"] == "bars":
        drawn.sort(key=lambda entry: entry["peak"], reverse=True)
    for entry in drawn:
        entry["level"] = _level(entry["last"], panel)
    _style(drawn)
    if len(drawn) > STYLED:
        more = "not drawn" if panel["kind"] == "bars" else "drawn thin and grey"
        notes.append(f"{len(drawn) - STYLED} more, {more}")
    view = {
        **{key: panel[key] for key in ("id", "title", "description", "kind", "unit", "minimum", "maximum")},
        "thresholds": [{**step, "text": number_text(step["value"], unit)} for step in panel["thresholds"]],
        "scale": unit_scale(unit, max((abs(entry["peak"]) for entry in drawn), default=0.0)),
        "series": drawn,
        "notes": [] if not drawn else notes,
        "empty": "" if drawn else _why_empty(series, problems, reason),
    }
    return {**view, "alternative": _alternative(view)}


def _level(value: float | None, panel: Mapping[str, Any]) -> str:
    if value is None:
        return ""
    reached = [step["level"] for step in panel["thresholds"] if value >= step["value"]]
    return str(reached[-1] if reached else panel["base"])


def _legend(pattern: str, labels: Mapping[str, str], hidden: Sequence[str]) -> str:
    if pattern and pattern != "__auto":
        return re.sub(r"{{\s*(\w+)\s*}}", lambda match: str(labels.get(match[1], "")), pattern).strip()
    shown = [f"{name}={value}" for name, value in labels.items() if name != "__name__" and name not in hidden]
    return ", ".join(shown) or labels.get("__name__", "")


def _series(name: str, values: str, unit: str) -> dict[str, Any]:
    numbers = [None if cell == "-" else float(cell) for cell in values.split()]
    cells = [number if number is not None and abs(number) < _LIMIT else None for number in numbers]
    last = cells[-1]
    peak = max((cell for cell in cells if cell is not None), default=None)
    return {
        # Labels may hold anything, but SVG is XML, which forbids control characters.
        "name": re.sub(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", name),
        "values": cells,
        "last": last,
        "peak": peak,
        "last_text": number_text(last, unit),
        "peak_text": number_text(peak, unit),
        "infinite": sum(number is not None and abs(number) >= _LIMIT for number in numbers),
        "not_a_number": "nan" in values,
        "style": None,
    }


def _style(drawn: list[dict[str, Any]]) -> None:
    """The largest get a style of their own, counted in the order in which they are listed."""
    ranked = sorted(range(len(drawn)), key=lambda place: drawn[place]["peak"], reverse=True)
    for style, place in enumerate(sorted(ranked[:STYLED])):
        drawn[place]["style"] = style


def _why_empty(series: Sequence[Mapping[str, Any]], problems: Sequence[str], reason: str) -> str:
    if problems:
        return f"the backend did not answer: {problems[0]}"
    if any(entry["not_a_number"] for entry in series):
        return reason or "every value is NaN, as when nothing happened that could be divided by"
    if series:
        return "no series has a finite value"
    return reason or "the backend holds no such series of this deployment for this time"


def _alternative(view: Mapping[str, Any]) -> str:
    """What the chart says, for those who do not see it."""
    if view["empty"]:
        return f"{view['title']}: no data, {view['empty']}"
    shown = [entry for entry in view["series"] if entry["style"] is not None][:8]
    parts = [
        f"{entry['name']} {entry['last_text']}"
        + ("" if view["kind"] == "bars" else f" (highest {entry['peak_text']})")
        for entry in shown
    ]
    left = len(view["series"]) - len(shown)
    more = f"; and {left} more" if left else ""
    return f"{view['title']}, last values: {'; '.join(parts)}{more}"


def _share_axis(panels: Sequence[dict[str, Any]], history: Mapping[str, Any]) -> None:
    """All charts begin where the backend's first value lies, so that they can be compared."""
    step, points = history["step"], history["points"]
    lines = [entry for panel in panels for entry in panel["series"] if len(entry["values"]) == points]
    first = min((_first_place(entry["values"]) for entry in lines), default=0)
    skipped = max(0, min(first - 1, points - 1 - math.ceil(_MIN_SPAN / step)))
    for entry in lines:
        entry["values"] = entry["values"][skipped:]
    for panel in panels:
        panel["start"] = history["start"] + skipped * step
        panel["end"] = history["start"] + (points - 1) * step
        panel["step"] = step


def _first_place(values: Sequence[float | None]) -> int:
    return next(place for place, value in enumerate(values) if value is not None)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"panel_views": panel_views}
