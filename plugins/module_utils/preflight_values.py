"""What a refusal is, and how the values of an inventory are read. Pure, as is all of preflight_*."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Variable name -> templated value; a variable that could not be worked out is absent.
Settings = Mapping[str, Any]
Survey = Mapping[str, Any]

_LONGEST = 600
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_MEMORY = re.compile(r"([1-9][0-9]*)([KMG])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([1-9][0-9]*)([smh])")


@dataclass(frozen=True)
class Problem:
    """One reason not to deploy: the variable, what was found, and what to do."""

    variable: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{_on_a_line(self.variable)}: {_on_a_line(self.found)}; {_on_a_line(self.remedy)}"


def _on_a_line(text: str) -> str:
    """Whatever stands in an inventory, a refusal is one line that a terminal shows as it is."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def memory_bytes(text: object) -> int | None:
    """Bytes of `512M`; None for anything that is not a number with K, M or G."""
    found = _MEMORY.fullmatch(str(text))
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def seconds(text: object) -> int | None:
    """Seconds of `5m`; None for anything that is not a number with s, m or h."""
    found = _DURATION.fullmatch(str(text))
    return int(found.group(1)) * _SECONDS[found.group(2)] if found else None


def readable(size: float) -> str:
    """Bytes as people compare them: `3.4 GiB`, `600 MiB`."""
    if size >= _UNITS["G"]:
        return f"{size / _UNITS['G']:.1f} GiB"
    return f"{size / _UNITS['M']:.0f} MiB"


def integer(value: object) -> int | None:
    """An int, or a string that templating made of one."""
    if isinstance(value, bool):
        return None
    try:
        return int(str(value))
    except ValueError:
        return None


def truth(value: object) -> bool:
    """A bool, or what `-e name=true` makes of one."""
    return value is True or str(value).strip().lower() in {"true", "yes", "on", "1", "t", "y"}


def dicts(value: object) -> list[Mapping[str, Any]]:
    """The dicts of a list; what is of another type is the business of the argument specs."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def version(text: object) -> tuple[int, ...]:
    """The leading numbers of a version: `v0.53.0-rc1` -> (0, 53, 0), empty when it holds none."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", str(text))
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def active_telemetry_roles(settings: Settings) -> list[str]:
    """Roles of the telemetry project that this inventory runs."""
    roles = ["cadvisor", "node_exporter", "celery_exporter", "postgres_exporter"]
    roles = [role for role in roles if truth(settings.get(f"{role}_enabled", True))]
    collector = settings.get("collector")
    if isinstance(collector, str):
        roles.append(collector)
    if settings.get("metrics_destination") == "embedded":
        roles.append("metrics_backend")
    return roles
