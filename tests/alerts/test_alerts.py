"""The catalogue's alerts under promtool: for each, series that make it fire after its `for`, and near misses.

The rules are those of the local inventory. A case in cases/*.yml has `series` in promtool's notation, with
one sample per minute. Until `quiet_until` its alert must never have fired, at `fires_at` it must. promtool
comes with the Debian-built Prometheus, so `make images` comes first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promtool import RULES, Promtool, of_this_host
from tests.render import Rendering

CASES: list[dict[str, Any]] = [
    case
    for path in sorted((Path(__file__).parent / "cases").glob("*.yml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="session")
def said(promtool: Promtool) -> dict[str, str]:
    """What promtool says of each case, all asked at once."""
    return promtool.test({title(case): unit_test(case) for case in CASES})


def title(case: dict[str, Any]) -> str:
    return f"{case['alert']}: {case['name']}"


def unit_test(case: dict[str, Any]) -> dict[str, Any]:
    """A case in promtool's format. ALERTS is the series that Prometheus itself writes for each alert."""
    firing = f'ALERTS{{alertstate="firing",alert_id="{case["alert"]}"}}'
    checks = []
    if "quiet_until" in case:
        ever = {
            "expr": f"count_over_time({firing}[30d])",
            "eval_time": case["quiet_until"],
            "exp_samples": [],
        }
        checks.append(ever)
    if "fires_at" in case:
        now = {"expr": f"count({firing})", "eval_time": case["fires_at"]}
        checks.append({**now, "exp_samples": [{"labels": "{}", "value": 1}]})
    # Without quotes YAML reads 0x20 as 32.
    assert all(isinstance(values, str) for values in case["series"].values()), case
    series = [{"series": of_this_host(name), "values": values} for name, values in case["series"].items()]
    return {"interval": "1m", "input_series": series, "promql_expr_test": checks}


def test_every_alert_has_a_case_that_fires_and_a_near_miss() -> None:
    alerts = {rule["labels"]["alert_id"] for group in RULES["groups"] for rule in group["rules"]}

    assert {case["alert"] for case in CASES if "fires_at" in case} == alerts
    assert {case["alert"] for case in CASES if "fires_at" not in case and "quiet_until" in case} == alerts


def test_promtool_takes_the_rules(promtool: Promtool) -> None:
    (promtool.folder / "rules.yml").write_text(yaml.safe_dump(RULES), encoding="utf-8")

    found = sum(len(group["rules"]) for group in RULES["groups"])
    assert f"SUCCESS: {found} rules found" in promtool("check", "rules", "rules.yml")


@pytest.mark.parametrize("case", CASES, ids=title)
def test_alert(said: dict[str, str], case: dict[str, Any]) -> None:
    assert said[title(case)].split() == ["SUCCESS"]


@pytest.mark.parametrize(
    ("locale", "title", "summary"),
    [
        ("en", "Disk Usage High", "/ is 89.8 % full (85 % or more)"),
        ("ko", "디스크 사용량 높음", "/ 디스크 사용량이 85% 이상입니다! (현재 89.8%)"),
    ],
)
def test_a_message_names_label_value_and_threshold(
    promtool: Promtool, locale: str, title: str, summary: str
) -> None:
    """G3: what people read, in both languages, as Prometheus' own templates make it."""
    rules = Rendering(settings={"locale": locale}).value("metric_catalogue_prometheus_rules")
    alert = next(
        rule
        for group in rules["groups"]
        for rule in group["rules"]
        if rule["labels"]["alert_id"] == "disk-usage-high"
    )
    case = next(case for case in CASES if case["alert"] == "disk-usage-high" and "fires_at" in case)
    expected = {
        "exp_labels": {**alert["labels"], "mountpoint": "/"},
        "exp_annotations": {**alert["annotations"], "summary": summary},
    }
    alerts = [{"alertname": title, "eval_time": case["fires_at"], "exp_alerts": [expected]}]
    test = {key: value for key, value in unit_test(case).items() if key != "promql_expr_test"}

    (answer,) = promtool.test({locale: {**test, "alert_rule_test": alerts}}, rules).values()
    assert answer.split() == ["SUCCESS"]


def test_a_wrong_threshold_turns_a_case_red(promtool: Promtool) -> None:
    """The cases can fail: with 95 % instead of 80 % the first case of the backend's CPU does."""
    rules = Rendering(settings={"metric_catalogue_backend_cpu_percent": 95}).value(
        "metric_catalogue_prometheus_rules"
    )
    case = next(case for case in CASES if case["alert"] == "backend-cpu-high")

    (answer,) = promtool.test({"wrong threshold": unit_test(case)}, rules).values()
    assert "FAILED" in answer
