"""Ask a Prometheus API how values went and which alerts there are, for a report. Nothing is judged here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from .metric_probe_asking import Backend
from .metric_probe_facts import Problem

MAX_POINTS = 240
# More lines than these nobody tells apart; what is left out is counted.
MAX_SERIES = 60
MISSING = "-"
# The backend of a small server answers others at the same time.
_AT_ONCE = 4
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Window:
    """The time that is asked for: `seconds` until `end`, one value each `step` seconds."""

    end: float
    seconds: int
    step: int

    @property
    def start(self) -> float:
        return self.end - (self.points - 1) * self.step

    @property
    def points(self) -> int:
        return self.seconds // self.step + 1


@dataclass
class History:
    """Everything is asked within `timeout` seconds; what is not, says so."""

    backend: Backend
    window: Window
    timeout: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.deadline = self.clock() + self.timeout

    def answers(self, queries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The series of each query by its key, and the alert rules."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            rules = pool.submit(self.alerts)
            found = list(pool.map(self.series, queries))
        return {query["key"]: answer for query, answer in zip(queries, found, strict=False)}, rules.result()

    def series(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """One query. An instant one has a single value, that of the end."""
        window = replace(self.window, seconds=0) if query["instant"] else self.window
        limited, problem = self._limited()
        result: list[dict[str, Any]] = []
        if limited:
            result, problem = limited.query_range(query["expr"], window.start, window.end, window.step)
        lines: list[dict[str, Any]] = []
        try:
            lines = [{"labels": dict(entry["metric"]), "values": compact(entry, window)} for entry in result]
        except _UNREADABLE as error:
            problem = Problem("content", f"not an answer of a Prometheus API: {error!r}")
        kept = largest(lines, MAX_SERIES)
        return {"series": kept, "omitted": len(lines) - len(kept), "problem": problem.text if problem else ""}

    def alerts(self) -> dict[str, Any]:
        """The alert rules with the alerts of this deployment; the backend may know those of others, too."""
        limited, problem = self._limited()
        groups: list[dict[str, Any]] = []
        if limited:
            groups, problem = limited.alert_rules()
        rules: list[dict[str, Any]] = []
        try:
            rules = [_rule(rule, self.backend.labels) for group in groups for rule in group["rules"]]
        except _UNREADABLE as error:
            problem = Problem("content", f"not an answer of a Prometheus API: {error!r}")
        return {"rules": rules, "problem": problem.text if problem else ""}

    def _limited(self) -> tuple[Backend | None, Problem | None]:
        left = self.deadline - self.clock()
        if left <= 0:
            return None, Problem("timeout", f"not asked: the backend was slow, {self.timeout:g} s were over")
        return replace(self.backend, timeout=min(self.backend.timeout, left)), None


def compact(entry: Mapping[str, Any], window: Window) -> str:
    """The values of a series, one for each step and separated by blanks.

    One string, because Ansible handles each number of a list by itself, and these are tens of thousands.
    """
    cells = [MISSING] * window.points
    for moment, value in entry.get("values", []):
        place = round((float(moment) - window.start) / window.step)
        if 0 <= place < window.points:
            cells[place] = f"{float(value):.6g}"
    return " ".join(cells)


def largest(lines: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The lines that reach highest, in the order in which they came."""
    lines = list(lines)
    ranked = sorted(range(len(lines)), key=lambda place: _peak(lines[place]["values"]), reverse=True)
    return [lines[place] for place in sorted(ranked[:count])]


def _peak(values: str) -> float:
    return max((abs(float(cell)) for cell in values.split() if cell not in (MISSING, "nan")), default=-1.0)


def _rule(rule: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    alerts = [
        {key: alert.get(key, "") for key in ("state", "activeAt", "value")}
        | {key: dict(alert.get(key, {})) for key in ("labels", "annotations")}
        for alert in rule.get("alerts", [])
        if all(alert.get("labels", {}).get(name, value) == value for name, value in labels.items())
    ]
    return {
        "name": rule["name"],
        "health": rule.get("health", "unknown"),
        "error": rule.get("lastError", ""),
        "labels": dict(rule.get("labels", {})),
        "alerts": alerts,
    }
