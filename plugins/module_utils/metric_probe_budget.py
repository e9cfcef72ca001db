"""Judge what the deployment costs: active series and data points per minute against the plan (T16).

Grafana Cloud bills active series, or, where a series gets more data points per minute than the plan includes,
the data points by what is included. A series is active when it got a sample within 20 minutes; one that gets
none any more costs no data points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .metric_probe_facts import Budget, Job, Usage
from .metric_probe_wording import FAILED, OK, Check

BUDGET = "budget"
SERIES = "series"
ACTIVE_WINDOW = "20m"
_OFFENDERS = 3
# Series that no scrape job sends: results of recording rules, and what an earlier deploy sent until just now.
_OTHERS = "no scrape job"
_OTHERS_TRIM = "results of recording rules, or series of an earlier deploy, which end by themselves"


@dataclass(frozen=True)
class _Cost:
    job: Job
    series: int
    points: float

    def billed(self, included: int) -> float:
        return max(self.series, self.points / included)


def budget_of(parameters: dict[str, Any]) -> Budget:
    """The budget from the module's parameters."""
    jobs = tuple(Job(job["name"], job["seconds"], job["trim"] or "") for job in parameters["jobs"])
    return Budget(parameters["limit"], parameters["included"], jobs)


def budget_check(budget: Budget, usage: Usage | None, url: str) -> Check:
    """Whether the deployment fits the plan; the details hold each job."""
    check = Check(
        BUDGET,
        SERIES,
        OK,
        asked=f"{url}, series per job of the last {ACTIVE_WINDOW}",
        expected=f"at most {budget.limit} (grafana_cloud_active_series_limit)",
        got="not asked",
    )
    if usage is None:
        return replace(check, status=FAILED, waiting=True)
    if usage.problem:
        cause = "the backend was not able to count: read its log"
        return replace(check, status=FAILED, got=usage.problem.text, likely_cause=cause, waiting=True)
    if not usage.active:
        cause = "the backend holds nothing of this deployment: see metric_catalogue_external_labels"
        return replace(check, status=FAILED, got="no series at all", likely_cause=cause, waiting=True)
    costs = _costs(budget, usage)
    series, points = sum(cost.series for cost in costs), sum(cost.points for cost in costs)
    billed = max(series, points / budget.included)
    share = billed / budget.limit
    check = replace(
        check,
        got=f"{share:.1%} of {budget.limit}: {series} series, {points:.0f} data points per minute",
        details={
            "kind": BUDGET,
            "limit": budget.limit,
            "included_points_per_series": budget.included,
            "series": series,
            "points_per_minute": round(points, 1),
            "share": round(share, 4),
            "jobs": [_row(cost, budget) for cost in costs],
        },
    )
    if billed <= budget.limit:
        # Right after a first deploy only some have arrived: their sum is not what the deployment costs.
        return replace(check, waiting=any(not usage.active.get(job.name) for job in budget.jobs))
    largest = sorted(costs, key=lambda cost: cost.billed(budget.included), reverse=True)[:_OFFENDERS]
    cause = "; ".join(f"{cost.job.name} ({_words(cost)}): {cost.job.trim}" for cost in largest)
    if points / budget.included > series:
        cause = f"data points, not series, are too many: a longer scrape_interval divides them; {cause}"
    return replace(check, status=FAILED, likely_cause=cause)


def _costs(budget: Budget, usage: Usage) -> list[_Cost]:
    """One entry per job with series; the last one for all series that none of the jobs sends."""
    names = {job.name for job in budget.jobs}
    costs = [_cost(job, usage.active.get(job.name, 0), usage.current.get(job.name, 0)) for job in budget.jobs]
    # Nothing says how often such a series gets a sample: as often as the most frequent of the others.
    others = Job(_OTHERS, min(job.seconds for job in budget.jobs), _OTHERS_TRIM)
    active = sum(number for name, number in usage.active.items() if name not in names)
    current = sum(number for name, number in usage.current.items() if name not in names)
    return [cost for cost in [*costs, _cost(others, active, current)] if cost.series]


def _cost(job: Job, active: int, current: int) -> _Cost:
    return _Cost(job, active, current * 60 / job.seconds)


def _words(cost: _Cost) -> str:
    return f"{cost.series} series, {cost.points:.0f} points"


def _row(cost: _Cost, budget: Budget) -> dict[str, Any]:
    return {
        "job": cost.job.name,
        "series": cost.series,
        "points_per_minute": round(cost.points, 1),
        "share": round(cost.billed(budget.included) / budget.limit, 4),
    }
