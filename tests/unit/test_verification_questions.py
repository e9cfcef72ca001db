"""The catalogue's expressions become questions that know the metrics they need (G2, G3)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.verification_questions import (
    expected_rules,
    expression_metrics,
    verification_questions,
)


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ("a", ["a"]),
        ('s:a:b{x!="y"}', ["s:a:b"]),
        ("sum by (name) (rate(a[5m] offset 1h))", ["a"]),
        ('b / on (name) (a{x=~"c|d"} > 0)', ["b", "a"]),
        ("max_over_time(rate(a[5m])[1h:30s])", ["a"]),
        ('absent(a{x="y"}) or vector(1)', ["a"]),
        ("a - a - b", ["a", "b"]),
        ('{__name__="a",x="y"}', ["a"]),
        ('{__name__=~"a|b"}', []),
        (r'label_replace(a, "b", "$1", "c", "(.+)\\d")', ["a"]),
        ("time()", []),
    ],
)
def test_the_metrics_of_an_expression(expression: str, metrics: list[str]) -> None:
    assert expression_metrics(expression, "G2.X") == metrics


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("sum(rate(a[5m])", "G2.X: 'sum.rate.a.5m..' is not PromQL: unclosed left parenthesis"),
        ("rate(a)", "G2.X: .* is not PromQL: expected type matrix"),
        ("rate(a[$__rate_interval])", "G2.X: .* is not PromQL"),
        ("", "G2.X: '' is not PromQL"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_id(expression: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        expression_metrics(expression, "G2.X")


SOURCES: dict[str, dict[str, Any]] = {
    "node": {"enabled": True, "promised": [{"exposed": "node_load1"}]},
    "cadvisor": {
        "enabled": True,
        "promised": [
            {"exposed": "machine_cpu_cores"},
            {
                "exposed": "container_network_receive_bytes_total",
                "stored": "node_network_receive_bytes_total",
            },
        ],
    },
}
QUESTION = {
    "id": "host-load",
    "kind": "panel",
    "source": "node",
    "title": "Load per core",
    "expr": "node_load1 / on () machine_cpu_cores",
    "empty_reason": "",
}


def sources(without: str) -> dict[str, dict[str, Any]]:
    return {name: {**source, "enabled": name != without} for name, source in SOURCES.items()}


def test_a_question_holds_what_the_module_needs() -> None:
    (asked,) = verification_questions([QUESTION], SOURCES)
    assert asked == {**QUESTION, "metrics": ["node_load1", "machine_cpu_cores"]}


def test_an_expression_becomes_one_line() -> None:
    question = {**QUESTION, "expr": '  max(\n    node_load1{x="a  b"}\n)\n'}
    assert verification_questions([question], SOURCES)[0]["expr"] == 'max( node_load1{x="a  b"} )'


def test_the_guides_name_comes_first() -> None:
    named = [question["id"] for question in verification_questions([{**QUESTION, "guide": "G2.X"}], SOURCES)]
    assert named == ["G2.X host-load"]


@pytest.mark.parametrize(
    ("expr", "own", "reason"),
    [
        (QUESTION["expr"], "", "machine_cpu_cores comes from source cadvisor, which is not deployed"),
        (QUESTION["expr"], "no cores yet", "no cores yet"),
        (
            "rate(node_network_receive_bytes_total[5m])",
            "",
            "node_network_receive_bytes_total comes from source cadvisor, which is not deployed",
        ),
        ("node_load1", "", ""),
        ("promised_by_nobody", "", ""),
    ],
)
def test_a_metric_of_a_source_that_is_not_deployed_explains_an_empty_panel(
    expr: str, own: str, reason: str
) -> None:
    question = {**QUESTION, "expr": expr, "empty_reason": own}
    (asked,) = verification_questions([question], sources(without="cadvisor"))
    assert asked["empty_reason"] == reason


@pytest.mark.parametrize(
    ("source", "known", "message"),
    [
        ("nodes", SOURCES, "host-load: source 'nodes' is not deployed, unlike node, cadvisor"),
        (
            "node",
            sources(without="node"),
            "host-load: source 'node' is not deployed, unlike cadvisor",
        ),
    ],
)
def test_a_question_whose_source_nobody_asks_is_refused(
    source: str, known: dict[str, dict[str, Any]], message: str
) -> None:
    """The module judges by source: it would be lost there."""
    with pytest.raises(AnsibleFilterError, match=message):
        verification_questions([{**QUESTION, "source": source}], known)


def test_rules_are_known_by_group_and_name() -> None:
    content = {
        "groups": [
            {"name": "celery", "rules": [{"record": "status:a:b", "expr": "a"}, {"alert": "A", "expr": "b"}]},
            {"name": "node", "rules": [{"alert": "A", "expr": "c"}]},
        ]
    }
    assert expected_rules(content) == [
        {"group": "celery", "name": "status:a:b"},
        {"group": "celery", "name": "A"},
        {"group": "node", "name": "A"},
    ]
