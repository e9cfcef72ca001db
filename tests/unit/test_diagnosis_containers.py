"""One container's figures: between two looks, and where the kernel tells none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.diagnosis_look import cgroups, container, look, made
from tests.unit.diagnosis_modules import load_diagnosis

containers = load_diagnosis("containers")
Usage = cgroups.Usage


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (Usage(periods=10, throttled=2), Usage(quota_cores=0.5, periods=20, throttled=10), 80.0),
        (Usage(periods=10, throttled=2), Usage(quota_cores=0.5, periods=10, throttled=2), 0.0),
        (Usage(periods=0, throttled=0), Usage(periods=0, throttled=0), None),
        (Usage(), Usage(quota_cores=0.5), None),
    ],
    ids=["throttled", "idle", "no quota", "unknown"],
)
def test_throttling(before: Any, after: Any, percent: float | None) -> None:
    assert containers.throttled(before, after) == percent


def test_a_container_between_two_looks() -> None:
    ran = container("celery", started_at=900.0, restarts=2)
    after = Usage(cpu_seconds=11.5, memory=5, memory_limit=10, oom_kills=1)
    found = containers.described(ran, Usage(cpu_seconds=10.0), after, 1.5, 1000.0)
    assert (found["cpu_percent"], found["memory"], found["oom_kills"], found["restarts"]) == (100.0, 5, 1, 2)
    assert found["started_seconds_ago"] == 100.0
    assert found["quota_cores"] is None
    assert containers.described(ran, Usage(), Usage(), 1.5, 1000.0)["cpu_percent"] is None


def test_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {7: Usage(cpu_seconds=1.0, memory=5), 8: Usage()}
    monkeypatch.setattr(cgroups.Cgroups, "usage", lambda _, pid: usage[pid])
    part = containers.collect(
        made(
            container("celery"),
            container("postgres", 8),
            container("backend", 0),
            container("migrate (job)", 0),
            container("game", project="games"),
        )
    )
    assert [(each["service"], each["status"]) for each in part.facts] == [
        ("backend", "exited"),
        ("celery", "running"),
        ("postgres", "running"),
    ]
    assert part.problem == "no figures of postgres: ended meanwhile, or no controllers"


def test_without_an_engine() -> None:
    with pytest.raises(look.Unable, match="Docker does not answer"):
        containers.collect(made(no_engine="Docker does not answer"))
