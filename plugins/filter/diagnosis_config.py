"""What the diagnosis tool on a server knows of the deployment, from the variables of the roles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

# Of a worker, what the rules ask for.
_SETTINGS = ("concurrency", "pool", "prefetch", "max_tasks_per_child", "time_limit")
# Of those, what a finding may propose to change.
_REMEDIES = ("memory", "concurrency", "queues", "max_tasks_per_child")


def diagnosis_workers(
    workers: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any], memory: Sequence[int]
) -> list[dict[str, Any]]:
    """Each worker with its defaults; `memory` holds their limits in bytes, in the same order."""
    found = []
    for worker, limit in zip(workers, memory, strict=True):
        settings = {**defaults, **worker}
        numbers = {name: settings[name] if name == "pool" else int(settings[name]) for name in _SETTINGS}
        found.append({"name": worker["name"], "queues": list(worker["queues"]), **numbers, "memory": limit})
    return found


def diagnosis_variables(workers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Worker -> setting -> how an operator names it: `app_stack_workers[celery].memory`."""
    return {
        worker["name"]: {setting: f"app_stack_workers[{worker['name']}].{setting}" for setting in _REMEDIES}
        for worker in workers
    }


def diagnosis_file(path: str, templates: str) -> dict[str, str]:
    """A file of the tool, below the folder of the templates, as a file of the telemetry project."""
    template = os.path.relpath(path, templates)
    entry = {"path": template.removeprefix("telemetry/").removesuffix(".j2"), "template": template}
    return {**entry, "mode": "0755"} if entry["path"].endswith(".sh") else entry


class FilterModule:
    """Filters of the diagnosis tool."""

    def filters(self) -> dict[str, Any]:
        return {
            "diagnosis_workers": diagnosis_workers,
            "diagnosis_variables": diagnosis_variables,
            "diagnosis_file": diagnosis_file,
        }
