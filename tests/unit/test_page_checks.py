"""The rows of a page: many questions that went well are one, what did not stands alone."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.page_checks import page_budget, page_checks


def check(source: str, name: str, status: str = "ok", **details: Any) -> dict[str, Any]:
    entry = {"source": source, "check": name, "status": status, "got": "came", "likely_cause": ""}
    return {**entry, "details": details} if details else entry


def question(
    source: str, name: str, status: str = "ok", *, data: bool = True, kind: str = "panel"
) -> dict[str, Any]:
    entry = check(source, name, status, kind=kind, title=f"Title {name}", has_data=data)
    return {**entry, "likely_cause": "" if data else "no failure yet"}


def shown(*checks: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(row["source"], row["check"], row["got"], row["likely_cause"]) for row in page_checks(checks)]


def test_checks_of_other_kinds_are_rows_as_they_are() -> None:
    checks = [check("django", "endpoint"), check("celery", "endpoint", "failed")]
    assert page_checks(checks) == checks


def test_questions_that_went_well_are_one_row() -> None:
    assert shown(
        check("django", "endpoint"),
        question("django", "a"),
        question("django", "b", data=False),
        question("django", "c", kind="alert"),
        question("celery", "d"),
    ) == [
        ("django", "endpoint", "came", ""),
        ("django", "panels", "1 answer, 1 not yet", "Title b: no failure yet"),
        ("django", "alerts", "1 answer", ""),
        ("celery", "panels", "1 answer", ""),
    ]


@pytest.mark.parametrize("status", ["failed", "consequence", "skipped"])
def test_what_went_wrong_stands_alone(status: str) -> None:
    assert shown(question("django", "a"), question("django", "b", status), question("django", "c")) == [
        ("django", "panels", "2 answer", ""),
        ("django", "b", "came", ""),
    ]


def test_the_budget_has_rows_of_its_own() -> None:
    job = {"job": "django", "series": 1, "points_per_minute": 1.0, "share": 0.1}
    budget = check("budget", "series", kind="budget", jobs=[job])
    checks = [check("django", "endpoint"), budget]
    assert page_checks(checks) == checks[:1]
    assert page_budget(checks) == {"checks": [budget], "jobs": [job]}


@pytest.mark.parametrize("details", [{}, {"kind": "budget"}])
def test_a_budget_that_was_not_counted_has_no_jobs(details: dict[str, Any]) -> None:
    budget = check("budget", "series", "failed", **details)
    assert page_budget([budget]) == {"checks": [budget], "jobs": []}


def test_without_a_budget_there_is_none() -> None:
    assert page_budget([check("django", "endpoint")]) == {"checks": [], "jobs": []}
