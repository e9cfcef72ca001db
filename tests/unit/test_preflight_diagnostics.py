"""What the diagnosis tool could not work with is refused before a deploy."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.preflight_diagnostics import CHECKS

SOUND: dict[str, Any] = {
    "diagnostics_table": 'stats."Play Logs"',
    "diagnostics_columns": ["played_at"],
    "diagnostics_periodic_tasks": [{"task": "a.b", "seconds": "600"}],
    "diagnostics_thresholds": {"cpu_busy": 70, "period_used": "0.5"},
    "diagnostics_watch_seconds": 60,
    "diagnostics_watch_cpu_percent": 100,
    "diagnostics_watch_memory_percent": "90",
    "diagnostics_watch_pause_seconds": 0,
    "diagnostics_watch_keep": 1,
    "diagnostics_watch_max_megabytes": 50,
}


def refusals(settings: dict[str, Any]) -> list[str]:
    return [str(problem) for check in CHECKS for problem in check(settings)]


def test_sound_settings_are_taken() -> None:
    assert refusals(SOUND) == []
    assert refusals({}) == []
    # Of a wrong type: the business of the argument spec.
    assert refusals({"diagnostics_thresholds": {"cpu_busy": "much"}, "diagnostics_columns": "a"}) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"diagnostics_table": ""}, "diagnostics_table: ``; write a table as SQL does"),
        ({"diagnostics_table": "a; DROP TABLE b"}, "diagnostics_table: `a; DROP TABLE b`; write a table"),
        ({"diagnostics_table": "a.b.c"}, "such as music_playlogs"),
        ({"diagnostics_columns": ["a", " "]}, "diagnostics_columns[1]: is empty; name a column"),
        (
            {"diagnostics_periodic_tasks": [{"task": "a", "seconds": 0}]},
            "diagnostics_periodic_tasks[0].seconds: 0; set it to 1 or more",
        ),
        ({"diagnostics_thresholds": {"cpu_busy": 0}}, "diagnostics_thresholds.cpu_busy: 0; set it to more"),
        (
            {"diagnostics_watch_seconds": 5},
            "diagnostics_watch_seconds: 5; set it to a number from 10 to 3600",
        ),
        ({"diagnostics_watch_cpu_percent": 0}, "diagnostics_watch_cpu_percent: 0; set it to a number from 1"),
        ({"diagnostics_watch_memory_percent": 101}, "101; set it to a number from 1 to 100"),
        ({"diagnostics_watch_pause_seconds": -1}, "diagnostics_watch_pause_seconds: -1; set it to a number"),
        ({"diagnostics_watch_keep": 0}, "diagnostics_watch_keep: 0; set it to a number from 1 to 1000"),
        ({"diagnostics_watch_max_megabytes": 0}, "diagnostics_watch_max_megabytes: 0; set it to a number"),
    ],
)
def test_refusals(change: dict[str, Any], expected: str) -> None:
    (found,) = refusals({**SOUND, **change})
    assert expected in found
