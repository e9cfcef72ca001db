"""Every expression of panels and alerts, evaluated by Prometheus itself on the recorded exporter pages.

Gauges stay as they were recorded, counters grow by one each minute. An expression whose labels do not fit
each other, or a panel that would be dead, has no answer; only what the catalogue says may be empty is
excused.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.alerts.promtool import RENDERING, Promtool, of_this_host
from tests.unit._relabel import Labels
from tests.unit.test_catalogue import SOURCES, STORED

QUESTIONS: list[dict[str, str]] = RENDERING.value("metric_catalogue_questions")
COUNTERS = ("_total", "_bucket", "_count", "_sum", "_oom_kill")
MINUTES = 90


def series(labels: Labels, value: float, job: str) -> dict[str, str]:
    name = labels["__name__"]
    own = {**labels, "job": job}
    pairs = ",".join(f'{key}="{text}"' for key, text in own.items() if key != "__name__")
    growth = "+1" if name.endswith(COUNTERS) and not name.startswith("pg_stat_activity") else "+0"
    return {"series": of_this_host(f"{name}{{{pairs}}}"), "values": f"{value:.17g}{growth}x{MINUTES}"}


RECORDED = [
    series(labels, value, SOURCES[name]["job"])
    for name, samples in STORED.items()
    for labels, value in samples
] + [series({"__name__": "up"}, 1, source["job"]) for source in SOURCES.values()]


@pytest.fixture(scope="session")
def answers(promtool: Promtool) -> dict[str, str]:
    """What promtool says of each question, all asked of the same series."""
    return promtool.test({question["id"]: asked(question) for question in QUESTIONS})


def asked(question: dict[str, str]) -> dict[str, Any]:
    check = {"expr": f"count({question['expr']}) > bool 0", "eval_time": f"{MINUTES - 5}m"}
    expected = [{"labels": "{}", "value": 1}]
    return {
        "interval": "1m",
        "input_series": RECORDED,
        "promql_expr_test": [{**check, "exp_samples": expected}],
    }


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question['guide']} {question['id']}")
def test_an_expression_has_an_answer(answers: dict[str, str], question: dict[str, str]) -> None:
    answer = answers[question["id"]]

    assert answer.split() == ["SUCCESS"] or (question["empty_reason"] and "got: nil" in answer), answer


def test_a_dead_panel_has_none(promtool: Promtool) -> None:
    """G2.C3 as the guide has it: nobody exports the metric."""
    (answer,) = promtool.test({"dead": asked({"expr": "sum by (task_name) (celery_tasks_running)"})}).values()

    assert "FAILED" in answer
    assert "got: nil" in answer
