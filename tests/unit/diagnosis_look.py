"""A look at a server that is not there: its engine is a double, its kernel a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

cgroups = load_diagnosis("cgroups")
docker_api = load_diagnosis("docker_api")
look = load_diagnosis("look")

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SECRET = "canary-s3cret"
ID = {
    name: (name.encode().hex() * 64)[:64] for name in ("backend", "celery", "celery-ai", "postgres", "other")
}
CONFIG: dict[str, Any] = {
    "schema": 1,
    "app_project": "app",
    "telemetry_project": "telemetry",
    "locale": "en",
    "releases": "/nowhere/releases",
    "state": "/nowhere/state",
    "web": {"service": "backend", "port": 8000, "workers": 3},
    "workers": [
        {"name": "celery", "queues": ["default"], "concurrency": 2},
        {"name": "celery-ai", "queues": ["ai_queue"], "concurrency": 1},
    ],
    "broker": {"service": "rabbitmq", "port": 15692, "vhost": "app"},
    "celery_exporter": {"service": "celery-exporter", "port": 9808},
    "postgres_exporter": {"service": "postgres-exporter", "port": 9187},
    "database": {
        "kind": "embedded",
        "service": "postgres",
        "user": "app",
        "name": "app",
        "sslmode": "disable",
    },
    "index": {"table": "music_playlogs", "columns": [], "statement": ""},
}


def fresh(monkeypatch: pytest.MonkeyPatch, name: str, *siblings: str, doubles: dict[str, Any]) -> ModuleType:
    """A copy of a module for one test, which finds doubles; `siblings` that it imports are copies as well."""
    package = sys.modules["soundcheck_diagnosis"]
    for double, module in doubles.items():
        monkeypatch.setitem(sys.modules, f"{package.__name__}.{double}", module)
        monkeypatch.setattr(package, double, module, raising=False)
    for copied in (*siblings, name):
        # Set before it is deleted, so that the test's end restores what was there or removes the copy.
        monkeypatch.setitem(sys.modules, f"{package.__name__}.{copied}", package)
        del sys.modules[f"{package.__name__}.{copied}"]
        monkeypatch.setattr(package, copied, None, raising=False)
        delattr(package, copied)
    return load_diagnosis(name)


def redact(text: str) -> str:
    return text.replace(SECRET, "***")


def container(service: str, pid: int = 7, project: str = "app", **more: Any) -> Any:
    status = "running" if pid else "exited"
    return docker_api.Container(
        id=ID.get(service, ID["other"]),
        name=f"{project}-{service}-1",
        project=project,
        service=service,
        **{"status": status, "pid": pid, "addresses": {"telemetry": "127.0.0.1"}, **more},
    )


class FakeEngine:
    """Answers what a test gives it: logs by container id, the answer of a command."""

    def __init__(
        self,
        logs: dict[str, list[str]] | None = None,
        execute: Callable[[Sequence[str]], Any] | None = None,
    ) -> None:
        self.of_logs = logs or {}
        self.of_execute = execute
        self.asked: list[tuple[str, list[str], list[str]]] = []

    def logs(self, identity: str, *_: Any) -> list[str]:
        if identity not in self.of_logs:
            raise docker_api.EngineError("Docker: GET /containers/x/logs: 404: no such container")
        return self.of_logs[identity]

    def execute(
        self, identity: str, command: Sequence[str], seconds: float, environment: Sequence[str] = ()
    ) -> Any:
        self.asked.append((identity, list(command), list(environment)))
        assert self.of_execute is not None
        return self.of_execute(command)


def made(
    *containers: Any, engine: Any = None, proc: Path = Path("/proc"), no_engine: str = "", **config: Any
) -> Any:
    """A look with these containers, whose two looks at counters follow each other at once."""
    return look.Look(
        config={**CONFIG, **config},
        since_seconds=900,
        redact=redact,
        redact_sql=redact,
        engine=engine or FakeEngine(),
        cgroups=cgroups.Cgroups({}, proc),
        interval=0.01,
        listed=containers,
        no_engine=no_engine,
    )
