"""Panels and alerts of the catalogue: what is refused, which language, which host, which place."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.catalogue_entries import catalogue_entries, metric_questions, restricted
from tests.render import Rendering

HOST = {"environment": "production", "host": "music-1"}
PANEL: dict[str, Any] = {
    "id": "queue-length",
    "guide": "G2.X1",
    "title": {"en": "Queue", "ko": "큐"},
    "description": "What waits.",
    "kind": "timeseries",
    "unit": "short",
    "steps": [{"from": 5, "colour": "red"}],
    "queries": [{"expr": 'sum by (queue) (length{queue=~"{service}"})', "legend": "{queue}"}],
}
ALERT: dict[str, Any] = {
    "id": "queue-long",
    "title": {"en": "Queue Long", "ko": "긴 큐"},
    "message": {"en": "{queue}: {value}", "ko": "{queue}: {value}개"},
    "severity": "warning",
    "expr": "sum by (queue) (length)",
    "above": 10,
    "for": "5m",
    "panel": "queue-length",
    "runbook": {"meaning": "It is long.", "look_at": "The queue.", "remedy": "A variable."},
    "no_data": {"state": "OK", "reason": "nothing waits"},
}
BOARDS: dict[str, Any] = {
    "queues": {
        "title": {"en": "Queues", "ko": "큐"},
        "description": "Queues.",
        "rows": [{"height": 8, "panels": ["queue-length", "queue-age"]}],
    }
}


def sources() -> dict[str, Any]:
    """Two sources: one with a panel and an alert, the other with a panel."""
    other = {**PANEL, "id": "queue-age", "guide": ""}
    return copy.deepcopy(
        {
            "celery": {"enabled": True, "panels": [PANEL], "alerts": [ALERT]},
            "rabbitmq": {"enabled": True, "panels": [other], "alerts": []},
        }
    )


def entries(catalogue: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    arguments = {"dashboards": BOARDS, "locale": "en", "labels": HOST, "alert_for": {}, **changes}
    return catalogue_entries(catalogue or sources(), **arguments)


def changed(kind: str, /, **changes: Any) -> dict[str, Any]:
    """The catalogue with its first panel or alert changed; None takes a key away."""
    catalogue = sources()
    entry = catalogue["celery"][kind][0]
    entry |= changes
    for key in [key for key, value in changes.items() if value is None]:
        del entry[key]
    return catalogue


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("panels", {"id": "Queue"}, "panel of source celery: id is 'Queue', up to 20 lower-case letters"),
        ("panels", {"id": "queue-age"}, "panel queue-age: the id is used twice"),
        ("panels", {"title": {"en": "Queue"}}, "panel queue-length: title has no text in ko"),
        ("panels", {"description": None}, "panel queue-length: description is missing"),
        ("panels", {"unit": None}, "panel queue-length: unit is missing"),
        ("panels", {"kind": "pie"}, "panel queue-length: kind is 'pie', not one of timeseries, stat"),
        ("panels", {"queries": []}, "panel queue-length: queries is missing"),
        (
            "panels",
            {"queries": [{"expr": "up", "source": "kafka"}]},
            "panel queue-length: source 'kafka' is unknown, known are celery, rabbitmq",
        ),
        (
            "panels",
            {"queries": [{"expr": "sum by (queue) (length"}]},
            "panel queue-length: 'sum by (queue) (length' is no PromQL",
        ),
        ("panels", {"queries": [{"expr": '{job="x"}'}]}, "panel queue-length: a selector without the name"),
        ("panels", {"whole_range": "1h"}, "panel queue-length: whole_range is '1h', a range that"),
        (
            "panels",
            {"steps": [{"from": "many", "colour": "red"}]},
            "panel queue-length: from is 'many', a number was expected",
        ),
        (
            "panels",
            {"descripton": "x"},
            "panel queue-length: has no 'descripton', only description, deviation",
        ),
        (
            "panels",
            {"queries": [{"expr": "up", "legnd": "x"}]},
            "panel queue-length: has no 'legnd', only expr, legend, source",
        ),
        ("alerts", {"thresold": 5}, "alert queue-long: has no 'thresold', only"),
        (
            "alerts",
            {"no_data": {"state": "OK", "reason": "it is", "quiet": None}},
            "alert queue-long: no_data: has no 'quiet', only reason, state",
        ),
        (
            "alerts",
            {"runbook": {**ALERT["runbook"], "cure": "Wait."}},
            "alert queue-long: runbook: has no 'cure', only look_at, meaning, remedy",
        ),
        ("alerts", {"id": "queue-length"}, "alert queue-length: the id is used twice"),
        (
            "alerts",
            {"id": "a-much-too-long-name-1"},
            "alert of source celery: id is 'a-much-too-long-name-1'",
        ),
        ("alerts", {"needs": ["kafka"]}, "alert queue-long: source 'kafka' is unknown"),
        ("alerts", {"panel": "queue-width"}, "alert queue-long: panel 'queue-width' is in no source"),
        ("alerts", {"message": None}, "alert queue-long: message is missing"),
        ("alerts", {"runbook": None}, "alert queue-long: its runbook has no meaning"),
        (
            "alerts",
            {"runbook": {"meaning": "Long.", "look_at": "It.", "remedy": " "}},
            "alert queue-long: its runbook has no remedy",
        ),
        ("alerts", {"above": "ten"}, "alert queue-long: above is 'ten', a number was expected"),
        ("alerts", {"above": True}, "alert queue-long: above is True, a number was expected"),
        ("alerts", {"above": None}, "alert queue-long: one of above, at_least, below was expected, not none"),
        ("alerts", {"below": 1}, "alert queue-long: one of above, at_least, below was expected, not"),
        ("alerts", {"severity": "high"}, "alert queue-long: severity is 'high', not one of critical"),
        ("alerts", {"for": "soon"}, "alert queue-long: for is 'soon', a duration such as 5m"),
        ("alerts", {"no_data": {"state": "OK"}}, "alert queue-long: no_data needs a state of OK, NoData"),
        ("alerts", {"expr": "rate(length)"}, "alert queue-long: 'rate(length)' is no PromQL"),
    ],
)
def test_bad_input_is_refused_with_its_id(kind: str, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(expected)):
        entries(changed(kind, **changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"locale": "de"}, "locale: 'de' is unknown, one of en, ko was expected"),
        ({"labels": {"environment": "x"}}, "metric_catalogue_external_labels: host must not be missing"),
        ({"alert_for": {"queue-lng": "1m"}}, "metric_catalogue_alert_for: there is no alert 'queue-lng'"),
        ({"alert_for": {"queue-long": "now"}}, "alert queue-long: for is 'now', a duration such as 5m"),
        (
            {
                "dashboards": {
                    "queues": {**BOARDS["queues"], "rows": [{"height": 8, "panels": ["queue-age"]}]}
                }
            },
            "panel queue-length: stands in no row of a dashboard",
        ),
        (
            {"dashboards": {"queues": {**BOARDS["queues"], "rows": [{"height": 8, "panels": ["lenght"]}]}}},
            "dashboard queues: panel 'lenght' is in no source of the catalogue",
        ),
    ],
)
def test_a_bad_setting_is_refused_with_its_variable(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(expected)):
        entries(**changes)


def test_the_locale_chooses_titles_and_messages() -> None:
    korean = entries(locale="ko")

    assert korean["dashboards"][0]["title"] == "큐"
    assert [panel["title"] for panel in korean["dashboards"][0]["panels"]] == ["큐", "큐"]
    assert (korean["alerts"][0]["title"], korean["alerts"][0]["message"]) == ("긴 큐", "{queue}: {value}개")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("up", 'up{host="a"}'),
        ("up[5m]", 'up{host="a"}[5m]'),
        ("up offset 5m", 'up{host="a"} offset 5m'),
        ('up{job=~"x|y"}', 'up{host="a",job=~"x|y"}'),
        ('rate(a[5m]) / on (x) b{z!=""}', 'rate(a{host="a"}[5m]) / on (x) b{host="a",z!=""}'),
        ("increase((sum(a) or 0 * b)[30m:1m])", 'increase((sum(a{host="a"}) or 0 * b{host="a"})[30m:1m])'),
        (r'a{p="\\d"}', r'a{host="a",p="\\d"}'),
    ],
)
def test_every_selector_is_restricted(expr: str, expected: str) -> None:
    assert " ".join(restricted(expr, {"host": "a"}, "test").split()) == expected


def test_hosts_do_not_mix() -> None:
    """Alerts and questions ask for their own host; a dashboard for the one that its reader chose."""
    for host in ("music-1", "music-2"):
        own = entries(labels={**HOST, "host": host})
        exprs = [question["expr"] for question in metric_questions(own)]
        query = own["dashboards"][0]["panels"][0]["queries"][0]

        assert all(f'environment="production",host="{host}"' in expr for expr in exprs)
        assert "$" not in "".join(exprs)
        assert 'environment="$environment",host="$instance",queue=~"$service"' in query["shown"]


def test_a_question_has_an_id_for_each_expression() -> None:
    two = changed("panels", queries=[PANEL["queries"][0], {"expr": "max(length)"}], empty="no task yet")

    asked = [
        (question["id"], question["kind"], question["source"], question["empty_reason"])
        for question in metric_questions(entries(two))
    ]
    assert asked == [
        ("queue-length/1", "panel", "celery", "no task yet"),
        ("queue-length/2", "panel", "celery", "no task yet"),
        ("queue-age", "panel", "rabbitmq", ""),
        ("queue-long", "alert", "celery", ""),
    ]


def test_the_range_of_a_dashboard_replaces_the_written_one() -> None:
    counted = changed("panels", whole_range="1h", queries=[{"expr": "sum(increase(length[1h]))"}])
    (query,) = entries(counted)["dashboards"][0]["panels"][0]["queries"]

    assert "[$__range]" in query["shown"]
    assert "[1h]" in query["asked"]


def test_what_has_no_source_leaves_its_place_to_the_others() -> None:
    catalogue = sources()
    catalogue["rabbitmq"]["enabled"] = False
    board = entries(catalogue)["dashboards"][0]

    assert [(panel["id"], panel["place"]) for panel in board["panels"]] == [
        ("queue-length", {"x": 0, "y": 0, "w": 24, "h": 8})
    ]


def test_a_query_of_a_source_that_is_off_is_left_out() -> None:
    catalogue = changed("panels", queries=[PANEL["queries"][0], {"expr": "up", "source": "rabbitmq"}])
    catalogue["rabbitmq"]["enabled"] = False

    assert len(entries(catalogue)["dashboards"][0]["panels"][0]["queries"]) == 1


@pytest.mark.parametrize(
    ("changes", "present"),
    [({}, True), ({"enabled": False}, False), ({"needs": ["rabbitmq"]}, False)],
)
def test_an_alert_needs_its_sources(changes: dict[str, Any], present: bool) -> None:
    catalogue = changed("alerts", **changes)
    catalogue["rabbitmq"]["enabled"] = False

    assert bool(entries(catalogue)["alerts"]) is present


def test_for_can_be_set_for_one_alert() -> None:
    """A test, or a service with rarer tasks, waits for another time."""
    (alert,) = entries(alert_for={"queue-long": "30s"})["alerts"]

    assert alert["for"] == "30s"


@pytest.mark.parametrize(
    ("settings", "gone"),
    [
        ({"metric_catalogue_beat_task": ""}, {"beat-silent"}),
        ({"postgres_exporter_enabled": False}, {"db-connections-high"}),
        ({"node_exporter_enabled": False}, {"disk-usage-high", "disk-full-soon", "oom-kill", "swap-in-use"}),
    ],
)
def test_the_real_catalogue_does_without(settings: dict[str, Any], gone: set[str]) -> None:
    def alerts(**changes: Any) -> set[str]:
        return {
            alert["id"] for alert in Rendering(settings=changes).value("metric_catalogue_entries")["alerts"]
        }

    assert alerts() - alerts(**settings) == gone
