"""Error lines of every container, the same text once, and how fast each log grows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from soundcheck_diagnosis.docker_api import EngineError, seconds_of
from soundcheck_diagnosis.look import Look, Part

LINES = 1000
BYTES = 512 * 1024
NEWEST = 10
LONGEST = 300
SECONDS = 1.5

_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL|PANIC)\b|\[(?:error|crit|critical|alert|emerg)\]"
    r'|^panic:|\blevel=(?:error|fatal|panic)\b|"level":\s*"(?:error|fatal|panic)"'
)
_TRACEBACK = "Traceback (most recent call last):"
_CONTINUED = re.compile(r"^(?:\s|$)|^During handling|^The above exception")
# What differs between two lines of one text: times, ids, numbers, addresses.
_VARIES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{12,64}\b|\d+")


def collect(look: Look) -> Part:
    """Container id -> its log; in `problem` those that could not be read."""
    found: dict[str, Any] = {}
    unread, omitted = [], []
    now = time.time()
    containers = [each for each in look.containers() if each.status != "created"]
    for container in containers:
        if look.seconds_left() <= 0.1:
            unread.append(f"{container.service}: no time left")
            continue
        try:
            seconds = min(SECONDS, look.seconds_left())
            lines = look.engine.logs(container.id, now - look.since_seconds, LINES, BYTES, seconds)
        except EngineError as error:
            unread.append(f"{container.service}: {error}")
            continue
        if len(lines) >= LINES:
            omitted.append(f"log of {container.name}: only its last {LINES} lines were read")
        found[container.id] = summary(lines, now, look.since_seconds, look.redact)
    return Part(found, "; ".join(unread), tuple(omitted))


def summary(
    lines: Sequence[str], now: float, since_seconds: int, redact: Callable[[str], str]
) -> dict[str, Any]:
    """What a log says. With `LINES` of them there may be more, so the rate counts from the first one."""
    size = sum(len(line) for line in lines)
    span: float = since_seconds
    if len(lines) >= LINES and (first := seconds_of(lines[0])) is not None:
        span = max(now - first, 0.1)
    return {
        "lines": len(lines),
        "bytes": size,
        "per_second": round(len(lines) / span, 2),
        "errors": errors(lines, now, redact),
    }


def errors(lines: Iterable[str], now: float, redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """The newest texts that tell of an error; of a traceback its last line."""
    found: dict[str, dict[str, Any]] = {}
    inside = False
    for line in lines:
        stamp, _, text = line.partition(" ")
        text = text.rstrip()
        if _TRACEBACK in text:
            inside = True
            continue
        ended = inside and not _CONTINUED.search(text)
        if inside and not ended:
            continue
        inside = False
        if not ended and not _ERROR.search(text):
            continue
        shown = redact(text)[:LONGEST]
        key = _VARIES.sub("#", shown)
        # Newest last: what comes again moves to the end.
        count = found.pop(key, {"count": 0})["count"] + 1
        at = seconds_of(stamp)
        ago = None if at is None else round(max(0.0, now - at), 1)
        found[key] = {"seconds_ago": ago, "text": shown, "count": count}
    return list(found.values())[::-1][:NEWEST]
