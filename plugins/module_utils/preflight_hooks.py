"""Refusals about the task files that a deploy runs for its user, before the first of them would fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.module_utils.preflight_values import Problem, Settings

# The content of a YAML file, or what is wrong with it as a ValueError.
Load = Callable[[str], Any]


def hooks(settings: Settings, base: str, load: Load) -> Iterator[Problem]:
    """`base`: the folder of the inventory, below which relative paths are."""
    given = settings.get("deploy_hooks")
    for moment, path in (given if isinstance(given, Mapping) else {}).items():
        if not isinstance(path, str):
            continue
        variable, file = f"deploy_hooks.{moment}", os.path.join(base, path)
        remedy = "name a file of tasks on this machine, absolute or below the inventory's folder"
        if not path or not os.path.isfile(file):
            yield Problem(variable, f"there is no file `{file}`" if path else "is empty", remedy)
            continue
        try:
            tasks = load(file)
        except ValueError as error:
            yield Problem(variable, f"{file} is no YAML: {' '.join(str(error).split())}", "correct it")
            continue
        if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
            found = f"{file} holds no list of tasks"
            yield Problem(variable, found, "write tasks alone, without a play around them")
