"""What a dashboard asks, once Grafana's variables are filled in and other deployments are kept out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.dashboard_panels import dashboard_panels, history_step, panel_questions, with_labels
from tests.dashboards import dashboard, panel

HOST = {"host": "vm"}


def asked(expr: str, **more: Any) -> str:
    """The expression of a panel as it is put to the backend of a host without external labels."""
    model = dashboard(panel(1, "P", "timeseries", expr), **more)
    [question] = panel_questions(dashboard_panels([model], {}, 3600, 15))
    return str(question["expr"])


@pytest.mark.parametrize(
    ("expr", "limited"),
    [
        ("up", 'up{host="vm"}'),
        ("up{}", 'up{host="vm"}'),
        ('up{job="a"}', 'up{host="vm",job="a"}'),
        ("rate(a_total[5m])", 'rate(a_total{host="vm"}[5m])'),
        ('{__name__=~"a|b"}', '{host="vm",__name__=~"a|b"}'),
        ("sum by (le) (rate(b[5m] offset 1h))", 'sum by (le) (rate(b{host="vm"}[5m] offset 1h))'),
        ("sum(rate(b[5m])) by (le)", 'sum(rate(b{host="vm"}[5m])) by (le)'),
        ("a / on (b) group_left (a) b", 'a{host="vm"} / on (b) group_left (a) b{host="vm"}'),
        ("a unless ignoring (a) b > bool 2", 'a{host="vm"} unless ignoring (a) b{host="vm"} > bool 2'),
        ("max_over_time(rate(a[1m])[1h:1m])", 'max_over_time(rate(a{host="vm"}[1m])[1h:1m])'),
        ("count by (name) (name)", 'count by (name) (name{host="vm"})'),
        ("sum(sum)", 'sum(sum{host="vm"})'),
        ("a:b:c @ end()", 'a:b:c{host="vm"} @ end()'),
        ("-a or vector(0)", '-a{host="vm"} or vector(0)'),
        ("inf * 1e3 * a", 'inf * 1e3 * a{host="vm"}'),
        ('a{b=",{a}"} * a', 'a{host="vm",b=",{a}"} * a{host="vm"}'),
        ("a{b='x\"y'}", 'a{host="vm",b=\'x"y\'}'),
        ("a # a {\n + b", 'a{host="vm"} # a {\n + b{host="vm"}'),
        ('label_replace(a, "b", "$1", "a", "(.*)")', 'label_replace(a{host="vm"}, "b", "$1", "a", "(.*)")'),
        (r'a{id=~"/docker/\\w+"}', r'a{host="vm",id=~"/docker/\\w+"}'),
        ("time() - vector(1)", "time() - vector(1)"),
    ],
)
def test_every_selector_is_limited_to_the_deployment(expr: str, limited: str) -> None:
    assert with_labels(expr, HOST) == limited


def test_labels_are_quoted() -> None:
    assert (
        with_labels("up", {"host": 'a"b\\', "environment": "운영"}) == r'up{host="a\"b\\",environment="운영"}'
    )


def test_without_labels_nothing_changes() -> None:
    assert with_labels('up{job="a"}', {}) == 'up{job="a"}'


@pytest.mark.parametrize("expr", ["sum(", "", "a b", "rate(a)"])
def test_what_is_no_promql_is_named(expr: str) -> None:
    with pytest.raises(AnsibleFilterError, match="soundcheck-test/1/A: PromQL was expected, not"):
        asked(expr)


@pytest.mark.parametrize(
    ("expr", "filled"),
    [
        ("rate(a[$__rate_interval])", "rate(a[60s])"),
        ("increase(a[$__range])", "increase(a[3600s])"),
        ("increase(a[${__range}]) / $__range_s", "increase(a[3600s]) / 3600"),
        ("a * $__range_ms", "a * 3600000"),
        ("rate(a[$__interval])", "rate(a[20s])"),
        ('a{name=~"$service"}', 'a{name=~".*"}'),
        ('a{name=~"${service:regex}",host="$instance"}', 'a{name=~".*",host=~".*"}'),
        ('a{name!="$service"}', 'a{name!=".*"}'),
        ('label_replace(a, "b", "$1", "c", "(.*)")', 'label_replace(a, "b", "$1", "c", "(.*)")'),
    ],
)
def test_the_variables_of_grafana_are_filled_in(expr: str, filled: str) -> None:
    assert asked(expr) == filled


def test_a_rate_covers_the_step_of_a_long_window() -> None:
    model = dashboard(panel(1, "P", "timeseries", "rate(a[$__rate_interval])"))
    [question] = panel_questions(dashboard_panels([model], {}, 86400, 15))
    assert question["expr"] == "rate(a[495s])"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"type": "query"}, ".+"),
        ({"type": "query", "includeAll": True, "allValue": ".*"}, ".*"),
        ({"type": "custom", "current": {"value": "a"}}, "a"),
        ({"type": "custom", "current": {"value": ["a", "b"]}}, "a|b"),
        ({"type": "custom", "includeAll": True, "current": {"value": "$__all"}}, ".+"),
    ],
)
def test_a_variable_has_the_value_of_all_or_the_current_one(variable: dict[str, Any], value: str) -> None:
    templating = {"list": [{"name": "v", **variable}]}
    assert asked('a{b=~"$v"}', templating=templating) == f'a{{b=~"{value}"}}'


def test_an_unknown_variable_is_named_with_its_panel() -> None:
    with pytest.raises(AnsibleFilterError, match=r"soundcheck-test/1/A: \$sevice is neither a variable"):
        asked('a{b=~"$sevice"}')


def test_an_unknown_type_of_panel_is_named() -> None:
    expected = "soundcheck-test/1: one of timeseries, stat, .* was expected, not type geomap"
    with pytest.raises(AnsibleFilterError, match=expected):
        dashboard_panels([dashboard(panel(1, "P", "geomap", "up"))], {}, 3600, 15)


def test_panels_come_as_they_are_read_and_from_inside_rows() -> None:
    first, second, third = (panel(number, str(number), "timeseries", "up") for number in (1, 2, 3))
    text = {"id": 9, "type": "text", "title": "Words"}
    row = {"id": 8, "type": "row", "title": "Row", "panels": [third]}
    [found] = dashboard_panels([dashboard(row, second, text, first)], {}, 3600, 15)
    assert [entry["title"] for entry in found["panels"]] == ["1", "2", "3"]


def test_what_a_chart_needs_is_taken_over() -> None:
    model = panel(
        *(7, "Slow", "bargauge", "a", "b"),
        unit="s",
        legend="{{ name }}",
        description="Why",
        steps=[("yellow", 5), ("dark-red", 10)],
    )
    [found] = dashboard_panels([dashboard(model)], {}, 3600, 15)
    assert (found["uid"], found["title"], found["description"]) == (
        *("soundcheck-test", "Test", "What a test needs."),
    )
    [view] = found["panels"]
    assert [(entry["key"], entry["instant"]) for entry in view["questions"]] == [
        ("soundcheck-test/7/A", True),
        ("soundcheck-test/7/B", True),
    ]
    assert view["thresholds"] == [{"value": 5.0, "level": "warning"}, {"value": 10.0, "level": "bad"}]
    assert (view["id"], view["kind"], view["unit"], view["description"]) == (
        *("soundcheck-test-7", "bars", "s", "Why"),
    )


@pytest.mark.parametrize("window", [900, 3600, 10800, 21600, 43200, 86400])
def test_a_window_is_cut_into_few_steps(window: int) -> None:
    assert window // history_step(window) < 240
