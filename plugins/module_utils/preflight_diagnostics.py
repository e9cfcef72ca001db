"""Refusals of what the diagnosis tool on the server could not work with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ansible.module_utils.preflight_values import Problem, Settings, dicts, integer

_PART = r'([A-Za-z_][\w$]*|"([^"]|"")+")'
_TABLE = re.compile(rf"({_PART}\.)?{_PART}")

# Variable -> its smallest and largest value.
_BOUNDS: dict[str, tuple[int, int]] = {
    # A look takes up to five seconds.
    "diagnostics_watch_seconds": (10, 3600),
    "diagnostics_watch_cpu_percent": (1, 100),
    "diagnostics_watch_memory_percent": (1, 100),
    "diagnostics_watch_pause_seconds": (0, 86400),
    "diagnostics_watch_keep": (1, 1000),
    "diagnostics_watch_max_megabytes": (1, 10000),
}


def table(settings: Settings) -> Iterator[Problem]:
    name = settings.get("diagnostics_table")
    if isinstance(name, str) and not _TABLE.fullmatch(name):
        yield Problem("diagnostics_table", f"`{name}`", "write a table as SQL does, such as music_playlogs")
    columns = settings.get("diagnostics_columns")
    for index, column in enumerate(columns if isinstance(columns, list) else []):
        if not str(column).strip():
            yield Problem(f"diagnostics_columns[{index}]", "is empty", "name a column or remove the line")


def periodic_tasks(settings: Settings) -> Iterator[Problem]:
    for index, entry in enumerate(dicts(settings.get("diagnostics_periodic_tasks"))):
        period = integer(entry.get("seconds"))
        if period is not None and period < 1:
            path = f"diagnostics_periodic_tasks[{index}].seconds"
            yield Problem(path, str(period), "set it to 1 or more")


def watch(settings: Settings) -> Iterator[Problem]:
    for variable, (least, most) in _BOUNDS.items():
        value = integer(settings.get(variable))
        if value is not None and not least <= value <= most:
            yield Problem(variable, str(value), f"set it to a number from {least} to {most}")


def thresholds(settings: Settings) -> Iterator[Problem]:
    """Zero would find something in every healthy server."""
    given = settings.get("diagnostics_thresholds")
    for name, value in (given if isinstance(given, Mapping) else {}).items():
        try:
            positive = float(value) > 0
        except (TypeError, ValueError):
            # The business of the argument spec.
            continue
        if not positive:
            yield Problem(f"diagnostics_thresholds.{name}", str(value), "set it to more than 0")


CHECKS = (table, periodic_tasks, watch, thresholds)
