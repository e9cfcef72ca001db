"""The dashboards as Grafana reads them."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from tests.render import Rendering

DASHBOARDS: list[dict[str, Any]] = Rendering().value("metric_catalogue_dashboards")
BY_UID = {board["uid"]: board for board in DASHBOARDS}
QUESTIONS: list[dict[str, Any]] = Rendering().value("metric_catalogue_questions")


def panel(title: str) -> dict[str, Any]:
    return next(panel for board in DASHBOARDS for panel in board["panels"] if panel["title"] == title)


def test_there_are_the_guides_four() -> None:
    """G2."""
    assert {uid: board["title"] for uid, board in BY_UID.items()} == {
        "soundcheck-system": "System Overview",
        "soundcheck-celery": "Celery Metrics",
        "soundcheck-django": "Django Metrics",
        "soundcheck-containers": "Container Resources",
    }


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_panels_fill_the_grid_without_overlap(board: dict[str, Any]) -> None:
    """24 columns; 36 units of height are two screens of a reader with 1280 pixels."""
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
        for p in places
    ]

    assert not any(one & other for one, other in combinations(cells, 2))
    bottom = max(p["y"] + p["h"] for p in places)
    assert sum(map(len, cells)) == 24 * bottom
    assert bottom <= 36
    assert all(p["w"] >= 6 for p in places)


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_panels_are_complete(board: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    for shown in board["panels"]:
        assert shown["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len(shown["description"]) > 40, shown["title"]
        assert shown["fieldConfig"]["defaults"]["unit"]
        for target in shown["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["legendFormat"]
            assert 'environment="$environment",host="$instance"' in target["expr"]
            assert target["range"] is (shown["type"] in ("timeseries", "stat"))


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])
def test_a_dashboard_lets_choose_and_leads_to_the_others(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    used = json.dumps(board["panels"])

    assert list(variables)[:3] == ["datasource", "environment", "instance"]
    assert variables["datasource"]["current"]["value"] == "grafanacloud-prom"
    assert not variables["instance"]["multi"], "sums of two hosts are true of neither"
    assert ("service" in variables) is ("$service" in used)
    (link,) = board["links"]
    assert (link["type"], link["tags"], board["tags"]) == ("dashboards", ["soundcheck"], ["soundcheck"])
    assert link["includeVars"] is link["keepTime"] is True
    (deploys,) = board["annotations"]["list"]
    assert deploys["target"]["tags"] == ["soundcheck-deploy"]


@pytest.mark.parametrize(
    ("uid", "metric", "label"),
    [
        ("soundcheck-celery", "celery_worker_up", "hostname"),
        ("soundcheck-containers", "container_memory_working_set_bytes", "name"),
    ],
)
def test_a_service_is_chosen_where_series_name_one(uid: str, metric: str, label: str) -> None:
    service = BY_UID[uid]["templating"]["list"][-1]
    query = f'label_values({metric}{{environment="$environment",host="$instance"}}, {label})'

    assert (service["name"], service["query"]["query"]) == ("service", query)
    assert (service["multi"], service["includeAll"], service["allValue"]) == (True, True, ".+")


@pytest.mark.parametrize(
    ("title", "kind", "unit", "legends"),
    [
        ("Celery task duration (95th percentile)", "timeseries", "s", ["{{task_name}}"]),
        ("Celery task success/failure rate", "timeseries", "ops", ["{{task_name}} - {{status}}"]),
        ("Running Celery tasks", "timeseries", "short", ["{{hostname}}"]),
        ("Total Celery task executions", "barchart", "short", ["{{task_name}} - {{status}}"]),
        ("Requests per endpoint (per second)", "timeseries", "reqps", ["{{view}}"]),
        ("Response time (95th percentile)", "timeseries", "s", ["{{view}}"]),
        ("Slow queries (over 2 s)", "stat", "cps", ["__auto"]),
        ("Database connections", "timeseries", "short", ["open", "active", "limit"]),
        ("CPU per container", "timeseries", "percent", ["{{name}}"]),
        ("Memory per container", "timeseries", "bytes", ["{{name}}"]),
        ("Top 10 CPU", "bargauge", "percent", ["{{name}}"]),
        ("Network I/O", "timeseries", "Bps", ["{{name}} - receive", "{{name}} - transmit"]),
    ],
)
def test_the_guides_panels(title: str, kind: str, unit: str, legends: list[str]) -> None:
    """G2: title, type, unit and legend of all twelve."""
    shown = panel(title)

    assert (shown["type"], shown["fieldConfig"]["defaults"]["unit"]) == (kind, unit)
    assert [target["legendFormat"] for target in shown["targets"]] == legends


def test_slow_queries_have_the_guides_colours() -> None:
    """G2.D3."""
    steps = panel("Slow queries (over 2 s)")["fieldConfig"]["defaults"]["thresholds"]["steps"]

    assert [(step["value"], step["color"]) for step in steps] == [(None, "green"), (5, "yellow"), (10, "red")]


def test_executions_are_a_bar_for_each_task_and_status() -> None:
    """G2.C4: over the range that is shown, from a table."""
    shown = panel("Total Celery task executions")
    (target,) = shown["targets"]

    assert "[$__range]" in target["expr"]
    assert (target["format"], target["instant"]) == ("table", True)
    assert shown["transformations"][0]["id"] == "groupingToMatrix"
    assert shown["options"]["xField"] == "task_name\\status"


def test_a_threshold_of_an_alert_is_a_line_in_its_panel() -> None:
    boards = Rendering(settings={"metric_catalogue_disk_percent": 70}).value("metric_catalogue_dashboards")
    disk = next(shown for board in boards for shown in board["panels"] if shown["title"] == "Disk usage")

    assert disk["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 70
    assert disk["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "line"


def test_korean_titles() -> None:
    """G2: the guide's own."""
    boards = Rendering(settings={"locale": "ko"}).value("metric_catalogue_dashboards")
    titles = {shown["title"] for board in boards for shown in board["panels"]}

    assert {
        *("Celery 작업 실행 시간 (95th percentile)", "Celery 작업 성공/실패율", "실행 중인 Celery 작업"),
        *("Celery 작업 총 실행 횟수", "엔드포인트별 요청 수 (초당)", "응답 시간 (95th percentile)"),
        *("슬로우 쿼리 (2초 이상)", "데이터베이스 연결 수", "컨테이너별 CPU 사용량"),
        *("컨테이너별 메모리 사용량", "CPU 사용량 상위 10개 프로세스", "네트워크 I/O"),
    } <= titles


def test_the_verification_asks_what_the_dashboards_show() -> None:
    targets = sum(len(shown["targets"]) for board in DASHBOARDS for shown in board["panels"])

    assert sum(question["kind"] == "panel" for question in QUESTIONS) == targets
    assert not any("$" in question["expr"] for question in QUESTIONS)


def test_nothing_is_shown_of_a_dashboard_without_panels() -> None:
    boards = Rendering(settings={"cadvisor_enabled": False}).value("metric_catalogue_dashboards")

    assert "soundcheck-containers" not in {board["uid"] for board in boards}
