"""Counters of an earlier run: how fast something grows is known only by two looks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "counters.json"
SCHEMA = 1


def of_facts(facts: Mapping[str, Any], now: float) -> dict[str, Any]:
    """What is worth remembering of a look."""
    tasks, database, server = (facts.get(name) or {} for name in ("tasks", "database", "server"))
    table = database.get("table") or {}
    states: dict[str, int] = {}
    for each in database.get("connections") or []:
        state = each.get("state") or ""
        states[state] = states.get(state, 0) + each["count"]
    return {
        "schema": SCHEMA,
        "at": now,
        "kinds": _each(tasks.get("kinds"), "name", ("started", "succeeded", "failed", "retried")),
        "queues": _each(tasks.get("queues"), "name", ("ready", "published")),
        "containers": _each(facts.get("containers"), "id", ("restarts", "oom_kills", "memory")),
        "database": {"opened_total": database.get("opened_total"), "connections_by_state": states},
        "oom_kills_total": server.get("oom_kills_total"),
        "table": {"seq_scans": table.get("seq_scans")},
    }


def before(remembered: Mapping[str, Any] | None, now: float, uptime: float | None) -> dict[str, Any] | None:
    """The earlier counters as the facts hold them; None after a restart, which begins them anew."""
    if not remembered:
        return None
    ago = now - remembered["at"]
    if ago <= 0 or (uptime is not None and ago >= uptime):
        return None
    kept = {key: value for key, value in remembered.items() if key not in ("schema", "at")}
    return {"seconds_ago": round(ago, 1), **kept}


def read(folder: Path) -> dict[str, Any] | None:
    """None where there is none, or none that this version wrote."""
    try:
        remembered = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(remembered, dict) or remembered.get("schema") != SCHEMA:
        return None
    return remembered


def write(folder: Path, remembered: Mapping[str, Any]) -> None:
    """In one step, for root alone. Raises OSError, and leaves the earlier file as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{FILE}-{os.getpid()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(remembered, stream)
        os.replace(temporary, folder / FILE)
    except BaseException:
        temporary.unlink()
        raise


def _each(items: Any, key: str, figures: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {item[key]: {figure: item.get(figure) for figure in figures} for item in items or []}
