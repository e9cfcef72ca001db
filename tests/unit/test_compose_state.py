"""What `docker inspect` says of a project, judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugins.module_utils import compose_state as state
from plugins.module_utils.compose_state import Container

UP = Container(
    identity="1",
    name="app-backend-1",
    service="backend",
    config_hash="label",
    image="sha256:1",
    reference="app:1",
    pid=0,
    status="running",
    health="healthy",
    started_at="2026-01-01T00:00:00.000000000Z",
    restarts=0,
    exit_code=0,
    oom_killed=False,
    health_output="",
    health_command=(),
)
RECORDED = {"backend": ("files", "label")}


def inspected(labels: dict[str, str], **of_state: Any) -> dict[str, Any]:
    return {"Id": "1", "Name": "/app-backend-1", "Config": {"Labels": labels}, "State": of_state}


def test_one_off_containers_are_no_services() -> None:
    entry = inspected({state.SERVICE_LABEL: "migrate", state.ONE_OFF_LABEL: "True"}, Status="running")

    assert state.parse([entry]) == []


def test_health_and_its_last_output_are_read() -> None:
    health = {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": " last\n"}]}

    (container,) = state.parse([inspected({state.SERVICE_LABEL: "backend"}, Status="running", Health=health)])

    assert (container.service, container.health, container.health_output) == ("backend", "unhealthy", "last")


@pytest.mark.parametrize(
    ("wanted", "recorded", "containers", "pending"),
    [
        pytest.param({"backend": "files"}, RECORDED, [UP], [], id="nothing changed"),
        pytest.param({"backend": "other"}, RECORDED, [UP], ["backend"], id="the file changed"),
        pytest.param({"backend": "files"}, RECORDED, [], ["backend"], id="the container is gone"),
        pytest.param({"backend": "files"}, {}, [UP], ["backend"], id="never recorded"),
        pytest.param({"backend": "label"}, {}, [UP], [], id="never recorded, and as it should be"),
        pytest.param(
            {"backend": "files"},
            RECORDED,
            [UP, replace(UP, config_hash="older")],
            ["backend"],
            id="one is older",
        ),
        pytest.param(
            {"backend": "files"},
            RECORDED,
            [replace(UP, config_hash="by hand")],
            ["backend"],
            id="recreated by hand",
        ),
        pytest.param(
            {"backend": "files"}, RECORDED, [replace(UP, status="exited")], ["backend"], id="stopped"
        ),
    ],
)
def test_pending_services(
    wanted: dict[str, str],
    recorded: dict[str, tuple[str, str]],
    containers: list[Container],
    pending: list[str],
) -> None:
    assert state.pending_services(wanted, recorded, containers) == pending


def test_service_that_left_the_file_is_an_orphan() -> None:
    assert state.orphans({"celery": "h"}, [UP]) == ["backend"]


@pytest.mark.parametrize(
    ("change", "seconds_up", "verdict"),
    [
        ({}, 0.0, "up"),
        ({"health": "starting"}, 60.0, "waiting"),
        ({"health": "unhealthy"}, 60.0, "failed"),
        ({"health": "", "status": "restarting"}, 60.0, "failed"),
        ({"health": ""}, 1.0, "waiting"),
        ({"health": ""}, state.SETTLED_SECONDS, "up"),
    ],
)
def test_verdict(change: dict[str, Any], seconds_up: float, verdict: str) -> None:
    assert state.verdict(replace(UP, **change), seconds_up) == verdict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"oom_killed": True}, "memory limit; raise the `memory`"),
        ({"health": "unhealthy", "health_output": "no answer"}, "health check fails: no answer"),
        ({"status": "restarting", "exit_code": 3, "restarts": 4}, "last exit status 3, restarted 4 times"),
        ({"health": "starting"}, "not healthy in time"),
    ],
)
def test_explanation_names_the_service_and_the_reason(change: dict[str, Any], words: str) -> None:
    sentence = state.explanation(replace(UP, **change))

    assert sentence.startswith("backend: ")
    assert words in sentence


@pytest.mark.parametrize(
    ("healthcheck", "command"),
    [
        ({}, ()),
        ({"Test": ["NONE"]}, ()),
        ({"Test": ["CMD", "pg_isready", "-q"]}, ("pg_isready", "-q")),
        ({"Test": ["CMD-SHELL", "pg_isready || exit 1"]}, ("/bin/sh", "-c", "pg_isready || exit 1")),
    ],
)
def test_the_command_of_a_health_check(healthcheck: dict[str, Any], command: tuple[str, ...]) -> None:
    assert state.health_command(healthcheck) == command
