"""Expressions of the catalogue become questions about one host, with the metrics they need (G2, G3)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.verification_questions import (
    expected_rules,
    expression_metrics,
    limited_expression,
    verification_questions,
)

LABELS = {"environment": "test", "host": "vm"}
HERE = 'environment="test",host="vm"'


# expression, the same for one host, its metrics
EXPRESSIONS = {
    "bare metric": ("a", f"a{{{HERE}}}", ["a"]),
    "matchers stay": ('a{x="y",z!~"q.+"}', f'a{{x="y",z!~"q.+",{HERE}}}', ["a"]),
    "recorded metric": ('s:a:b{x!="y"}', f's:a:b{{x!="y",{HERE}}}', ["s:a:b"]),
    "range": (
        "sum by (name) (rate(a[5m]))",
        f"sum by (name)(rate(a{{{HERE}}}[5m]))",
        ["a"],
    ),
    "both sides of an operator": (
        'a / on (name) (b{x=~"c|d"} > 0)',
        f'a{{{HERE}}} / on (name) (b{{x=~"c|d",{HERE}}} > 0)',
        ["a", "b"],
    ),
    "a label of the same name as the metric": ("sum by (a) (a)", f"sum by (a)(a{{{HERE}}})", ["a"]),
    "group_left": (
        "a * on () group_left () max(b)",
        f"a{{{HERE}}} * on () group_left () max(b{{{HERE}}})",
        ["a", "b"],
    ),
    "offset": ("rate(a[5m] offset 1h)", f"rate(a{{{HERE}}}[5m] offset 1h)", ["a"]),
    "at": ("a @ end()", f"a{{{HERE}}} @ end()", ["a"]),
    "subquery": (
        "max_over_time(rate(a[5m])[1h:30s])",
        f"max_over_time(rate(a{{{HERE}}}[5m])[1h:30s])",
        ["a"],
    ),
    "absent": ('absent(a{x="y"})', f'absent(a{{x="y",{HERE}}})', ["a"]),
    "name as a matcher": ('{__name__="a",x="y"}', f'{{__name__="a",x="y",{HERE}}}', ["a"]),
    "names by a regex": ('{__name__=~"a|b"}', f'{{__name__=~"a|b",{HERE}}}', []),
    "T8 backslashes": (r'a{id=~"/docker/\\w+"}', rf'a{{id=~"/docker/\\w+",{HERE}}}', ["a"]),
    "quotes, braces, numbers and Korean in text": (
        r'a{x="}\"0\"한글"}',
        rf'a{{x="}}\"0\"한글",{HERE}}}',
        ["a"],
    ),
    "single quotes": ("a{x='y'}", f"a{{x='y',{HERE}}}", ["a"]),
    "label_replace": (
        r'label_replace(a, "x", "$1", "y", "(.+)\\d")',
        rf'label_replace(a{{{HERE}}}, "x", "$1", "y", "(.+)\\d")',
        ["a"],
    ),
    "each metric once": ("a - a - b", f"a{{{HERE}}} - a{{{HERE}}} - b{{{HERE}}}", ["a", "b"]),
    "no selector": ("vector(1)", "vector(1)", []),
}


@pytest.mark.parametrize(("expression", "limited", "metrics"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_selector_is_limited_to_the_host(expression: str, limited: str, metrics: list[str]) -> None:
    assert limited_expression(expression, LABELS, "G2.X") == limited
    assert expression_metrics(expression, "G2.X") == metrics


def test_a_label_value_is_text_whatever_it_holds() -> None:
    assert limited_expression("a", {"host": 'v"m\\'}, "G2.X") == r'a{host="v\"m\\"}'
    assert limited_expression("a", {"shard": 7}, "G2.X") == 'a{shard="7"}'


def test_without_labels_an_expression_stays_as_it_is() -> None:
    assert limited_expression('a{x="y"}', {}, "G2.X") == 'a{x="y"}'


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("sum(rate(a[5m])", "G2.X: 'sum.rate.a.5m..' is not PromQL: unclosed left parenthesis"),
        ("rate(a)", "G2.X: .* is not PromQL: expected type matrix"),
        ("rate(a[$__rate_interval])", "G2.X: .* is not PromQL"),
        ("", "G2.X: '' is not PromQL"),
        ('a{x="y" or z="w"}', "G2.X: .* has `or` between matchers: write a regex"),
        # The parser rounds it: what cannot be printed truly is not asked.
        ("rate(a[1500ms])", "G2.X: promql-parser prints"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_id(expression: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        limited_expression(expression, LABELS, "G2.X")


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
    "id": "N1",
    "kind": "panel",
    "source": "node",
    "title": "Load per core",
    "expr": "node_load1 / on () machine_cpu_cores",
    "empty_reason": "",
}


def sources(*without: str) -> dict[str, dict[str, Any]]:
    return {name: {**source, "enabled": name not in without} for name, source in SOURCES.items()}


def test_a_question_holds_what_the_module_needs() -> None:
    assert verification_questions([QUESTION], SOURCES, LABELS) == [
        {
            "id": "N1",
            "kind": "panel",
            "source": "node",
            "title": "Load per core",
            "expr": f"node_load1{{{HERE}}} / on () machine_cpu_cores{{{HERE}}}",
            "metrics": ["node_load1", "machine_cpu_cores"],
            "empty_reason": "",
        }
    ]


def test_a_source_that_is_not_deployed_is_asked_nothing() -> None:
    assert verification_questions([QUESTION], sources("node"), LABELS) == []


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
    (asked,) = verification_questions([question], sources("cadvisor"), LABELS)
    assert asked["empty_reason"] == reason


def test_an_unknown_source_is_refused_with_the_id() -> None:
    with pytest.raises(AnsibleFilterError, match="N1: source 'nodes' is none of node, cadvisor"):
        verification_questions([{**QUESTION, "source": "nodes"}], SOURCES, LABELS)


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
