"""The checks of a verification as a page shows them: questions that went well together, the budget by job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Kinds of questions, and the name of the row that stands for all of one source that went well.
_QUESTIONS = {"panel": "panels", "alert": "alerts", "recording": "recordings"}
_BUDGET = "budget"

Checks = Sequence[Mapping[str, Any]]


def page_checks(checks: Checks) -> list[Mapping[str, Any]]:
    """The rows of the table; those of the budget have their own."""
    rows: list[Mapping[str, Any]] = []
    for check in checks:
        kind = _details(check).get("kind")
        if check["source"] == _BUDGET:
            continue
        if kind not in _QUESTIONS or check["status"] != "ok":
            rows.append(check)
            continue
        same = [other for other in checks if _alike(other, check)]
        if same[0] is check:
            rows.append(_together(same, kind))
    return rows


def page_budget(checks: Checks) -> dict[str, Any]:
    """The check of the budget and what each job costs; empty where it was not asked for."""
    found = [check for check in checks if check["source"] == _BUDGET]
    return {"checks": found, "jobs": [job for check in found for job in _details(check).get("jobs", [])]}


def _details(check: Mapping[str, Any]) -> Mapping[str, Any]:
    return check.get("details") or {}


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    kinds = {_details(check).get("kind") for check in (one, other)}
    return one["status"] == other["status"] and one["source"] == other["source"] and len(kinds) == 1


def _together(same: Checks, kind: str) -> dict[str, Any]:
    waiting = [check for check in same if not _details(check)["has_data"]]
    reasons = [f"{_details(check)['title']}: {check['likely_cause']}" for check in waiting]
    return {
        **same[0],
        "check": _QUESTIONS[kind],
        "got": f"{len(same) - len(waiting)} answer" + (f", {len(waiting)} not yet" if waiting else ""),
        "likely_cause": "; ".join(reasons),
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"page_checks": page_checks, "page_budget": page_budget}
