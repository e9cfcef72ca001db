"""The last deploys of the app, from the records of its releases."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from soundcheck_diagnosis.look import Look, Part, Unable

NEWEST = 5
FOLDER_OF_CURRENT = "current"


def collect(look: Look) -> Part:
    folder = Path(look.config["releases"])
    try:
        # Names begin with the time of the deploy.
        names = sorted(
            (each.name for each in folder.iterdir() if each.name != FOLDER_OF_CURRENT), reverse=True
        )
    except OSError as error:
        raise Unable(f"{folder}: {error.strerror}") from error
    found, unread = [], []
    for name in names[:NEWEST]:
        try:
            record = json.loads((folder / name / "release.json").read_text(encoding="utf-8"))
            found.append(described(record, time.time(), look))
        except (OSError, ValueError, KeyError) as error:
            unread.append(f"{name}/release.json: {error}")
    return Part(found, "; ".join(unread))


def described(record: dict[str, Any], now: float, look: Look) -> dict[str, Any]:
    at = datetime.fromisoformat(record["at"]).timestamp()
    return {
        "id": record["id"],
        "version": record["version"],
        "seconds_ago": round(now - at, 1),
        "by": look.redact(record.get("by", "")),
        "result": record.get("result"),
        "reason": look.redact(record.get("reason", "")),
    }
