"""The workers in the compose file: how long each may finish its tasks, and when it acknowledges them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.render import Rendering

WORKER = {"name": "celery", "queues": ["default"], "concurrency": 2, "memory": "512M"}


def service(**options: Any) -> dict[str, Any]:
    settings = {"app_stack_workers": [{**WORKER, **options}], "app_stack_worker_stop_seconds": 45}
    files = Rendering(settings=settings).project("app")
    rendered: dict[str, Any] = yaml.safe_load(files["docker-compose.prod.yml"])["services"]["celery"]
    return rendered


@pytest.mark.parametrize(("options", "grace"), [({}, "45s"), ({"stop_seconds": 630}, "630s")])
def test_a_worker_has_the_time_to_finish_its_tasks(options: dict[str, Any], grace: str) -> None:
    assert service(**options)["stop_grace_period"] == grace


@pytest.mark.parametrize(("options", "late"), [({}, "false"), ({"acks_late": True}, "true")])
def test_acknowledging_late_is_a_setting_of_one_worker(options: dict[str, Any], late: str) -> None:
    assert service(**options)["environment"]["SOUNDCHECK_ACKS_LATE"] == late


def test_the_ai_worker_of_the_guide_loses_no_task_by_a_deploy() -> None:
    """G1.3: its tasks take minutes; the limit ends them before the grace period does."""
    services = yaml.safe_load(Rendering().project("app")["docker-compose.prod.yml"])["services"]
    ai = services["celery-ai"]

    assert "--time-limit=600" in ai["command"]
    assert ai["stop_grace_period"] == "630s"
    assert ai["environment"]["SOUNDCHECK_ACKS_LATE"] == "true"
    assert "--time-limit" not in services["celery"]["command"]
