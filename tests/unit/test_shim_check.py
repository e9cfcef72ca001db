"""What soundcheck_check.py refuses before anything starts."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim

ROUTES = {
    "music.tasks.ai_music.generate_music_task": {"queue": "ai_queue"},
    "music.tasks.*": {"queue": "default"},
}
TASKS = {
    "music.tasks.ai_music.generate_music_task": None,
    "music.tasks.charts.update_realtime_chart": None,
    "soundcheck.canary": None,
}
WORKERS = [{"name": "celery", "queues": ["default"]}, {"name": "celery-ai", "queues": ["ai_queue"]}]


@pytest.fixture(scope="module")
def shim() -> ModuleType:
    load_shim("soundcheck_overrides")
    return load_shim("soundcheck_check")


def found(shim: ModuleType, **changes: Any) -> list[str]:
    facts = {"routes": ROUTES, "default_queue": "default", "workers": WORKERS, "tasks": TASKS, **changes}
    return list(shim.problems(shim.Facts(**facts)))


def test_the_default_stack_has_no_problem(shim: ModuleType) -> None:
    """G1.6 with the right keys."""
    assert found(shim) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"routes": {"music.tasks.generate_music_task": {"queue": "ai_queue"}, **ROUTES}},
            "app_stack_task_routes: music.tasks.generate_music_task names no registered task; "
            "did you mean music.tasks.ai_music.generate_music_task?",
            id="T6 the guide's key",
        ),
        pytest.param(
            {"routes": {**ROUTES, "music.tasks.charts.update_realtime_charts": {"queue": "default"}}},
            "app_stack_task_routes: music.tasks.charts.update_realtime_charts names no registered task; "
            "did you mean music.tasks.charts.update_realtime_chart?",
            id="T6 a typo",
        ),
        pytest.param(
            {"routes": {**ROUTES, "billing.pay": {"queue": "default"}}},
            "app_stack_task_routes: billing.pay names no registered task",
            id="T6 nothing alike",
        ),
        pytest.param(
            {"routes": {**ROUTES, "videos.*": {"queue": "default"}}},
            "app_stack_task_routes: videos.* matches no registered task",
            id="T6 a glob for nobody",
        ),
        pytest.param(
            {"workers": WORKERS[:1]},
            "app_stack_workers: queue ai_queue (route music.tasks.ai_music.generate_music_task) is consumed "
            "by no worker; the workers consume celery: default",
            id="T5 a routed queue",
        ),
        pytest.param(
            {"default_queue": "celery"},
            "app_stack_workers: queue celery (app_stack_default_queue) is consumed by no worker; "
            "the workers consume celery: default; celery-ai: ai_queue",
            id="T5 the default queue",
        ),
        pytest.param(
            {"tasks": {**TASKS, "music.tasks.mail": "mails"}},
            "app_stack_workers: queue mails (task music.tasks.mail) is consumed by no worker; "
            "the workers consume celery: default; celery-ai: ai_queue",
            id="T5 a queue that a task asks for",
        ),
        pytest.param(
            {"scheduled": {"charts": ("music.tasks.charts.update_realtime_chart", "slow")}},
            "app_stack_workers: queue slow (beat entry charts) is consumed by no worker; "
            "the workers consume celery: default; celery-ai: ai_queue",
            id="T5 a queue that beat asks for",
        ),
        pytest.param(
            {"scheduled": {"charts": ("music.tasks.update_realtime_chart", None)}},
            "beat entry charts: music.tasks.update_realtime_chart is no registered task; "
            "did you mean music.tasks.charts.update_realtime_chart?",
            id="T6 in beat's schedule",
        ),
        pytest.param(
            {"broker_version": "4.3.0-management", "kombu_version": "5.6.2"},
            "container_images_overrides.rabbitmq: RabbitMQ 4.3.0-management refuses the transient queues of "
            "kombu 5.6.2 in the app's image; choose RabbitMQ below 4.3, or kombu 5.7 or later",
            id="T13",
        ),
    ],
)
def test_each_problem_is_one_sentence(shim: ModuleType, changes: dict[str, Any], expected: str) -> None:
    assert found(shim, **changes) == [expected]


@pytest.mark.parametrize(
    ("broker", "kombu"), [("4.2.9", "5.5.0"), ("4.3.0", "5.7.0"), ("5.0", "6.0.1"), ("3.10.8", "5.3")]
)
def test_t13_versions_that_go_together(shim: ModuleType, broker: str, kombu: str) -> None:
    assert found(shim, broker_version=broker, kombu_version=kombu) == []


def test_t3_an_engine_without_metrics(shim: ModuleType) -> None:
    (problem,) = found(shim, engine="vendor.own_backend")
    assert "vendor.own_backend has no measured counterpart" in problem


def test_an_app_with_another_namespace(shim: ModuleType) -> None:
    (problem,) = found(shim, namespace_works=False)
    assert problem.startswith("app_stack_celery_namespace: ")


def test_packages_that_the_image_lacks_are_named(shim: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim, "REQUIRED_PACKAGES", ("pytest", "no-such-package-anywhere"))
    assert shim.missing_packages() == [
        "app image: the Python package no-such-package-anywhere is not installed; add it to its requirements"
    ]


def test_every_problem_is_told_at_once(shim: ModuleType) -> None:
    assert len(found(shim, workers=[], routes={"a.b": {"queue": "c"}})) == 3
