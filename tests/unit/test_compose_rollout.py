"""The order in which a rollout replaces services, against an engine that only remembers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils import compose_rollout as rollout
from plugins.module_utils.compose_rollout import DeployFailed, Plan, Rollout
from plugins.module_utils.compose_state import Container

PLAN = Plan(
    web="backend",
    port=8000,
    slots=("app-backend-blue", "app-backend-green"),
    proxy="proxy",
    proxy_files="proxy",
    reload=("caddy", "reload"),
    retire=("retire",),
    seen_seconds=0,
    drain_seconds=0,
    scheduler="beat",
    workers=("celery", "celery-ai"),
    quiet=("quiet",),
    proof=("prove",),
    kept=("rabbitmq", "postgres", "proxy"),
)
RUNNING = Container(
    identity="",
    name="",
    service="",
    config_hash="",
    image="sha256:1",
    reference="app:1",
    pid=0,
    status="running",
    health="healthy",
    started_at="",
    restarts=0,
    exit_code=0,
    oom_killed=False,
    health_output="",
    health_command=(),
)


class Remembering:
    """Stands for compose_docker.Engine: containers in a list, and every act in `acts`."""

    def __init__(self, directory: Path, *services: str) -> None:
        self.directory, self.numbers = str(directory), 0
        self.acts: list[str] = []
        self.running: list[Container] = []
        self.sick: set[str] = set()
        self.refuses: set[str] = set()
        self.satisfied: set[str] = set()
        """Services of which Compose says that they run as they should."""
        for service in services:
            self.start(service)

    def start(self, service: str, name: str = "") -> None:
        self.numbers += 1
        identity = f"app-{service}-{self.numbers}"
        container = replace(RUNNING, identity=identity, name=name or identity, service=service)
        self.running.append(replace(container, started_at=f"{self.numbers:09}"))

    def containers(self, services: Iterable[str] | None = None) -> list[Container]:
        return [entry for entry in self.running if services is None or entry.service in set(services)]

    def up(self, services: Sequence[str], *options: str) -> None:
        self.acts.append(f"up {' '.join(services)}{' beside' if '--no-recreate' in options else ''}")
        for service in services:
            if service in self.satisfied and not options:
                continue
            if "--no-recreate" not in options:
                self.running = [entry for entry in self.running if entry.service != service]
            self.start(service)

    def remove(self, containers: Sequence[Container]) -> None:
        if containers:
            self.acts.append(f"remove {' '.join(entry.identity for entry in containers)}")
        gone = {entry.identity for entry in containers}
        self.running = [entry for entry in self.running if entry.identity not in gone]

    def wait(self, ask: Any, timeout: float) -> list[Container]:
        found: list[Container] = ask()
        for entry in found:
            if entry.service in self.sick:
                raise DeployFailed(f"{entry.name} is never healthy")
        return found

    def docker(self, *arguments: str) -> tuple[int, str, str]:
        self.acts.append(" ".join(arguments))
        if arguments[0] == "rename":
            self.running = [
                replace(entry, name=arguments[2]) if entry.identity == arguments[1] else entry
                for entry in self.running
            ]
        return int(arguments[2] in self.refuses), "", f"{arguments[2]} refused"


def run(engine: Remembering, *pending: str, reload: bool = False) -> Rollout:
    rolling = Rollout(engine, PLAN, 1, lambda _sentence: None)
    rolling.run(pending, lambda: engine.acts.append("jobs"), reload=reload)
    return rolling


def deployed(directory: Path) -> Remembering:
    engine = Remembering(directory, "rabbitmq")
    engine.start("backend", name="app-backend-blue")
    for service in ("proxy", "celery", "celery-ai", "beat", "traffic"):
        engine.start(service)
    return engine


def web_names(engine: Remembering) -> list[str]:
    return [entry.name for entry in engine.containers(["backend"])]


def test_a_first_deploy_starts_the_proxy_when_there_is_someone_to_serve(tmp_path: Path) -> None:
    engine = Remembering(tmp_path)

    run(engine, "rabbitmq", "proxy", "backend", "celery", "celery-ai", "beat", "traffic")

    assert engine.acts == [
        "up rabbitmq",
        "jobs",
        "up backend beside",
        "rename app-backend-2 app-backend-blue",
        "up proxy",
        "up celery celery-ai",
        "exec app-celery-4 prove celery celery-ai",
        "up beat",
        "up traffic",
    ]
    assert web_names(engine) == ["app-backend-blue"]


def test_a_new_version_takes_over_before_the_old_one_ends_and_beat_is_never_twice(tmp_path: Path) -> None:
    """T11"""
    engine = deployed(tmp_path)

    rolling = run(engine, "backend", "celery", "celery-ai", "beat", "traffic")

    assert engine.acts == [
        "jobs",
        "up backend beside",
        "rename app-backend-8 app-backend-green",
        "exec app-backend-2 retire",
        "remove app-backend-2",
        "remove app-beat-6",
        "exec app-celery-4 quiet celery celery-ai",
        "up celery celery-ai",
        "exec app-celery-9 prove celery celery-ai",
        "up beat",
        "up traffic",
    ]
    assert web_names(engine) == ["app-backend-green"]
    assert rolling.touched == {"backend", "celery", "celery-ai", "beat", "traffic"}


def test_a_changed_worker_stops_beat_and_leaves_the_web_alone(tmp_path: Path) -> None:
    engine = deployed(tmp_path)

    run(engine, "celery")

    assert engine.acts == [
        "jobs",
        "remove app-beat-6",
        "exec app-celery-4 quiet celery",
        "up celery",
        "exec app-celery-8 prove celery",
        "up beat",
    ]


def test_a_worker_that_takes_no_more_tasks_is_replaced_whatever_compose_says_of_it(tmp_path: Path) -> None:
    engine = deployed(tmp_path)
    engine.satisfied = {"celery"}
    (told_to_rest,) = engine.containers(["celery"])

    run(engine, "celery")

    assert told_to_rest not in engine.containers(["celery"])


def test_a_web_container_that_is_never_healthy_is_removed_and_the_old_one_keeps_its_name(
    tmp_path: Path,
) -> None:
    engine = deployed(tmp_path)
    engine.sick = {"backend"}
    rolling = Rollout(engine, PLAN, 1, lambda _sentence: None)

    with pytest.raises(DeployFailed, match="app-backend-8 is never healthy"):
        rolling.run(["backend", "celery"], lambda: None, reload=False)

    assert engine.acts == ["up backend beside", "remove app-backend-8"]
    assert web_names(engine) == ["app-backend-blue"]
    assert rolling.touched == set()


def test_what_a_deploy_that_was_cut_off_left_is_removed_first(tmp_path: Path) -> None:
    engine = deployed(tmp_path)
    engine.start("backend")

    run(engine, "backend")

    assert engine.acts[1] == "remove app-backend-8"
    assert engine.acts[-1] == "remove app-backend-2"
    assert web_names(engine) == ["app-backend-green"]


def test_a_deploy_that_was_cut_off_between_the_names_is_completed(tmp_path: Path) -> None:
    engine = deployed(tmp_path)
    engine.start("backend", name="app-backend-green")

    run(engine, "backend")

    assert engine.acts[1:3] == [
        "exec app-backend-2 retire",
        "remove app-backend-2",
    ]
    assert web_names(engine) == ["app-backend-blue"]


def test_a_web_container_that_was_recreated_by_hand_gets_a_name_that_the_proxy_knows(tmp_path: Path) -> None:
    engine = Remembering(tmp_path, "backend", "proxy")

    run(engine)

    assert web_names(engine) == ["app-backend-blue"]


def test_new_files_of_the_proxy_are_read_without_a_restart(tmp_path: Path) -> None:
    engine = deployed(tmp_path)

    run(engine, reload=True)

    assert engine.acts == ["jobs", "exec app-proxy-3 caddy reload"]


def test_a_proxy_that_refuses_its_files_stops_the_rollout(tmp_path: Path) -> None:
    engine = deployed(tmp_path)
    engine.refuses = {"caddy"}

    with pytest.raises(DeployFailed, match="app-proxy-3 did not take its new configuration: caddy refused"):
        run(engine, "backend", "celery", reload=True)

    assert "up celery" not in engine.acts


def test_workers_that_are_not_proven_stop_the_rollout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    engine = deployed(tmp_path)
    engine.refuses = {"prove"}

    with pytest.raises(DeployFailed, match="the new workers were not proven: prove refused"):
        run(engine, "celery")

    assert "up beat" not in engine.acts


@pytest.mark.parametrize(
    ("pending", "status", "unasked"),
    [
        ({"backend", "celery"}, "running", []),
        ({"backend", "rabbitmq"}, "running", ["rabbitmq"]),
        ({"rabbitmq", "proxy"}, "running", ["rabbitmq", "proxy"]),
        ({"rabbitmq"}, "exited", []),
    ],
)
def test_what_would_be_restarted_unasked(pending: set[str], status: str, unasked: list[str]) -> None:
    containers = [
        replace(RUNNING, service=service, status=status) for service in ("rabbitmq", "proxy", "backend")
    ]

    assert rollout.restarts(PLAN, pending, containers) == unasked
