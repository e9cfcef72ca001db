"""Small dashboards in the shape of Grafana's models, and histories as metric_history gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def panel(number: int, title: str, kind: str, *exprs: str, **more: Any) -> dict[str, Any]:
    """A panel. `unit`, `legend`, `description`, `steps` (thresholds) and `instant` as in Grafana's model."""
    defaults: dict[str, Any] = {"unit": more.get("unit", "")}
    if "steps" in more:
        steps = [{"color": "green", "value": None}]
        steps += [{"color": colour, "value": value} for colour, value in more["steps"]]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "title": title,
        "type": kind,
        "description": more.get("description", ""),
        "gridPos": {"x": 12 * ((number - 1) % 2), "y": 8 * ((number - 1) // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "expr": expr,
                "legendFormat": more.get("legend", "__auto"),
                "instant": more.get("instant", False),
            }
            for place, expr in enumerate(exprs)
        ],
    }


def dashboard(*panels: Mapping[str, Any], uid: str = "soundcheck-test", **more: Any) -> dict[str, Any]:
    """A dashboard with the two variables that the project's own have."""
    variable = {"type": "query", "includeAll": True, "allValue": ".*", "current": {"value": ["$__all"]}}
    return {
        "uid": uid,
        "title": "Test",
        "description": "What a test needs.",
        "templating": {"list": [{"name": name, **variable} for name in ("service", "instance")]},
        "panels": list(panels),
        **more,
    }


def answer(*series: tuple[Mapping[str, str], str], omitted: int = 0, problem: str = "") -> dict[str, Any]:
    """What metric_history says to one query; values as it writes them, `-` where there is none."""
    lines = [{"labels": dict(labels), "values": values} for labels, values in series]
    return {"series": lines, "omitted": omitted, "problem": problem}


def history(answers: Mapping[str, Any], points: int = 6, step: int = 60) -> dict[str, Any]:
    return {"start": 1_790_000_000.0, "step": step, "points": points, "queries": dict(answers)}


def values(numbers: Sequence[float | str]) -> str:
    return " ".join(str(number) for number in numbers)
