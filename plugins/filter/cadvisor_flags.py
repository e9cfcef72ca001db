"""Flags of cAdvisor that depend on its version."""

from __future__ import annotations

import re
from typing import Any

_ALWAYS = (
    *("advtcp", "cpu_topology", "disk", "diskIO", "hugetlb", "memory_numa", "percpu", "process"),
    *("referenced_memory", "resctrl", "sched", "tcp", "udp"),
)
# Kind of metric -> the first version that knows it, and the first one that does not any more.
_SOMETIMES: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
    "accelerator": ((0,), (0, 47)),
    "cpuset": ((0, 39), None),
    "pressure": ((0, 52), None),
}
_OOM_EVENTS = (0, 40)


def _parsed(version: str) -> tuple[int, ...] | None:
    """The numbers of `0.38.7` or `v0.60.5`; None for an image that is named by digest."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", str(version))
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def cadvisor_disabled_metrics(version: str) -> str:
    """The kinds of metrics that the catalogue does not keep, as --disable_metrics of this version takes them.

    cAdvisor ends at a kind that it does not know. An unknown version counts as a current one.
    """
    number = _parsed(version)
    kinds = list(_ALWAYS)
    for kind, (first, gone) in _SOMETIMES.items():
        old_enough = gone is None or (number is not None and number < gone)
        new_enough = number is None or number >= first
        if old_enough and new_enough:
            kinds.append(kind)
    return ",".join(sorted(kinds))


def cadvisor_counts_oom(version: str) -> bool:
    """Whether this version has container_oom_events_total, for which it must read the kernel's log."""
    number = _parsed(version)
    return number is None or number >= _OOM_EVENTS


class FilterModule:
    """Filters of the role cadvisor."""

    def filters(self) -> dict[str, Any]:
        return {
            "cadvisor_disabled_metrics": cadvisor_disabled_metrics,
            "cadvisor_counts_oom": cadvisor_counts_oom,
        }
