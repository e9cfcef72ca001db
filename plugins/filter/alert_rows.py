"""What the backend's alert rules say at the moment, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ORDER = ("firing", "pending", "not evaluated", "inactive")


def alert_rows(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per alert that fires or waits for its time, and one per rule without any; what fires is first."""
    rows = [row for rule in rules for row in _rows(rule)]
    return sorted(rows, key=lambda row: (_ORDER.index(row["state"]), row["name"]))


def _rows(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not rule["alerts"]:
        # A rule that was just loaded has no health yet.
        state = "inactive" if rule["health"] in ("ok", "unknown") else "not evaluated"
        return [_row(rule["name"], state, rule["labels"], "", rule["error"])]
    return [
        _row(rule["name"], alert["state"], alert["labels"], alert["activeAt"], _text(alert["annotations"]))
        for alert in rule["alerts"]
    ]


def _row(name: str, state: str, labels: Mapping[str, str], since: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "severity": labels.get("severity", ""),
        # Prometheus counts nanoseconds.
        "since": f"{since[:19].replace('T', ' ')} UTC" if since else "",
        "text": text,
    }


def _text(annotations: Mapping[str, str]) -> str:
    return annotations.get("summary") or annotations.get("description") or ""


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"alert_rows": alert_rows}
