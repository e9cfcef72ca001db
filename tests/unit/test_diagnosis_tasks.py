"""Celery's tasks: what the workers say, what the exporter counts, and what is told when either is silent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import (
    FIXTURES,
    ID,
    SECRET,
    FakeEngine,
    cgroups,
    container,
    docker_api,
    look,
    made,
    redact,
)
from tests.unit.diagnosis_modules import load_diagnosis
from tests.unit.test_diagnosis_broker import serving

tasks = load_diagnosis("tasks")

EXPORTED = (FIXTURES / "exporters" / "celery-exporter-0.11.2.prom").read_text(encoding="utf-8")
NOW = 1_700_000_100.0
ANSWERS: dict[str, Any] = {
    "celery@celery": {
        "active": [
            {
                "id": "t1",
                "name": "music.tasks.charts.update_realtime_chart",
                "args": f"('{SECRET}',)",
                "kwargs": "{}",
                "time_start": NOW - 5,
            },
            {"id": "t2", "name": "music.tasks.charts.update_realtime_chart", "time_start": NOW - 60},
        ],
        "reserved": ["t3"],
        "concurrency": 2,
        "queues": ["default"],
    },
    # Broke off after its first answer.
    "celery@celery-ai": {"active": []},
}


def answering(answers: Any = ANSWERS, status: int = 0, error: str = "") -> FakeEngine:
    return FakeEngine(
        execute=lambda command: docker_api.Answer(status, json.dumps(answers) if not status else "", error)
    )


def test_what_runs() -> None:
    found = tasks.of_answers(ANSWERS, ["celery", "celery-ai", "celery-mail"], NOW, redact)
    assert [(task["id"], task["worker"], task["seconds"]) for task in found["running"]] == [
        ("t2", "celery", 60.0),
        ("t1", "celery", 5.0),
    ]
    assert found["running"][1]["arguments"] == "('***',) {}"
    assert found["workers"] == [
        {"name": "celery", "queues": ["default"], "concurrency": 2, "running": 2, "reserved": 1},
        {"name": "celery-ai", "queues": None, "concurrency": None, "running": 0, "reserved": None},
    ]
    assert found["silent"] == ["celery-mail"]


def test_kinds_of_the_exporter() -> None:
    names = (*tasks._COUNTERS, *tasks._RUNTIME)
    found = {kind["name"]: kind for kind in tasks.kinds(tasks.parse(EXPORTED, names))}
    covers = found["music.tasks.covers.fetch_cover"]
    assert covers["failed"] == 14
    assert covers["retried"] is not None
    assert covers["started"] == covers["succeeded"] + covers["failed"] + covers["retried"]
    assert all(kind["mean_seconds"] is None or kind["mean_seconds"] > 0 for kind in found.values())


def test_a_whole_look() -> None:
    engine = answering()
    with serving(EXPORTED) as (port, _):
        part = tasks.collect(
            made(
                container("celery"),
                container("celery-exporter", project="telemetry"),
                engine=engine,
                celery_exporter={"service": "celery-exporter", "port": port},
            )
        )
    assert part.problem == ""
    assert len(part.facts["running"]) == 2
    assert part.facts["kinds"]
    ((identity, command, _),) = engine.asked
    assert identity == ID["celery"]
    assert command == ["python", "-m", "soundcheck_inspect", "--seconds", "1.8", "--workers", "1"]
    assert SECRET not in str(part.facts)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (answering(status=1, error=f"the broker at amqp://{SECRET}@rabbitmq\n"), "amqp://***@rabbitmq"),
        (answering(status=137), "status 137"),
        (
            FakeEngine(execute=lambda _: docker_api.Answer(0, "Traceback", "")),
            "soundcheck_inspect in app-celery-1: expected JSON",
        ),
    ],
    ids=["broker down", "killed", "no answer"],
)
def test_silent_workers_leave_the_exporters_numbers(engine: FakeEngine, said: str) -> None:
    with serving(EXPORTED) as (port, _):
        part = tasks.collect(
            made(
                container("celery"),
                container("celery-exporter", project="telemetry"),
                engine=engine,
                celery_exporter={"service": "celery-exporter", "port": port},
            )
        )
    assert said in part.problem
    assert part.problem.endswith("the exporter's numbers are shown instead: not which tasks run")
    assert SECRET not in part.problem
    assert part.facts["running"] is None
    assert part.facts["silent"] is None
    assert {worker["name"] for worker in part.facts["workers"]} == {"celery", "celery-ai"}
    assert part.facts["kinds"]


def test_without_an_exporter_the_workers_are_heard() -> None:
    part = tasks.collect(made(container("celery"), engine=answering()))
    assert part.problem == "exporter: no container of celery-exporter runs"
    assert part.facts["kinds"] is None
    assert len(part.facts["running"]) == 2


def test_an_exporter_that_is_not_deployed_is_not_missed() -> None:
    part = tasks.collect(made(container("celery"), engine=answering(), celery_exporter=None))
    assert part.problem == ""
    assert part.facts["kinds"] is None
    assert len(part.facts["running"]) == 2


def test_without_both_it_is_unable() -> None:
    with pytest.raises(look.Unable, match="none of backend, celery, celery-ai runs"):
        tasks.collect(made(container("celery", pid=0)))
    with pytest.raises(look.Unable, match="Docker does not answer"):
        tasks.collect(made(no_engine="Docker does not answer"))


def test_it_asks_where_memory_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process more in a container at its limit could cost a task its life."""
    usage = {
        1: cgroups.Usage(memory=500, memory_limit=512),
        2: cgroups.Usage(memory=100, memory_limit=600),
        3: cgroups.Usage(memory=700, memory_limit=1024),
    }
    monkeypatch.setattr(cgroups.Cgroups, "usage", lambda _, pid: usage[pid])
    containers = [container("celery", 1), container("backend", 2), container("celery-ai", 3)]
    assert tasks.roomiest(made(*containers)).service == "backend"
    usage[3] = cgroups.Usage(memory=700)
    assert tasks.roomiest(made(*containers)).service == "celery-ai"


def test_many_tasks_are_bounded() -> None:
    active = [{"id": str(number), "name": "t", "time_start": 0.0} for number in range(60)]
    part = tasks.collect(made(container("celery"), engine=answering({"celery@celery": {"active": active}})))
    assert len(part.facts["running"]) == tasks.MOST
    assert part.omitted == ("10 younger running tasks",)


def test_an_idle_worker_runs_nothing(tmp_path: Path) -> None:
    idle: dict[str, Sequence[str]] = {"active": [], "reserved": []}
    part = tasks.collect(made(container("celery"), engine=answering({"celery@celery": idle}), proc=tmp_path))
    assert part.facts["running"] == []
