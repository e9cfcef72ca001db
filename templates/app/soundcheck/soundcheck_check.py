"""What in the settings would lose tasks or metrics: `python -m soundcheck_check`, before anything starts.

Needs the app's image and settings, but neither broker nor database. Prints one line per problem, each with
the variable to change, and exits with 1 if there is any.
"""

from __future__ import annotations

import difflib
import fnmatch
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from soundcheck_overrides import ENGINES, SettingsError, load, version_of

REQUIRED_PACKAGES = ("django-prometheus", "prometheus-client", "gunicorn", "celery", "kombu")
_GLOB = set("*?[")


@dataclass(frozen=True)
class Facts:
    """What the app, its image and settings.json say."""

    routes: Mapping[str, Any]
    default_queue: str
    workers: Sequence[Mapping[str, Any]]
    tasks: Mapping[str, str | None]
    """Registered tasks by name, with the queue that a task itself asks for."""
    scheduled: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Entries of beat's schedule: their task and the queue they ask for."""
    engine: str = "django_prometheus.db.backends.postgresql"
    broker_version: str = "4.0"
    kombu_version: str = "5.7"
    namespace_works: bool = True


def suggestion(name: str, tasks: Mapping[str, Any]) -> str:
    """`; did you mean ...?` with the registered task that a wrong name was meant for, or nothing."""
    same_function = [task for task in tasks if task.rpartition(".")[2] == name.rpartition(".")[2]]
    meant = difflib.get_close_matches(name, same_function or tasks, n=1, cutoff=0.0 if same_function else 0.7)
    return f"; did you mean {meant[0]}?" if meant else ""


def _queue(route: Any) -> str | None:
    return route.get("queue") if isinstance(route, Mapping) else route


def _route_problems(facts: Facts) -> Iterator[str]:
    """T6: a key that matches nothing sends its task somewhere else, silently."""
    for key in facts.routes:
        if _GLOB & set(key):
            if not fnmatch.filter(facts.tasks, key):
                yield f"app_stack_task_routes: {key} matches no registered task"
        elif key not in facts.tasks:
            yield f"app_stack_task_routes: {key} names no registered task{suggestion(key, facts.tasks)}"


def _queue_problems(facts: Facts) -> Iterator[str]:
    """T5: tasks in a queue that nobody consumes pile up unread."""
    wanted: dict[str, list[str]] = {facts.default_queue: ["app_stack_default_queue"]}
    for key, route in facts.routes.items():
        if queue := _queue(route):
            wanted.setdefault(queue, []).append(f"route {key}")
    for task, own_queue in facts.tasks.items():
        if own_queue:
            wanted.setdefault(own_queue, []).append(f"task {task}")
    for entry, (_, own_queue) in facts.scheduled.items():
        if own_queue:
            wanted.setdefault(own_queue, []).append(f"beat entry {entry}")
    consumed = {queue for worker in facts.workers for queue in worker["queues"]}
    workers = (
        "; ".join(f"{worker['name']}: {', '.join(worker['queues'])}" for worker in facts.workers) or "none"
    )
    for queue, reasons in wanted.items():
        if queue not in consumed:
            yield (
                f"app_stack_workers: queue {queue} ({', '.join(reasons)}) is consumed by no worker; "
                f"the workers consume {workers}"
            )


def _schedule_problems(facts: Facts) -> Iterator[str]:
    for entry, (task, _) in facts.scheduled.items():
        if task not in facts.tasks:
            yield f"beat entry {entry}: {task} is no registered task{suggestion(task, facts.tasks)}"


def _version_problems(facts: Facts) -> Iterator[str]:
    """T13: RabbitMQ 4.3 refuses the transient queues of older kombus."""
    if version_of(facts.broker_version) >= (4, 3) and version_of(facts.kombu_version) < (5, 7):
        yield (
            f"container_images_overrides.rabbitmq: RabbitMQ {facts.broker_version} refuses the transient "
            f"queues of kombu {facts.kombu_version} in the app's image; choose RabbitMQ below 4.3, "
            "or kombu 5.7 or later"
        )


def _setting_problems(facts: Facts) -> Iterator[str]:
    if not facts.namespace_works:
        yield (
            "app_stack_celery_namespace: the app's Celery does not see the corrected settings; it must call "
            'config_from_object("django.conf:settings", namespace=...) with this namespace'
        )
    if facts.engine not in ENGINES.values():
        yield (
            f"DATABASES['default'] of app_stack_settings_module: the engine {facts.engine} has no measured "
            f"counterpart, so there would be no django_db metrics; measured are {', '.join(ENGINES)}"
        )


def problems(facts: Facts) -> list[str]:
    """Every problem, one sentence each."""
    checks = (_setting_problems, _version_problems, _route_problems, _queue_problems, _schedule_problems)
    return [problem for check in checks for problem in check(facts)]


def missing_packages() -> list[str]:
    """What the app's image lacks of that which the metrics need."""
    missing = []
    for package in REQUIRED_PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(
                f"app image: the Python package {package} is not installed; add it to its requirements"
            )
    return missing


def facts_of(app: Any, settings: Any, config: Mapping[str, Any]) -> Facts:
    """Load every task module of the Celery app and collect what is checked."""
    app.loader.import_default_modules()
    app.finalize()
    return Facts(
        routes=config["task_routes"],
        default_queue=config["default_queue"],
        workers=config["workers"],
        tasks={name: getattr(task, "queue", None) for name, task in app.tasks.items()},
        scheduled={
            name: (entry["task"], (entry.get("options") or {}).get("queue"))
            for name, entry in app.conf.beat_schedule.items()
        },
        engine=settings.DATABASES["default"]["ENGINE"],
        broker_version=str(config["broker_version"]),
        kombu_version=version("kombu"),
        namespace_works="soundcheck.canary" in app.tasks
        and app.conf.task_default_queue == config["default_queue"]
        and app.conf.worker_send_task_events is True,
    )


def main() -> int:
    found = missing_packages()
    if not found:
        # Celery logs what fails during discovery, traceback and all, before it raises the same.
        logging.disable(logging.CRITICAL)
        try:
            found = problems(_load_facts())
        except SettingsError as error:
            found = [str(error)]
        except Exception as error:
            # Whatever the app raises while it is imported; where it did is for its developers.
            traceback.print_exc()
            found = [
                "app_stack_settings_module, app_stack_celery_app or app_stack_environment: "
                f"the app does not load: {type(error).__name__}: {error}"
            ]
    for problem in found:
        print(problem)
    return 1 if found else 0


def _load_facts() -> Facts:
    from celery.app.utils import find_app
    from django.conf import settings

    config = load(Path(__file__).with_name("settings.json"))
    return facts_of(find_app(os.environ.get("SOUNDCHECK_CELERY_APP", "config")), settings, config)


if __name__ == "__main__":
    sys.exit(main())
