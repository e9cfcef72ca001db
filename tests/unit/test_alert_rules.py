"""The alerts as a Prometheus rule file and as Grafana-managed rule groups."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.render import Rendering

RENDERING = Rendering()
ALERTS: list[dict[str, Any]] = RENDERING.value("metric_catalogue_entries")["alerts"]
RULES = [
    rule
    for group in RENDERING.value("metric_catalogue_prometheus_rules")["groups"]
    for rule in group["rules"]
]
GROUPS: list[dict[str, Any]] = RENDERING.value("metric_catalogue_grafana_rule_groups")
GRAFANA = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARDS: list[dict[str, Any]] = RENDERING.value("metric_catalogue_dashboards")
BOTH = list(zip(RULES, GRAFANA, strict=True))
NAMES = [rule["labels"]["alert_id"] for rule in RULES]


@pytest.mark.parametrize(("prometheus", "grafana"), BOTH, ids=NAMES)
def test_both_forms_say_the_same(prometheus: dict[str, Any], grafana: dict[str, Any]) -> None:
    question, number, condition = (query["model"] for query in grafana["data"])
    (evaluator,) = (entry["evaluator"] for entry in condition["conditions"])
    comparison = {"gt": ">", "gte": ">=", "lt": "<"}[evaluator["type"]]

    assert "".join(prometheus["expr"].split()) == "".join(
        f"({question['expr']}) {comparison} {evaluator['params'][0]:g}".split()
    )
    assert (prometheus["alert"], prometheus["for"]) == (grafana["title"], grafana["for"])
    assert prometheus["labels"] == grafana["labels"]
    assert set(prometheus["annotations"]) <= set(grafana["annotations"])
    for part in ("description", "runbook"):
        assert prometheus["annotations"][part] == grafana["annotations"][part]
    assert (number["type"], number["expression"], number["reducer"]) == ("reduce", "A", "last")
    assert (condition["type"], condition["expression"]) == ("threshold", "B")


@pytest.mark.parametrize("rule", GRAFANA, ids=NAMES)
def test_a_grafana_rule_has_what_its_api_requires(rule: dict[str, Any]) -> None:
    assert {"uid", "title", "ruleGroup", "condition", "data", "for"} <= set(rule)
    assert [query["refId"] for query in rule["data"]] == ["A", "B", "C"]
    assert [query["datasourceUid"] for query in rule["data"]] == ["grafanacloud-prom", "__expr__", "__expr__"]
    assert rule["data"][0]["relativeTimeRange"] == {"from": 600, "to": 0}
    assert rule["condition"] == "C"
    assert rule["noDataState"] in ("OK", "Alerting")
    assert rule["execErrState"] == "Error"
    assert len(rule["uid"]) <= 40
    assert "orgID" not in rule


@pytest.mark.parametrize("rule", GRAFANA, ids=NAMES)
def test_a_rule_leads_to_its_panel(rule: dict[str, Any]) -> None:
    board = next(board for board in DASHBOARDS if board["uid"] == rule["annotations"]["__dashboardUid__"])

    assert rule["annotations"]["__panelId__"] in {str(panel["id"]) for panel in board["panels"]}


def test_a_group_is_a_source_of_a_host() -> None:
    assert [group["title"] for group in GROUPS] == [
        f"soundcheck-local-localhost-{source}"
        for source in ("django", "celery", "rabbitmq", "cadvisor", "node", "postgres", "collector")
    ]
    assert all(rule["ruleGroup"] == group["title"] for group in GROUPS for rule in group["rules"])
    assert {group["interval"] for group in GROUPS} == {60}


def test_hosts_keep_rules_of_their_own() -> None:
    """One folder of Grafana Cloud holds the rules of several hosts and environments."""

    def uids(**labels: str) -> set[str]:
        settings = {"metric_catalogue_external_labels": {"environment": "production", "host": "a", **labels}}
        groups = Rendering(settings=settings).value("metric_catalogue_grafana_rule_groups")
        return {rule["uid"] for group in groups for rule in group["rules"]} | {
            group["title"] for group in groups
        }

    one, other, staging = uids(host="a"), uids(host="b"), uids(environment="staging")
    assert uids(host="a") == one
    assert not one & other
    assert not one & staging


@pytest.mark.parametrize(
    ("identifier", "title", "summary"),
    [
        ("backend-cpu-high", "백엔드 CPU 높음", "백엔드 CPU 사용량이 80%를 초과했습니다!"),
        ("backend-memory-high", "백엔드 메모리 높음", "백엔드 메모리 사용량이 80%를 초과했습니다!"),
        ("celery-failure-rate", "Celery 작업 실패율 높음", "Celery 작업 실패율이 10%를 초과했습니다!"),
        ("slow-queries-spike", "슬로우 쿼리 급증", "슬로우 쿼리가 급증했습니다! (5m 동안 50개 이상"),
    ],
)
def test_the_guides_messages_in_korean(identifier: str, title: str, summary: str) -> None:
    """G3."""
    korean = Rendering(settings={"locale": "ko"})
    rules = [r for g in korean.value("metric_catalogue_prometheus_rules")["groups"] for r in g["rules"]]
    rules += [r for g in korean.value("metric_catalogue_grafana_rule_groups") for r in g["rules"]]
    found = [rule for rule in rules if rule["labels"]["alert_id"] == identifier]

    assert len(found) == 2
    assert all(rule["annotations"]["summary"].startswith(summary) for rule in found)
    assert {rule.get("alert", rule.get("title")) for rule in found} == {title}


def test_each_form_has_its_own_templates() -> None:
    """The value of a Grafana rule is that of its query B; labels are written alike."""
    index = NAMES.index("disk-usage-high")

    assert RULES[index]["annotations"]["summary"] == (
        '{{ $labels.mountpoint }} is {{ $value | printf "%.4g" }} % full (85 % or more)'
    )
    assert GRAFANA[index]["annotations"]["summary"] == (
        '{{ $labels.mountpoint }} is {{ printf "%.4g" $values.B.Value }} % full (85 % or more)'
    )


@pytest.mark.parametrize(
    ("identifier", "comparison", "threshold", "pending"),
    [
        ("backend-cpu-high", ">", 80, "2m"),
        ("backend-memory-high", ">", 80, "5m"),
        ("celery-failure-rate", ">", 10, "5m"),
        ("slow-queries-spike", ">", 50, "2m"),
        ("api-response-time", ">", 2, "2m"),
        ("disk-usage-high", ">=", 85, "5m"),
    ],
)
def test_the_guides_thresholds(identifier: str, comparison: str, threshold: float, pending: str) -> None:
    """G3."""
    alert = next(alert for alert in ALERTS if alert["id"] == identifier)

    assert (alert["comparison"], alert["threshold"], alert["for"]) == (comparison, threshold, pending)


def test_the_embedded_backend_loads_the_rules() -> None:
    files = RENDERING.project("telemetry")
    mounted = yaml.safe_load(files["docker-compose.prod.yml"])["services"]["metrics-backend"]["volumes"]

    assert yaml.safe_load(files["metrics-backend/rules/soundcheck.yml"]) == RENDERING.value(
        "metric_catalogue_prometheus_rules"
    )
    target = ":/etc/prometheus/rules/soundcheck.yml:ro"
    assert any(volume.endswith(f"/metrics-backend/rules/soundcheck.yml{target}") for volume in mounted)
    assert "/etc/prometheus/rules/*.yml" in files["metrics-backend/prometheus.yml"]


def test_grafana_cloud_gets_no_rule_file() -> None:
    files = Rendering(inventory="inventories/production").project("telemetry")

    assert not [path for path in files if path.startswith("metrics-backend")]
