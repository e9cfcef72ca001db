"""Connections that the settings can open at most, and settings that open fewer (G6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.sizing_connections import (
    RESERVED,
    arithmetic,
    connection_budget,
    connections_at_most,
    fitting,
    most_connections,
    sufficient,
)


def guide(**changes: Any) -> dict[str, Any]:
    return {
        "app_stack_backend_workers": 3,
        "app_stack_backend_threads": 1,
        "app_stack_workers": [{"name": "celery", "concurrency": 2}, {"name": "celery-ai", "concurrency": 1}],
        "app_stack_extra_services": [],
        "postgres_exporter_enabled": True,
        **changes,
    }


def workers(**options: Any) -> list[dict[str, Any]]:
    return [{"name": "celery", **options}]


@pytest.mark.parametrize(
    ("changes", "at_most"),
    [
        # web 3, twice; workers 2 + 1; beat, the exporter's two, and somebody who looks
        ({}, 3 * 2 + 2 + 1 + 1 + 2 + 1),
        ({"app_stack_backend_workers": 5}, 5 * 2 + 7),
        ({"app_stack_backend_threads": 4}, 3 * 4 * 2 + 7),
        ({"app_stack_backend_threads": "4"}, 3 * 4 * 2 + 7),
        ({"postgres_exporter_enabled": False}, 6 + 5),
        ({"app_stack_extra_services": [{"name": "poller"}, {"name": "traffic"}]}, 13 + 2),
        # one for each child, thread or greenlet; solo works in the process itself
        ({"app_stack_workers": workers(concurrency=8)}, 6 + 8 + 4),
        ({"app_stack_workers": workers(concurrency=8, pool="threads")}, 6 + 8 + 4),
        ({"app_stack_workers": workers(concurrency=100, pool="gevent")}, 6 + 100 + 4),
        ({"app_stack_workers": workers(concurrency=8, pool="solo")}, 6 + 1 + 4),
    ],
    ids=str,
)
def test_every_process_that_asks_the_database_is_counted(changes: dict[str, Any], at_most: int) -> None:
    found = connections_at_most(guide(**changes))
    assert found["at_most"] == at_most
    assert sum(found["services"].values()) + found["rollout"] == at_most


def test_the_sum_is_a_sentence() -> None:
    assert arithmetic(guide()) == (
        "13 = backend 3 workers x 1 threads, twice during a rollout, celery 2, celery-ai 1, celery-beat 1, "
        "postgres-exporter 2, administration 1"
    )


@pytest.mark.parametrize(
    ("settings", "limit", "lowered", "fits"),
    [
        (guide(), 100, {}, True),
        # Threads go before processes.
        (
            guide(app_stack_backend_threads=8),
            40,
            {"app_stack_backend_threads": 5},
            True,
        ),
        (guide(app_stack_backend_workers=9), 20, {"app_stack_backend_workers": 5}, True),
        (
            guide(app_stack_workers=workers(concurrency=40, pool="gevent")),
            30,
            {"app_stack_workers": workers(concurrency=17, pool="gevent")},
            True,
        ),
        (
            guide(),
            8,
            {
                "app_stack_backend_workers": 1,
                "app_stack_workers": [
                    {"name": "celery", "concurrency": 1},
                    {"name": "celery-ai", "concurrency": 1},
                ],
            },
            False,
        ),
    ],
    ids=["enough", "threads", "processes", "worker", "hopeless"],
)
def test_what_opens_most_is_lowered_until_it_fits(
    settings: dict[str, Any], limit: int, lowered: dict[str, Any], fits: bool
) -> None:
    found = fitting(settings, limit)
    assert (found["settings"], found["fit"]) == (lowered, fits)
    assert f"max_connections {limit} leaves {limit - RESERVED}" in found["sentence"]
    assert ("too few even so: 20 would do" in found["sentence"]) is not fits


def test_what_is_fixed_stays() -> None:
    settings = guide(app_stack_backend_workers=9, app_stack_workers=workers(concurrency=9))
    found = fitting(settings, 30, {"app_stack_backend_workers"})
    assert found["settings"] == {"app_stack_workers": workers(concurrency=5)}
    assert fitting(settings, 30, {"celery", "app_stack_backend_workers"})["fit"] is False


@given(st.integers(1, 70), st.integers(1, 16), st.integers(1, 64), st.integers(15, 400))
def test_settings_that_fit_do(processes: int, threads: int, concurrency: int, limit: int) -> None:
    settings = guide(
        app_stack_backend_workers=processes,
        app_stack_backend_threads=threads,
        app_stack_workers=workers(concurrency=concurrency),
    )
    found = fitting(settings, limit)
    changed = {**settings, **found["settings"]}
    assert found["fit"]
    assert connections_at_most(changed)["at_most"] <= limit - RESERVED
    # Nothing was lowered without need.
    if connections_at_most(settings)["at_most"] <= limit - RESERVED:
        assert found["settings"] == {}


def test_the_budget_holds_all_that_a_diagnosis_compares_with() -> None:
    found = connection_budget(guide(app_stack_database_max_connections=100))
    assert (found["at_most"], found["rollout"], found["services"]["celery"]) == (13, 3, 2)
    assert found["sentence"].startswith("13 = backend 3 workers")
    assert found["fitting"]["fit"]
    # Of an external database whose maximum nobody told.
    assert connection_budget(guide(app_stack_database_max_connections=0))["fitting"] is None


@pytest.mark.parametrize(
    ("value", "expected"), [(100, 100), ("100", 100), (0, None), (None, None), ("many", None)]
)
def test_a_maximum_that_is_not_known_is_none(value: object, expected: int | None) -> None:
    assert most_connections({"app_stack_database_max_connections": value}) == expected


@pytest.mark.parametrize(("at_most", "expected"), [(0, 10), (7, 10), (8, 20), (97, 100), (98, 110)])
def test_a_maximum_that_would_do_includes_the_reserved(at_most: int, expected: int) -> None:
    assert sufficient(at_most) == expected
