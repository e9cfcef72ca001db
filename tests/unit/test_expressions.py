"""Every expression of panels and alerts against recorded exporter pages, read by a parser of PromQL.

Each metric and label that an expression names must be among the samples that are stored after relabelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql
import pytest

from plugins.filter.catalogue_entries import metric_questions
from tests.render import Rendering
from tests.unit._relabel import Labels, Sample, page, relabel
from tests.unit.test_catalogue import COLLECTORS, OLDER_BROKER, SOURCES, STORED, cgroup_page

HOST = {"environment": "local", "host": "localhost"}
ENTRIES: dict[str, Any] = Rendering().value("metric_catalogue_entries")
QUESTIONS: list[dict[str, str]] = metric_questions(ENTRIES)
PANELS: list[dict[str, Any]] = [panel for board in ENTRIES["dashboards"] for panel in board["panels"]]

# What the backend holds: the recorded samples, and `up`, which Prometheus itself writes for each job.
BACKEND: list[Labels] = [labels for samples in STORED.values() for labels, _ in samples] + [
    {"__name__": "up", "job": source["job"], "instance": source["target"]} for source in SOURCES.values()
]


def selectors(expr: promql.Expr) -> list[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(expr, visit)
    return found


def groupings(expr: promql.Expr) -> list[tuple[str, list[str]]]:
    """Each label of a `by`, with the metrics under it."""
    found: list[tuple[str, list[str]]] = []

    def visit(node: promql.Expr) -> bool:
        if isinstance(node, promql.AggregateExpr) and node.modifier:
            names = [str(selector.name) for selector in selectors(node.expr)]
            found.extend((label, names) for label in node.modifier.labels)
        return True

    promql.walk(expr, visit)
    return found


def missing(question: Mapping[str, str], backend: list[Labels] = BACKEND) -> Iterator[str]:
    """What the expression names and no stored sample has; each with the id of the panel or alert."""
    expr = promql.parse(question["expr"])
    for selector in selectors(expr):
        of_name = [labels for labels in backend if labels["__name__"] == selector.name]
        if not of_name:
            yield f"{question['id']}: no metric {selector.name}"
        for matcher in selector.matchers.matchers:
            if matcher.name in HOST:
                if HOST[matcher.name] != matcher.value:
                    yield f"{question['id']}: {matcher} is not this host"
            elif not any(matcher.name in labels for labels in of_name):
                yield f"{question['id']}: no label {matcher.name} on {selector.name}"
            elif matcher.op == promql.MatchOp.Equal and not any(
                labels.get(matcher.name) == matcher.value for labels in of_name
            ):
                yield f"{question['id']}: no {selector.name}{{{matcher}}}"
        if {matcher.name for matcher in selector.matchers.matchers} < set(HOST):
            yield f"{question['id']}: {selector} mixes hosts"
    for label, names in groupings(expr):
        if not any(label in labels for labels in backend if labels["__name__"] in names):
            yield f"{question['id']}: by ({label}) finds no such label on {', '.join(names)}"


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question['guide']} {question['id']}")
def test_an_expression_names_only_what_is_stored(question: dict[str, str]) -> None:
    assert list(missing(question)) == []


@pytest.mark.parametrize(
    ("source", "samples"),
    [("rabbitmq", page(OLDER_BROKER)), ("cadvisor", cgroup_page("systemd"))],
    ids=["RabbitMQ 3.10", "T8 systemd's cgroups"],
)
def test_expressions_hold_for_other_exporters(source: str, samples: list[Sample]) -> None:
    other = [labels for labels, _ in relabel(samples, SOURCES[source]["relabel"])]
    backend = [*other, *(labels for labels in BACKEND if labels["__name__"] not in names(STORED[source]))]

    assert [line for question in QUESTIONS for line in missing(question, backend)] == []


def names(samples: list[Sample]) -> set[str]:
    return {labels["__name__"] for labels, _ in samples}


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (
            "celery_task_duration_seconds_bucket",
            "celery_task_duration_second_bucket",
            "celery-duration: no metric celery_task_duration_second_bucket",
        ),
        (
            "hostname=~",
            "host_name=~",
            "celery-duration: no label host_name on celery_task_duration_seconds_bucket",
        ),
        (
            "(task_name, le)",
            "(task, le)",
            "celery-duration: by (task) finds no such label on celery_task_duration_seconds_bucket",
        ),
        ('host="localhost"', 'host="other"', 'celery-duration: host="other" is not this host'),
    ],
)
def test_a_misspelt_name_is_named_with_the_panels_id(right: str, wrong: str, expected: str) -> None:
    question = next(question for question in QUESTIONS if question["guide"] == "G2.C1")

    assert right in question["expr"]
    assert expected in list(missing({**question, "expr": question["expr"].replace(right, wrong)}))


def test_a_value_that_no_series_has_is_named() -> None:
    question = next(question for question in QUESTIONS if question["guide"] == "G3.1")

    assert 'backend-cpu-high: no machine_cpu_cores{name="x"}' not in list(missing(question))
    wrong = {**question, "expr": question["expr"].replace('name="backend"', 'name="back-end"')}
    assert 'backend-cpu-high: no container_spec_cpu_quota{name="back-end"}' in list(missing(wrong))


@pytest.mark.parametrize("collector", COLLECTORS)
def test_every_metric_that_is_asked_for_is_promised(collector: str) -> None:
    """So that a panel that dies is found at the endpoint, with its likely cause."""
    rendering = Rendering(settings={"collector": collector})
    promised = {
        promise.get("stored", promise["exposed"])
        for source in rendering.value("metric_catalogue_sources").values()
        for promise in source["promised"]
    }
    asked = {
        str(selector.name)
        for question in rendering.value("metric_catalogue_questions")
        for selector in selectors(promql.parse(question["expr"]))
    }

    assert asked - promised == {"up"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["id"])
def test_a_legend_names_labels_that_the_result_has(panel: dict[str, Any]) -> None:
    for query in panel["queries"]:
        kept = {label for label, _ in groupings(promql.parse(query["asked"]))}
        assert set(re.findall(r"\{(\w+)\}", query["legend"])) <= kept, query


@pytest.mark.parametrize("alert", ENTRIES["alerts"], ids=lambda alert: alert["id"])
def test_a_message_names_labels_that_the_result_has(alert: dict[str, Any]) -> None:
    kept = {label for label, _ in groupings(promql.parse(alert["expr"]))}

    assert set(re.findall(r"\{(\w+)\}", alert["message"])) <= {*kept, "value", "threshold"}


def test_every_requirement_has_its_panel_or_alert() -> None:
    """G2 and G3, one by one."""
    panels = [f"G2.{part}{number}" for part in "CDR" for number in range(1, 5)]
    alerts = [f"G3.{number}" for number in range(1, 7)]

    assert sorted(panel["guide"] for panel in PANELS if panel["guide"]) == panels
    assert sorted(alert["guide"] for alert in ENTRIES["alerts"] if alert["guide"].startswith("G3")) == alerts
