"""How values went and which alerts there are: what is asked, how it is kept, and each way it can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from plugins.module_utils.metric_history_asking import (
    MAX_SERIES,
    History,
    Window,
    compact,
    largest,
)
from plugins.module_utils.metric_probe_asking import Backend
from plugins.module_utils.metric_probe_facts import Problem
from plugins.modules.metric_history import ARGUMENTS, DOCUMENTATION

WINDOW = Window(end=1000.0, seconds=60, step=20)
LABELS = {"environment": "test", "host": "vm"}


@dataclass(frozen=True)
class Recorded(Backend):
    """Answers from a table: expression to result or problem."""

    answers: dict[str, Any] = field(default_factory=dict)
    groups: Any = ()
    asked: list[tuple[str, float, float, float, float]] = field(default_factory=list)

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> tuple[list[dict[str, Any]], Problem | None]:
        self.asked.append((expression, start, end, step, self.timeout))
        found = self.answers.get(expression, [])
        return ([], found) if isinstance(found, Problem) else (found, None)

    def alert_rules(self) -> tuple[list[dict[str, Any]], Problem | None]:
        return ([], self.groups) if isinstance(self.groups, Problem) else (list(self.groups), None)


def recorded(**more: Any) -> Recorded:
    return Recorded("http://127.0.0.1:9090", "", "", LABELS, **more)


def series(*values: tuple[float, str], **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": [list(value) for value in values]}


def query(key: str, *, instant: bool = False) -> dict[str, Any]:
    return {"key": key, "expr": key, "instant": instant}


def test_the_window_ends_now_and_holds_a_value_per_step() -> None:
    assert (WINDOW.start, WINDOW.points) == (940.0, 4)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([(940, "1"), (960, "2.5"), (980, "3"), (1000, "4")], "1 2.5 3 4"),
        ([(960, "0.30000000000000004")], "- 0.3 - -"),
        ([(940, "NaN"), (1000, "+Inf")], "nan - - inf"),
        ([], "- - - -"),
        ([(1020, "5"), (900, "6")], "- - - -"),
        ([(1000, "123456789")], "- - - 1.23457e+08"),
    ],
)
def test_what_is_missing_stays_missing(values: list[tuple[float, str]], text: str) -> None:
    assert compact(series(*values), WINDOW) == text


def test_a_histogram_has_no_values() -> None:
    assert compact({"metric": {}, "histograms": []}, WINDOW) == "- - - -"


def test_the_largest_series_are_kept_in_their_order() -> None:
    lines = [{"values": text} for text in ("1 -", "nan nan", "- -9", "5 2")]
    assert largest(lines, 2) == [{"values": "- -9"}, {"values": "5 2"}]


def test_more_series_than_can_be_shown_are_counted() -> None:
    many = [series((1000, str(number)), n=str(number)) for number in range(MAX_SERIES + 7)]
    answer = History(recorded(answers={"a": many}), WINDOW, 20).series(query("a"))
    assert (len(answer["series"]), answer["omitted"]) == (MAX_SERIES, 7)
    assert answer["series"][0]["labels"] == {"n": "7"}


def test_an_instant_question_asks_for_the_end_alone() -> None:
    backend = recorded(answers={"a": [series((1000, "3"))]})
    answer = History(backend, WINDOW, 20).series(query("a", instant=True))
    assert backend.asked[0][:4] == ("a", 1000.0, 1000.0, 20)
    assert answer["series"][0]["values"] == "3"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Problem("status", "HTTP 422: parse error"), "HTTP 422: parse error"),
        ([{"values": []}], "not an answer of a Prometheus API"),
        ([{"metric": {}, "values": [[1000]]}], "not an answer of a Prometheus API"),
        ([{"metric": {}, "values": [[1000, "many"]]}], "not an answer of a Prometheus API"),
    ],
)
def test_one_failing_question_leaves_the_others(answer: Any, problem: str) -> None:
    backend = recorded(answers={"a": answer, "b": [series((1000, "1"))]})
    answers, _alerts = History(backend, WINDOW, 20).answers([query("a"), query("b")])
    assert answers["a"]["series"] == []
    assert answers["a"]["problem"].startswith(problem)
    assert answers["b"]["problem"] == ""
    assert answers["b"]["series"][0]["values"] == "- - - 1"


def test_a_slow_backend_is_not_asked_for_ever() -> None:
    """No question waits longer than what is left of the time, and then none is asked."""
    backend, moments = recorded(), iter([0.0, 12.0, 21.0])
    history = History(backend, WINDOW, 20, clock=lambda: next(moments))
    assert history.series(query("a"))["problem"] == ""
    assert backend.asked[0][4] == 8.0
    assert history.series(query("b"))["problem"] == "not asked: the backend was slow, 20 s were over"
    assert len(backend.asked) == 1


def alert(state: str, **labels: str) -> dict[str, Any]:
    return {
        "labels": labels,
        "annotations": {"summary": "s"},
        "state": state,
        "activeAt": "t",
        "value": "1e+00",
    }


def test_alerts_of_other_deployments_are_left_out() -> None:
    rule = {"name": "Down", "type": "alerting", "health": "ok", "labels": {"severity": "critical"}}
    alerts = [alert("firing", host="vm"), alert("firing", host="other"), alert("pending")]
    found = History(recorded(groups=[{"rules": [{**rule, "alerts": alerts}]}]), WINDOW, 20).alerts()
    assert found["problem"] == ""
    assert [entry["labels"] for entry in found["rules"][0]["alerts"]] == [{"host": "vm"}, {}]
    assert (found["rules"][0]["name"], found["rules"][0]["health"], found["rules"][0]["error"]) == (
        *("Down", "ok", ""),
    )


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        (Problem("status", "HTTP 404 Not Found", 404), "HTTP 404 Not Found"),
        ([{}], "not an answer of a Prometheus API"),
        ([{"rules": ["rule"]}], "not an answer of a Prometheus API"),
    ],
)
def test_a_backend_without_rules_says_so(groups: Any, problem: str) -> None:
    """Grafana Cloud's endpoint need not know any: its rules live in Grafana."""
    found = History(recorded(groups=groups), WINDOW, 20).alerts()
    assert found["rules"] == []
    assert found["problem"].startswith(problem)


def documented(options: dict[str, Any]) -> dict[str, Any]:
    return {name: documented(option.get("suboptions", {})) for name, option in options.items()}


def accepted(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: accepted(option.get("options", {})) for name, option in spec.items()}


def test_the_module_documents_what_it_accepts() -> None:
    assert documented(yaml.safe_load(DOCUMENTATION)["options"]) == accepted(ARGUMENTS)
    assert ARGUMENTS["backend_password"]["no_log"] is True
