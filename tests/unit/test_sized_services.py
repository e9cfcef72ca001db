"""The compose files of both projects with what `sizing: auto` works out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from plugins.module_utils import sizing
from plugins.module_utils.preflight_values import memory_bytes
from tests.render import ROOT, Rendering

GIB = 2**30
# What decides which services there are, and what they state themselves.
ASKED = (
    *("collector", "database", "metrics_destination", "app_stack_workers", "app_stack_extra_services"),
    *("app_stack_backend_workers", "app_stack_backend_threads", "app_stack_database_max_connections"),
    *("app_stack_flower_enabled", "app_stack_rabbitmq_memory", "prometheus_agent_memory_reservation"),
)


def rendered(memory: int, cores: int, **explicit: Any) -> dict[str, Any]:
    """Services of both projects for a host: the plan over all else, as the playbooks give it to templates."""
    asked = Rendering(settings=explicit)
    settings = {name: asked.value(name) for name in ASKED} | {"preflight_memory_reserve": "256M"}
    values = sizing.plan({"memory": memory, "cores": cores}, settings, explicit)
    planned = Rendering(settings={**explicit, **values})
    services: dict[str, Any] = {}
    for project in ("app", "telemetry"):
        services |= yaml.safe_load(planned.project(project)["docker-compose.prod.yml"])["services"]
    return services


def limits(services: dict[str, Any]) -> dict[str, int]:
    """Bytes of each service that runs on; jobs run while room for the second web container is not taken."""
    found = {
        name: memory_bytes(service["deploy"]["resources"]["limits"]["memory"])
        for name, service in services.items()
        if "job" not in service.get("profiles", ())
    }
    assert None not in found.values()
    return {name: size for name, size in found.items() if size is not None}


@pytest.mark.parametrize(("memory", "cores"), [(3, 1), (4, 2), (16, 8)])
def test_the_limits_of_both_projects_fit_the_host(memory: int, cores: int) -> None:
    services = rendered(memory * GIB, cores)

    assert {"backend", "celery", "celery-ai", "postgres", "metrics-backend", "cadvisor"} <= services.keys()
    reserve = 256 * 2**20
    assert sum(limits(services).values()) <= memory * GIB - reserve


def test_every_rendering_of_a_deploy_is_given_the_plan() -> None:
    """Were it left out of one, a job would run with other limits than the service."""
    for path in sorted((ROOT / "playbooks").rglob("*.yml")):
        for arguments in _of_module("compose_project", yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "files" in arguments:
                assert arguments["variables"] == "{{ sizing_plan }}", path


def _of_module(name: str, tasks: Any) -> Iterator[dict[str, Any]]:
    """Arguments of each call, however deep in blocks."""
    for entry in tasks if isinstance(tasks, list) else tasks.values() if isinstance(tasks, dict) else []:
        if isinstance(entry, dict) and isinstance(entry.get(name), dict):
            yield entry[name]
        yield from _of_module(name, entry)


def test_the_plan_is_that_of_the_survey() -> None:
    plan = {"app_stack_beat_memory": "97M"}
    assert Rendering().value("sizing_plan") == {}
    assert Rendering(settings={"__preflight_survey": {"cpus": 2}}).value("sizing_plan") == {}
    assert Rendering(settings={"__preflight_survey": {"sizing": plan}}).value("sizing_plan") == plan


def test_what_was_worked_out_reaches_the_commands() -> None:
    services = rendered(16 * GIB, 8)

    assert "--workers 11 " in services["backend"]["command"]
    assert "--concurrency=6 " in services["celery"]["command"]
    postgres = limits(services)["postgres"]
    assert services["postgres"]["command"][:5] == [
        *("postgres", "-c", "max_connections=100", "-c"),
        f"shared_buffers={postgres // 2**20 // 4 * 1024}kB",
    ]


def test_what_the_inventory_states_stays() -> None:
    services = rendered(
        16 * GIB,
        8,
        app_stack_rabbitmq_memory="333M",
        app_stack_workers=[
            {"name": "celery", "queues": ["default"], "concurrency": 5},
            {"name": "celery-ai", "queues": ["ai_queue"], "memory": "700M"},
        ],
    )
    found = limits(services)

    assert (found["rabbitmq"], found["celery-ai"]) == (333 * 2**20, 700 * 2**20)
    assert "--concurrency=5 " in services["celery"]["command"]
    assert found["celery"] > 5 * 256 * 2**20


def test_without_it_the_guides_values_stand() -> None:
    services = yaml.safe_load(Rendering().project("app")["docker-compose.prod.yml"])["services"]

    assert services["backend"]["deploy"]["resources"]["limits"]["memory"] == "600M"
    assert "--workers 3 --max-requests 1000" in services["backend"]["command"]
    assert services["postgres"]["command"][:5] == [
        *("postgres", "-c", "max_connections=100", "-c", "shared_buffers=131072kB")
    ]


def test_threads_are_an_option_of_gunicorn() -> None:
    files = Rendering(settings={"app_stack_backend_threads": 4}).project("app")
    command = yaml.safe_load(files["docker-compose.prod.yml"])["services"]["backend"]["command"]
    assert "--workers 3 --threads 4 --max-requests 1000" in command
