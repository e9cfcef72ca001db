"""Sections side by side: what one does not get, the others still tell."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.diagnosis_look import CONFIG, SECRET, container, docker_api, fresh, look, made, redact

QUESTIONS = SimpleNamespace(question=lambda table: table, options=lambda: "")


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    doubles = {
        "redact": SimpleNamespace(redact=redact, sql=redact),
        "database_sql": QUESTIONS,
        "index_advice": SimpleNamespace(),
    }
    return fresh(monkeypatch, "sections", "database", doubles=doubles)


def raising(error: Exception) -> Any:
    def section(_: Any) -> Any:
        raise error

    return section


def test_one_that_fails_or_hangs_is_told(sections: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "SECONDS", 0.2)
    begun = time.monotonic()
    outcomes = sections.side_by_side(
        {
            "server": lambda _: look.Part({"cores": 2}),
            "logs": lambda _: look.Part({}, f"no log of {SECRET}"),
            "web": raising(look.Unable("no container of backend runs")),
            "broker": raising(docker_api.EngineError("Docker does not answer")),
            "tasks": raising(KeyError("pool")),
            "database": lambda _: time.sleep(5),
        },
        made(),
    )
    # tasks may take longer, but it ended.
    assert time.monotonic() - begun < 1
    assert {name: (outcome.state, outcome.problem) for name, outcome in outcomes.items()} == {
        "server": ("ok", ""),
        "logs": ("partial", "no log of ***"),
        "web": ("unable", "no container of backend runs"),
        "broker": ("unable", "Docker does not answer"),
        "tasks": ("unable", "KeyError: 'pool'"),
        "database": ("unable", "no answer within 0.2 s"),
    }
    facts = sections.assembled(outcomes)
    assert facts["server"] == {"cores": 2}
    assert facts["web"] is None
    assert facts["database"] is None
    assert facts["containers"] is None
    assert facts["tasks"] == dict.fromkeys(("running", "workers", "silent", "kinds", "queues"))


def test_a_section_has_its_own_limit(sections: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "SECONDS", 0.2)
    monkeypatch.setattr(sections, "SECONDS_OF", {"tasks": 1.0})
    left = {}

    def section(name: str) -> Any:
        def measured(given: Any) -> Any:
            left[name] = given.seconds_left()
            return look.Part(None)

        return measured

    sections.side_by_side({"tasks": section("tasks"), "web": section("web")}, made())
    assert left["tasks"] == pytest.approx(0.7, abs=0.1)
    assert left["web"] == pytest.approx(0.1, abs=0.05)


def test_facts_are_put_together(sections: ModuleType) -> None:
    def outcome(facts: Any, *omitted: str) -> Any:
        return sections.Outcome("ok", 0.1, "", look.Part(facts, "", omitted))

    identity = "a" * 64
    facts = sections.assembled(
        {
            "containers": outcome([{"id": "a" * 12}, {"id": "b" * 12}]),
            "processes": outcome({"containers": {identity: [{"pid": 1}]}, "strangers": [{"pid": 2}]}),
            "logs": outcome({identity: {"lines": 5}}, "a log"),
            "tasks": outcome({"running": [], "workers": [], "silent": [], "kinds": None}),
            "broker": outcome([{"name": "default"}], "a queue"),
        }
    )
    assert facts["containers"] == [
        {"id": "a" * 12, "processes": [{"pid": 1}], "log": {"lines": 5}},
        {"id": "b" * 12, "processes": [], "log": None},
    ]
    assert facts["strangers"] == [{"pid": 2}]
    assert facts["tasks"]["queues"] == [{"name": "default"}]
    assert facts["omitted"] == ["a log", "a queue"]


def test_a_whole_look(sections: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On this machine, with an engine that has one container of the stack, which ended."""
    ended = container("celery", pid=0, restarts=3)
    monkeypatch.setattr(docker_api.Engine, "containers", lambda _: [ended])
    monkeypatch.setattr(docker_api.Engine, "logs", lambda *_: [f"2026-11-25T00:00:00Z ERROR {SECRET}"])
    config = {**CONFIG, "state": str(tmp_path), "releases": str(tmp_path / "releases")}
    facts = sections.collect(config, 900)
    assert set(facts["sections"]) == set(sections.SECTIONS)
    assert facts["sections"]["server"]["state"] == "ok"
    assert facts["sections"]["containers"]["state"] == "ok"
    assert facts["sections"]["tasks"]["problem"] == (
        "exporter: no container of celery-exporter runs; workers: none of backend, celery, celery-ai runs"
    )
    (celery,) = facts["containers"]
    assert (celery["service"], celery["restarts"], celery["memory"]) == ("celery", 3, None)
    assert celery["log"]["errors"][0]["text"] == "ERROR ***"
    assert SECRET not in str(facts)
    assert facts["before"] is None
    assert facts["taken_at"].endswith("Z")
    assert facts["seconds"] < 5

    again = sections.collect(config, 900)
    assert again["before"]["containers"][celery["id"]]["restarts"] == 3


def test_without_an_engine_the_server_is_told(
    sections: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(docker_api.Engine, "containers", raising(docker_api.EngineError("Docker is down")))
    # A file where the folder of the state should be.
    (tmp_path / "state").touch()
    facts = sections.collect({**CONFIG, "state": str(tmp_path / "state")}, 900)
    for name in ("containers", "logs", "tasks", "web", "database"):
        assert (facts["sections"][name]["state"], facts["sections"][name]["problem"]) == (
            "unable",
            "exporter: Docker is down; workers: Docker is down" if name == "tasks" else "Docker is down",
        )
    assert facts["containers"] is None
    assert facts["server"]["cores"]
    assert facts["strangers"] is not None
    assert any("counters for the next look" in sentence for sentence in facts["omitted"])


def test_an_engine_that_hangs_costs_its_limit(sections: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "LISTING_SECONDS", 0.1)
    monkeypatch.setattr(docker_api.Engine, "containers", lambda _: time.sleep(2))
    listed = sections._listed(look.Look(**{**vars(made()), "engine": docker_api.Engine()}))
    assert listed.no_engine == "Docker did not list its containers within 0.1 s"
