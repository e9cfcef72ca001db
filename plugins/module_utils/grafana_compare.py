"""Whether what Grafana holds is what was wanted: it adds defaults and rewrites durations. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_DURATION_KEYS = {"for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"}
# Of these maps an entry too many is a difference: it would be a label that routes, or a line of a message.
_EXACT = ("labels", "annotations")


def milliseconds(text: str) -> int | None:
    """`90m` in milliseconds, which Grafana writes back as `1h30m`; None for what is no duration."""
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def covers(wanted: Any, found: Any, key: str = "") -> bool:
    """Whether all that `wanted` states is so in `found`; what Grafana adds to a dict is no difference."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            # An empty map is left out of what Grafana returns.
            return not wanted and not found
        if key in _EXACT and {name for name in found if name not in wanted}:
            return False
        return all(covers(value, found.get(name), str(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        found = found or []
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(covers(a, b) for a, b in zip(wanted, found, strict=True))
        )
    if key in _DURATION_KEYS and isinstance(wanted, str) and isinstance(found, str):
        return wanted == found or milliseconds(wanted) == milliseconds(found) is not None
    if _unset(wanted):
        return _unset(found)
    # JSON has one kind of number, and Python takes True for 1.
    return isinstance(wanted, bool) == isinstance(found, bool) and bool(wanted == found)


def _unset(value: Any) -> bool:
    """What Grafana leaves out of its answers. A zero it does not."""
    return value is None or value is False or value == ""


def same_route(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether two routes of the notification policy do the same; empty settings may be left out."""
    return covers(wanted, found) and covers(found, wanted)


def digest(model: Mapping[str, Any]) -> str:
    """A short name for exactly this content."""
    text = json.dumps(model, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
