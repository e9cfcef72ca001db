"""The table of alerts: what fires is first, and what is not evaluated is not called quiet."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.alert_rows import alert_rows


def rule(name: str, health: str = "ok", error: str = "", *alerts: dict[str, Any]) -> dict[str, Any]:
    labels = {"severity": "warning"}
    return {"name": name, "health": health, "error": error, "labels": labels, "alerts": list(alerts)}


def alert(state: str, **annotations: str) -> dict[str, Any]:
    since = "2026-11-24T17:22:44.759169431Z"
    return {
        "state": state,
        "activeAt": since,
        "labels": {"severity": "critical"},
        "annotations": annotations,
    }


def test_what_fires_is_first() -> None:
    rules = [rule("A"), rule("B", "err", "many-to-many"), rule("C", "ok", "", alert("pending"))]
    rules += [rule("D", "ok", "", alert("firing"), alert("pending"))]
    assert [(row["name"], row["state"]) for row in alert_rows(rules)] == [
        ("D", "firing"),
        ("C", "pending"),
        ("D", "pending"),
        ("B", "not evaluated"),
        ("A", "inactive"),
    ]


def test_a_row_tells_since_when_and_what() -> None:
    [row] = alert_rows([rule("A", "ok", "", alert("firing", summary="너무 높음", description="more"))])
    assert row == {
        "name": "A",
        "state": "firing",
        "severity": "critical",
        "since": "2026-11-24 17:22:44 UTC",
        "text": "너무 높음",
    }


@pytest.mark.parametrize(
    ("health", "state", "text"),
    [("ok", "inactive", ""), ("unknown", "inactive", ""), ("err", "not evaluated", "out of bounds")],
)
def test_a_quiet_rule_is_one_that_is_evaluated(health: str, state: str, text: str) -> None:
    [row] = alert_rows([rule("A", health, text)])
    assert (row["state"], row["text"], row["severity"], row["since"]) == (state, text, "warning", "")


def test_a_description_stands_in_for_a_summary() -> None:
    [row] = alert_rows([rule("A", "ok", "", alert("firing", description="d"))])
    assert row["text"] == "d"


def test_no_rules_are_no_rows() -> None:
    assert alert_rows([]) == []
