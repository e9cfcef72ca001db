"""What the deployment costs of its plan, and who is named when it costs too much (T16)."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.metric_probe_budget import budget_check, budget_of
from plugins.module_utils.metric_probe_checks import evaluate
from plugins.module_utils.metric_probe_facts import Budget, Facts, Problem, Usage
from plugins.module_utils.metric_probe_wording import CONSEQUENCE, FAILED, OK, SKIPPED, Check
from tests.unit._probe_facts import REFUSED, backend, healthy, stopped, stored

JOBS = [
    {"name": "django", "seconds": 60.0, "trim": "fewer buckets"},
    {"name": "celery", "seconds": 60.0, "trim": "fewer workers"},
    {"name": "cadvisor", "seconds": 30.0, "trim": "fewer containers"},
    {"name": "node", "seconds": 15.0, "trim": "fewer disks"},
]


def plan(limit: int, included: int = 1) -> Budget:
    return budget_of({"limit": limit, "included": included, "jobs": JOBS})


def judged(limit: int, included: int = 1, **series: int) -> Check:
    return budget_check(plan(limit, included), Usage(active=series, current=series), "http://backend")


def test_t16_data_points_are_series_times_scrapes_per_minute() -> None:
    check = judged(10000, django=180, celery=84, cadvisor=100, node=50)
    assert check.status == OK
    assert check.got == "6.6% of 10000: 414 series, 664 data points per minute"
    assert check.details["jobs"] == [
        {"job": "django", "series": 180, "points_per_minute": 180.0, "share": 0.018},
        {"job": "celery", "series": 84, "points_per_minute": 84.0, "share": 0.0084},
        {"job": "cadvisor", "series": 100, "points_per_minute": 200.0, "share": 0.02},
        {"job": "node", "series": 50, "points_per_minute": 200.0, "share": 0.02},
    ]
    assert (check.details["series"], check.details["points_per_minute"]) == (414, 664.0)
    assert check.details["share"] == 0.0664


def test_it_is_asked_again_until_every_job_has_series() -> None:
    """A first deploy's own verification would show the sum of those that came first."""
    first = judged(10000, node=50)
    last = judged(10000, django=180, celery=84, cadvisor=100, node=50)

    assert (first.status, first.waiting) == (OK, True)
    assert (last.status, last.waiting) == (OK, False)


def test_a_series_that_ended_counts_as_active_but_costs_no_data_points() -> None:
    usage = Usage(active={"django": 300, "celery": 10}, current={"django": 100})
    check = budget_check(plan(1000), usage, "")
    assert check.got == "31.0% of 1000: 310 series, 100 data points per minute"


@pytest.mark.parametrize(
    ("limit", "included", "series", "status"),
    [
        (100, 1, {"django": 100}, OK),
        (100, 1, {"django": 101}, FAILED),
        (100, 1, {"cadvisor": 50}, OK),
        (100, 1, {"cadvisor": 51}, FAILED),
        (100, 2, {"cadvisor": 51}, OK),
        (100, 2, {"node": 51}, FAILED),
    ],
)
def test_t16_the_larger_of_series_and_data_points_is_held_against_the_plan(
    limit: int, included: int, series: dict[str, int], status: str
) -> None:
    assert judged(limit, included, **series).status == status


def test_over_the_budget_the_three_largest_are_named_with_what_trims_them() -> None:
    check = judged(300, django=150, celery=20, cadvisor=100, node=10)
    assert check.status == FAILED
    assert check.expected == "at most 300 (grafana_cloud_active_series_limit)"
    assert check.likely_cause == (
        "data points, not series, are too many: a longer scrape_interval divides them; "
        "cadvisor (100 series, 200 points): fewer containers; "
        "django (150 series, 150 points): fewer buckets; "
        "node (10 series, 40 points): fewer disks"
    )
    assert not check.waiting


def test_too_many_series_are_not_blamed_on_the_interval() -> None:
    assert judged(100, django=150, celery=20).likely_cause == (
        "django (150 series, 150 points): fewer buckets; celery (20 series, 20 points): fewer workers"
    )


def test_series_of_no_scrape_job_count_at_the_shortest_interval() -> None:
    check = judged(100, **{"": 3, "an-old-job": 4})
    assert check.details["jobs"] == [
        {"job": "no scrape job", "series": 7, "points_per_minute": 28.0, "share": 0.28}
    ]


# what is broken, status, what came
UNCOUNTED: list[tuple[Any, str, str]] = [
    (Usage(), FAILED, "no series at all"),
    (Usage(Problem("status", "HTTP 422: too many series", 422)), FAILED, "HTTP 422: too many series"),
    (None, FAILED, "not asked"),
]


@pytest.mark.parametrize(("usage", "status", "got"), UNCOUNTED)
def test_what_was_not_counted_is_no_zero(usage: Usage | None, status: str, got: str) -> None:
    check = budget_check(plan(100), usage, "")
    assert (check.status, check.got, check.waiting, check.details) == (status, got, True, {})


def facts(usage: Usage | None) -> Facts:
    made = healthy()
    made.budget, made.usage = plan(100), usage
    return made


def budget_in(facts: Facts) -> Check | None:
    return next((check for check in evaluate(facts) if check.source == "budget"), None)


def test_the_budget_is_the_consequence_of_what_keeps_series_away() -> None:
    for break_it in (backend(REFUSED), stopped("prometheus-agent"), stored(series=())):
        broken = facts(Usage())
        break_it(broken)
        check = budget_in(broken)
        assert check is not None
        assert check.status == CONSEQUENCE


def test_check_mode_counts_nothing_before_the_first_deploy() -> None:
    made = facts(Usage())
    made.check_mode, made.containers, made.scrapes = True, (), {}
    check = budget_in(made)
    assert check is not None
    assert check.status == SKIPPED


def test_without_a_plan_nothing_is_counted() -> None:
    assert budget_in(healthy()) is None
