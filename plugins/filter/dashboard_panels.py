"""From Grafana dashboard models to panels as a report draws them, and to the questions that they ask.

What Grafana fills in when somebody looks is filled in here: its variables with "all", its intervals. Matchers
for the external labels of the deployment are added, because a backend may hold the series of others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import promql_parser
from ansible.errors import AnsibleFilterError

# A chart is a few hundred pixels wide; metric_history accepts a few more.
_POINTS = 180
_ALL = ".+"
_KINDS = {"timeseries": "lines", "stat": "stat", "gauge": "stat", "barchart": "bars", "bargauge": "bars"}
# The names of Grafana's colours may begin with a shade, such as dark-red.
_LEVELS = {"green": "ok", "blue": "ok", "yellow": "warning", "orange": "warning", "red": "bad"}

_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<range>\[[^\]]*\])|(?P<name>[a-zA-Z_:][\w:]*)|(?P<number>[0-9][\w.]*)|(?P<other>\S)"""
)
_GROUPING = ("by", "without", "on", "ignoring", "group_left", "group_right")


def history_step(window: int) -> int:
    """Seconds between two values of a window."""
    return max(1, int(window) // _POINTS)


def dashboard_panels(
    dashboards: Sequence[Mapping[str, Any]], labels: Mapping[str, str], window: int, scrape_interval: int
) -> list[dict[str, Any]]:
    """Each dashboard with its panels from top to bottom: all that a chart needs of them but the values."""
    step = history_step(window)
    intervals = {
        "__range": f"{window}s",
        "__range_s": str(window),
        "__range_ms": str(window * 1000),
        "__interval": f"{step}s",
        "__interval_ms": str(step * 1000),
        # As Grafana computes it: a window this wide always holds enough samples for a rate.
        "__rate_interval": f"{max(step + scrape_interval, 4 * scrape_interval)}s",
    }
    found = []
    for dashboard in dashboards:
        chosen = _chosen(dashboard)
        panels = []
        for model in sorted(_models(dashboard), key=_place):
            panel = _panel(dashboard["uid"], model)
            for question in panel["questions"]:
                expr = _filled(question["expr"], intervals, chosen, question["key"])
                question["expr"] = with_labels(expr, labels, question["key"])
            panels.append(panel)
        texts = {key: dashboard.get(key) or "" for key in ("uid", "title", "description")}
        found.append({**texts, "panels": panels})
    return found


def panel_questions(dashboards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The questions of all panels as metric_history takes them."""
    return [
        {name: question[name] for name in ("key", "expr", "instant")}
        for dashboard in dashboards
        for panel in dashboard["panels"]
        for question in panel["questions"]
    ]


def _models(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Panels with questions, those inside collapsed rows as well."""
    for panel in dashboard.get("panels", []):
        if panel.get("type") == "row":
            yield from panel.get("panels", [])
        elif panel.get("targets"):
            yield panel


def _place(panel: Mapping[str, Any]) -> tuple[int, int]:
    place = panel.get("gridPos", {})
    return place.get("y", 0), place.get("x", 0)


def _panel(uid: str, model: Mapping[str, Any]) -> dict[str, Any]:
    key = f"{uid}/{model['id']}"
    if model["type"] not in _KINDS:
        raise AnsibleFilterError(f"{key}: one of {', '.join(_KINDS)} was expected, not type {model['type']}")
    kind = _KINDS[model["type"]]
    defaults = model.get("fieldConfig", {}).get("defaults", {})
    return {
        "id": key.replace("/", "-"),
        "title": model["title"],
        "description": model.get("description") or "",
        "kind": kind,
        "unit": defaults.get("unit") or "",
        "minimum": defaults.get("min"),
        "maximum": defaults.get("max"),
        "thresholds": _thresholds(defaults),
        "base": _base(defaults),
        "questions": [
            {
                "key": f"{key}/{target.get('refId') or place}",
                "expr": target["expr"],
                "legend": target.get("legendFormat") or "",
                # Bars show one value per series, that of now.
                "instant": kind == "bars" or bool(target.get("instant")),
            }
            for place, target in enumerate(model["targets"])
        ],
    }


def _thresholds(defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps with a limit; the first one of Grafana is what lies below them all."""
    return [
        {"value": float(step["value"]), "level": _level(step["color"])}
        for step in (defaults.get("thresholds") or {}).get("steps", [])
        if step.get("value") is not None
    ]


def _base(defaults: Mapping[str, Any]) -> str:
    """What lies below all limits: nothing to tell where that is good, or where there are no limits."""
    steps = (defaults.get("thresholds") or {}).get("steps", [])
    base = next((_level(step["color"]) for step in steps if step.get("value") is None), "ok")
    return base if base != "ok" and len(steps) > 1 else ""


def _level(colour: str) -> str:
    return _LEVELS.get(colour.rpartition("-")[2], "bad")


def with_labels(expr: str, labels: Mapping[str, str], key: str = "expression") -> str:
    """The expression with matchers for the labels in every selector."""
    selectors = _selectors(expr, key)
    names = {selector.name for selector in selectors}
    matchers = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    if not matchers:
        return expr
    tokens = [match for match in _TOKEN.finditer(expr) if match.lastgroup != "comment"]
    inserts: list[tuple[int, str]] = []
    for place, token in enumerate(tokens):
        following = tokens[place + 1].group() if place + 1 < len(tokens) else ""
        if token.group() == "{":
            inserts.append((token.end(), matchers if following == "}" else f"{matchers},"))
        elif (
            token.lastgroup == "name"
            and token.group() in names
            and following not in ("{", "(")
            and not _in_list(tokens, place)
        ):
            inserts.append((token.end(), f"{{{matchers}}}"))
    for position, text in reversed(inserts):
        expr = expr[:position] + text + expr[position:]
    expected = set(labels)
    for selector in _selectors(expr, key):
        if not expected <= {matcher.name for matcher in selector.matchers.matchers}:
            raise AnsibleFilterError(f"{key}: the labels {sorted(expected)} do not fit into {expr!r}")
    return expr


def _in_list(tokens: Sequence[re.Match[str]], place: int) -> bool:
    """Whether a name stands in the label list of by, on and their like, or between braces."""
    for before in range(place - 1, -1, -1):
        text = tokens[before].group()
        if text in (")", "}"):
            return False
        if text == "{":
            return True
        if text == "(":
            return before > 0 and tokens[before - 1].group().lower() in _GROUPING
    return False


def _selectors(expr: str, key: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    try:
        promql_parser.walk(promql_parser.parse(expr), visit)
    except ValueError as error:
        raise AnsibleFilterError(f"{key}: PromQL was expected, not {expr!r}: {error}") from error
    return found


def _chosen(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """The value of each template variable: all of them where that can be chosen, else the current one."""
    chosen = {}
    for variable in dashboard.get("templating", {}).get("list", []):
        current = (variable.get("current") or {}).get("value")
        if variable.get("includeAll") or variable.get("type") == "query":
            chosen[variable["name"]] = str(variable.get("allValue") or _ALL)
        elif current:
            chosen[variable["name"]] = "|".join(current) if isinstance(current, list) else str(current)
    return chosen


def _filled(expr: str, intervals: Mapping[str, str], chosen: Mapping[str, str], key: str) -> str:
    """The expression without Grafana's variables."""
    for name, value in chosen.items():
        # Nothing equals "all": where a single choice is expected, any value is.
        expr = _replaced(rf'(?<![!=~])=\s*"(?:\${name}|\${{{name}(?::\w+)?}})"', f'=~"{value}"', expr)
    for name, value in {**intervals, **chosen}.items():
        expr = _replaced(rf"\${name}\b|\${{{name}(?::\w+)?}}", value, expr)
    unknown = re.search(r"\$\{?[a-zA-Z_]\w*", expr)
    if unknown:
        raise AnsibleFilterError(
            f"{key}: {unknown.group()} is neither a variable of the dashboard nor an interval of Grafana"
        )
    return expr


def _replaced(pattern: str, text: str, expr: str) -> str:
    """The text as it is: a regular expression in it may hold backslashes."""
    return re.sub(pattern, lambda _match: text, expr)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "dashboard_panels": dashboard_panels,
            "panel_questions": panel_questions,
            "history_step": history_step,
        }
