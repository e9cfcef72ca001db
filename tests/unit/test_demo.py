"""The demo stays what the guide describes, and what the stack's defaults expect of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
DEFAULTS = yaml.safe_load((ROOT / "roles" / "app_stack" / "defaults" / "main" / "app.yml").read_text())


def registered_tasks() -> set[str]:
    """Names under which the demo's tasks register: a task without a name gets its module's path."""
    names = set()
    for file in (DEMO / "music" / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and any(
                ast.unparse(decorator).partition("(")[0] == "shared_task" for decorator in node.decorator_list
            ):
                names.add(f"music.tasks.{file.stem}.{node.name}")
    return names


def settings() -> str:
    return (DEMO / "config" / "settings.py").read_text()


def test_t6_the_ai_task_registers_under_its_module() -> None:
    tasks = registered_tasks()
    assert "music.tasks.ai_music.generate_music_task" in tasks
    assert "music.tasks.generate_music_task" not in tasks
    assert "'music.tasks.generate_music_task'" in settings().replace('"', "'"), (
        "the demo keeps the guide's mistake"
    )


def test_a_task_that_is_decorated_with_options_is_one_too() -> None:
    assert "music.tasks.stores.offer_to_store" in registered_tasks()


def test_g1_6_exact_routes_of_the_defaults_name_tasks_of_the_demo() -> None:
    exact = {key for key in DEFAULTS["app_stack_task_routes"] if "*" not in key}
    assert exact <= registered_tasks()


def test_g1_4_beat_schedules_tasks_that_exist() -> None:
    scheduled = set(re.findall(r'"task": "([^"]+)"', settings()))
    assert scheduled <= registered_tasks()
    assert "music.tasks.charts.update_realtime_chart" in scheduled
    assert 'crontab(minute="*/10")' in settings()


def test_every_task_module_is_imported_where_celery_looks() -> None:
    """Celery discovers `music.tasks`, not the modules in it."""
    modules = {file.stem for file in (DEMO / "music" / "tasks").glob("*.py")} - {"__init__"}
    package = (DEMO / "music" / "tasks" / "__init__.py").read_text()
    assert modules == set(ast.literal_eval(package.partition("__all__ = ")[2]))


def test_t3_the_demo_uses_the_plain_engine() -> None:
    assert "django_prometheus.db" not in settings()


@pytest.mark.parametrize(
    "variable", ["DJANGO_SECRET_KEY", "DATABASE_NAME", "DATABASE_HOST", "CELERY_BROKER_URL"]
)
def test_settings_come_from_the_environment(variable: str) -> None:
    assert f'"{variable}"' in settings()


def test_requirements_are_pinned() -> None:
    lines = (DEMO / "requirements.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==[0-9.]+", line)] == []
