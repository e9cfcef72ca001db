"""The embedded database counts its statements, and a job of the deploy makes the counts readable (G6.1)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.render import Rendering

FILE = "docker-compose.prod.yml"


def rendered(**settings: Any) -> tuple[dict[str, Any], list[str]]:
    rendering = Rendering(settings=settings)
    return yaml.safe_load(rendering.project("app")[FILE])["services"], rendering.value("app_stack_jobs")


def test_the_embedded_database_counts_its_queries_and_keeps_no_other_statement() -> None:
    services, jobs = rendered()
    command = services["postgres"]["command"]
    assert command[0] == "postgres"
    assert "shared_preload_libraries=pg_stat_statements" in command
    # ALTER ROLE ... PASSWORD would be kept as it is written.
    assert "pg_stat_statements.track_utility=off" in command
    assert jobs == ["check", "statements", "migrate"]


def test_the_job_can_be_repeated_and_has_the_password_in_no_place_that_docker_shows() -> None:
    services, _jobs = rendered(vault_database_password="canaryOfTheDatabase")
    job = services["statements"]
    assert (job["profiles"], job["restart"], job["user"]) == (["job"], "no", "999:999")
    assert "CREATE EXTENSION IF NOT EXISTS pg_stat_statements" in job["command"][-1]
    assert "canaryOfTheDatabase" not in str(services)
    assert job["image"] == services["postgres"]["image"]


@pytest.mark.parametrize(
    "settings",
    [
        {"app_stack_database_statements": False},
        {"database": "external", "app_stack_database_host": "db.example.com"},
    ],
    ids=["switched off", "an external database is its owner's"],
)
def test_without_it_nothing_is_left_of_it(settings: dict[str, Any]) -> None:
    services, jobs = rendered(**settings)
    assert "pg_stat_statements" not in str(services.get("postgres", {}))
    assert "statements" not in services
    assert jobs == ["check", "migrate"]
