"""Limits, processes and connections against each other: what is refused, and what every deploy is told."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils import preflight_rules
from tests.unit.test_preflight_rules import GIB, changed, refusals, sound_settings, sound_survey


def settings(**changes: Any) -> dict[str, Any]:
    known = {
        "app_stack_backend_threads": 1,
        "app_stack_database_max_connections": 100,
        "app_stack_database_shared_buffers": "128M",
    }
    return changed({**sound_settings(), **known}, {name.replace("__", "/"): v for name, v in changes.items()})


def warnings(found: dict[str, Any], **survey: Any) -> list[str]:
    return [str(warning) for warning in preflight_rules.warnings(found, {**sound_survey(), **survey})]


REFUSED = [
    (
        {"app_stack_workers__0__memory": None},
        "app_stack_workers[0].memory: is missing; set it, such as 512M, or let `sizing: auto` work it out",
    ),
    (
        {"app_stack_workers__1__concurrency": None},
        "app_stack_workers[1].concurrency: is missing; set it, such as 2, or let `sizing: auto` work it out",
    ),
    ({"app_stack_backend_threads": 0}, "app_stack_backend_threads: 0; set it to 1 or more"),
    (
        {"app_stack_database_max_connections": 0},
        "app_stack_database_max_connections: 0; set it to 10 or more",
    ),
    (
        {
            "database": "external",
            "app_stack_database_host": "db",
            "app_stack_database_sslmode": "require",
            "app_stack_database_max_connections": -1,
        },
        "app_stack_database_max_connections: -1; set it to that of the server, or to 0, not known",
    ),
    (
        {"app_stack_database_shared_buffers": "256M"},
        "app_stack_database_shared_buffers: 256 MiB of a memory limit of 256 MiB (app_stack_database_memory)"
        "; a quarter of the limit is usual",
    ),
    (
        {"app_stack_database_shared_buffers": "128"},
        "app_stack_database_shared_buffers: `128`; write a whole number with K, M or G",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_run_is_refused(changes: dict[str, Any], expected: str) -> None:
    """Bad input"""
    (problem,) = refusals(settings(**changes), sound_survey())
    assert problem.startswith(expected)


def test_the_guide_is_neither_refused_nor_warned_of() -> None:
    assert refusals(settings(), sound_survey()) == []
    assert warnings(settings()) == []


EXTERNAL = {"database": "external", "app_stack_database_max_connections": 15}
OTHERS = (
    ", twice during a rollout, celery 2, celery-ai 1, celery-beat 1, postgres-exporter 2, administration 1"
)
WARNED = [
    (
        {"app_stack_backend_workers": 60, "app_stack_backend_memory": "4G"},
        "app_stack_database_max_connections: 100, of which 3 are reserved, and the app opens up to 127 = "
        f"backend 60 workers x 1 threads{OTHERS}; 130 would do, or app_stack_backend_workers: 45",
    ),
    (
        EXTERNAL,
        "app_stack_database_max_connections: 15, of which 3 are reserved, and the app opens up to 13 = ",
    ),
    (
        {**EXTERNAL, "app_stack_database_max_connections": 5},
        "app_stack_database_max_connections: 5, of which 3 are reserved, and the app opens up to 13 = "
        f"backend 3 workers x 1 threads{OTHERS}; 20 would do",
    ),
    (
        {"app_stack_workers__0__concurrency": 8},
        "app_stack_workers[celery].memory: 512 MiB for 8 processes, which are 64 MiB each and 64 MiB of "
        "their parent, at least; set it to 576M or more, or run fewer",
    ),
    (
        {"app_stack_backend_workers": 12},
        "app_stack_backend_memory: 600 MiB for 12 processes, which are 64 MiB each, at least; set it to 768M",
    ),
    (
        {"app_stack_database_shared_buffers": "192M"},
        "app_stack_database_memory: 256 MiB, and 13 connections of 5 MiB beside 192 MiB "
        "(app_stack_database_shared_buffers) come to 289 MiB; set it to 289M or more, or open fewer",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), WARNED, ids=lambda value: str(value)[:60])
def test_what_may_run_short_is_told(changes: dict[str, Any], expected: str) -> None:
    found = warnings(settings(**changes))
    assert [text for text in found if text.startswith(expected)], found


@pytest.mark.parametrize(
    "changes",
    [
        # of an external database nothing is known
        {**EXTERNAL, "app_stack_database_max_connections": 0},
        {**EXTERNAL, "app_stack_database_max_connections": 16},
        # threads and greenlets share one process
        {"app_stack_workers__0__concurrency": 16, "app_stack_workers__0__pool": "gevent"},
    ],
    ids=str,
)
def test_what_suffices_is_not_told(changes: dict[str, Any]) -> None:
    variables = ("app_stack_database_max_connections", "app_stack_workers")
    assert [text for text in warnings(settings(**changes)) if text.startswith(variables)] == []


@pytest.mark.parametrize(
    ("memory", "changes", "told"),
    [
        (8 * GIB, {}, False),
        (16 * GIB, {}, True),
        (16 * GIB, {"preflight_production": False}, False),
        (16 * GIB, {"sizing": "auto"}, False),
    ],
)
def test_limits_of_a_smaller_server_are_told_in_production(
    memory: int, changes: dict[str, Any], told: bool
) -> None:
    found = warnings(settings(**changes), memory={"total": memory, "available": memory, "swap": 0})
    expected = (
        "memory limits: they sum up to 4.3 GiB on a server with 16.0 GiB; raise them, or let `sizing: auto`"
    )
    assert [text.startswith(expected) for text in found] == [True] * told


def test_a_refusal_of_auto_is_the_only_one_about_memory() -> None:
    """It says what would do; the sum of the limits of manual, which nobody asked for, would only distract."""
    survey = changed(sound_survey(), {"memory/total": GIB})
    assert [text for text in refusals(settings(), survey) if text.startswith("memory limits: ")] != []
    assert refusals(settings(sizing="auto"), survey) == []
    # Once there is a plan, its sum counts like any other.
    assert refusals(settings(sizing="auto"), {**survey, "sizing": {}}) != []
