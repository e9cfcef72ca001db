"""A test alert through Alertmanager, and what became of it at each contact point.

Alertmanager tells no sender what a service answered. It counts attempts and failures of each integration, and
writes the reason of a failure to its log.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from .exposition import ExpositionError, parse
from .notification_asking import Ask, Outcome, explained

# The label by which the configuration routes a test to every contact point at once.
TEST_LABEL = "soundcheck_test"
# After which the alert ends by itself, and its end is told where the end of an alert is.
LASTS = timedelta(seconds=30)
POLL_SECONDS = 0.5
TOLD = "delivered: Alertmanager sent it and the service took it"
UNTOLD = "Alertmanager counts a failed attempt, of which its log says nothing"
_METRICS = {
    "alertmanager_notification_requests_total": 0,
    "alertmanager_notification_requests_failed_total": 1,
}
_ERROR = re.compile(r'\berr="((?:[^"\\]|\\.)*)"')

Attempts = tuple[float, float]


def attempts(page: str) -> dict[str, Attempts]:
    """Integration to how many attempts there were and how many of them failed. Raises ExpositionError."""
    found: dict[str, list[float]] = {}
    for sample in parse(page).samples:
        if sample.name in _METRICS:
            counted = found.setdefault(sample.label("integration"), [0.0, 0.0])
            counted[_METRICS[sample.name]] += sample.value
    return {integration: (total, failed) for integration, (total, failed) in found.items()}


def judged(before: Mapping[str, Attempts], after: Mapping[str, Attempts], kind: str) -> bool | None:
    """Whether the attempts since `before` were taken; None while there was none."""
    total, failed = after.get(kind, (0.0, 0.0))
    total_before, failed_before = before.get(kind, (0.0, 0.0))
    if failed > failed_before:
        return False
    return True if total > total_before else None


def reason(log: str, contact_point: str) -> str:
    """What the log says last of a contact point's failures."""
    errors = [
        found[1].replace('\\"', '"').replace("\\\\", "\\")
        for line in log.splitlines()
        if contact_point in line and (found := _ERROR.search(line))
    ]
    return " ".join(errors[-1].split())[:300] if errors else ""


def marked(alert: Mapping[str, Any], identity: str, now: datetime) -> dict[str, Any]:
    """The alert as the API takes it, with a label that makes it a test unlike all others."""
    return {
        "labels": {**alert["labels"], TEST_LABEL: identity},
        "annotations": dict(alert["annotations"]),
        "startsAt": now.isoformat(),
        "endsAt": (now + LASTS).isoformat(),
    }


def outcomes(
    ask: Ask,
    contact_points: Iterable[str],
    alert: Mapping[str, Any],
    timeout: float,
    read_log: Callable[[datetime], str],
) -> list[Outcome]:
    """Send the alert and wait until each contact point has an outcome; `contact_points` are their kinds."""
    kinds = list(contact_points)
    names = {kind: f"soundcheck-{kind}" for kind in kinds}

    def all_failed(why: str) -> list[Outcome]:
        return [Outcome(names[kind], False, why) for kind in kinds]

    started = datetime.now(timezone.utc)
    first = ask("GET", "/metrics", None)
    if first.status != 200:
        return all_failed(f"Alertmanager's metrics cannot be read: {explained(first)}")
    try:
        before = attempts(first.body)
        identity = started.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        posted = ask("POST", "/api/v2/alerts", [marked(alert, identity, started)])
        if posted.status != 200:
            return all_failed(f"Alertmanager did not take the alert: {explained(posted)}")
        verdicts: dict[str, bool | None] = dict.fromkeys(kinds)
        deadline = time.monotonic() + timeout
        while None in verdicts.values() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            page = ask("GET", "/metrics", None)
            if page.status == 200:
                after = attempts(page.body)
                verdicts = {kind: judged(before, after, kind) for kind in kinds}
    except ExpositionError as error:
        return all_failed(f"Alertmanager's metrics cannot be read: {error}")
    log = read_log(started) if False in verdicts.values() else ""
    words = {
        kind: {
            True: TOLD,
            False: reason(log, names[kind]) or UNTOLD,
            None: f"no attempt within {timeout:g} s: is the contact point deployed?",
        }[verdict]
        for kind, verdict in verdicts.items()
    }
    return [Outcome(names[kind], verdicts[kind] is True, words[kind]) for kind in kinds]
