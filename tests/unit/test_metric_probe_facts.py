"""What Docker and the collectors answer, turned into facts."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.metric_probe_facts import Target, containers_of, sources_of, targets_of


def inspected(networks: dict[str, str], mode: str = "telemetry", **labels: str) -> dict[str, Any]:
    return {
        "Id": "abc",
        "Name": "/app-backend-1",
        "Config": {
            "Labels": {"com.docker.compose.project": "app", "com.docker.compose.service": "backend"} | labels
        },
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True},
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {name: {"IPAddress": address} for name, address in networks.items()}},
    }


@pytest.mark.parametrize(
    ("networks", "mode", "address"),
    [
        ({"app_default": "172.19.0.2", "telemetry": "172.18.0.2"}, "app_default", "172.18.0.2"),
        ({"app_default": "172.19.0.2"}, "app_default", "172.19.0.2"),
        ({"telemetry": ""}, "telemetry", ""),
        ({}, "none", ""),
        ({"host": ""}, "host", "127.0.0.1"),
    ],
)
def test_the_address_is_the_one_the_collector_uses(networks: dict[str, str], mode: str, address: str) -> None:
    (container,) = containers_of([inspected(networks, mode)])
    assert container.address == address


def test_a_container_keeps_how_it_ended() -> None:
    (container,) = containers_of([inspected({})])
    assert (container.name, container.project, container.service) == ("app-backend-1", "app", "backend")
    assert (container.running, container.exit_code, container.oom_killed) == (False, 137, True)


def test_one_off_containers_are_left_out() -> None:
    assert containers_of([inspected({}, **{"com.docker.compose.oneoff": "True"})]) == ()


def test_targets_of_grafana_agent_static_mode() -> None:
    answer = {
        "status": "success",
        "data": [
            {
                "instance": "telemetry",
                "target_group": "django",
                "endpoint": "http://backend:8000/metrics",
                "state": "down",
                "labels": {"job": "django", "instance": "backend:8000"},
                "last_scrape": "2026-11-24T08:00:00Z",
                "scrape_duration_ms": 3,
                "scrape_error": "connection refused",
            },
            {"target_group": "node", "endpoint": "http://node-exporter:9100/metrics", "state": "up"},
        ],
    }
    assert targets_of("grafana_agent", answer) == (
        Target("django", "http://backend:8000/metrics", "down", "connection refused"),
        Target("node", "http://node-exporter:9100/metrics", "up"),
    )


def test_targets_of_prometheus() -> None:
    answer = {
        "status": "success",
        "data": {
            "activeTargets": [
                {
                    "labels": {"job": "django"},
                    "scrapePool": "django",
                    "scrapeUrl": "http://backend:8000/metrics",
                    "health": "unknown",
                    "lastError": "",
                }
            ],
            "droppedTargets": [],
        },
    }
    assert targets_of("prometheus_agent", answer) == (
        Target("django", "http://backend:8000/metrics", "unknown"),
    )


@pytest.mark.parametrize("collector", ["grafana_agent", "prometheus_agent"])
def test_an_answer_without_targets(collector: str) -> None:
    assert targets_of(collector, {"status": "success", "data": None}) == ()


def test_a_source_takes_defaults_from_the_run_and_stored_names_from_exposed_ones() -> None:
    entry = {
        "name": "node",
        "job": "node",
        "project": "telemetry",
        "service": "node-exporter",
        "port": 9100,
        "promised": [
            {"exposed": "node_load1", "stored": None, "labels": None, "when": None},
            {"exposed": "a", "stored": "b", "labels": {"datname": 1}, "when": "an event"},
        ],
        "likely_causes": None,
        "fresh_seconds": None,
    }
    stamped = {**entry, "fresh_seconds": 300}
    first, second = sources_of([entry, stamped], fresh_seconds=60)
    assert (first.fresh_seconds, second.fresh_seconds) == (60, 300)
    assert first.promised[0].stored == "node_load1"
    assert first.promised[1].stored == "b"
    assert first.promised[1].labels == {"datname": "1"}
