"""What a deploy tells Grafana and Alertmanager: an annotation, and a silence that ends by itself. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

TAG = "soundcheck-deploy"
LONGEST_SILENCE = 240


def annotation(
    labels: Mapping[str, str], *, version: str, actor: str, result: str, began: float, now: float
) -> dict[str, Any]:
    """Body of POST /api/annotations: a region from the deploy's beginning to its end."""
    seconds = max(0, round(now - began))
    took = f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
    return {
        "tags": [TAG, *labels.values()],
        "time": int(began * 1000),
        "timeEnd": int(max(now, began) * 1000),
        "text": f"{result}: {version}, by {actor}, in {took}",
    }


def silence(
    labels: Mapping[str, str], *, minutes: int, created_by: str, comment: str, now: float
) -> dict[str, Any]:
    """Body of POST /api/v2/silences for the alerts with all these labels."""
    if not 1 <= minutes <= LONGEST_SILENCE:
        raise ValueError(f"{minutes} minutes; from 1 to {LONGEST_SILENCE}: a silence must end")
    if not labels:
        raise ValueError("no labels; without them every alert would be silent")
    return {
        "matchers": [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in labels.items()
        ],
        "startsAt": _moment(now),
        "endsAt": _moment(now + 60 * minutes),
        "createdBy": created_by,
        "comment": comment,
    }


def _moment(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
