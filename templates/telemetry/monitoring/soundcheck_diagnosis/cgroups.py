"""What the kernel counts for a container, in cgroup v1, v2 and the mix of both.

A container's folder is found by its first process: that is true for both drivers of Docker and for engines
inside containers, where the folder's name is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

UNIFIED = ""
# v1 writes "no limit" as the largest number of pages.
NO_LIMIT = 2**62


@dataclass(frozen=True)
class Mount:
    point: str
    root: str


@dataclass(frozen=True)
class Usage:
    """Counters of one container at one moment; what the kernel does not tell is None."""

    cpu_seconds: float | None = None
    quota_cores: float | None = None
    periods: int | None = None
    throttled: int | None = None
    memory: int | None = None
    memory_limit: int | None = None
    memory_peak: int | None = None
    oom_kills: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Cgroups:
    """Reads below the kernel's own folders, or copies of them."""

    mounts: Mapping[str, Mount]
    proc: Path = Path("/proc")

    @classmethod
    def of(cls, proc: Path = Path("/proc")) -> Cgroups:
        return cls(mounts_of((proc / "self" / "mountinfo").read_text(encoding="utf-8")), proc)

    def usage(self, pid: int) -> Usage:
        """Of the container whose first process it is; empty when it ended meanwhile."""
        paths = paths_of(_text(self.proc / str(pid) / "cgroup"))
        memory, cpu = self._folder(paths, "memory"), self._folder(paths, "cpu")
        pids = self._folder(paths, "pids")
        usage = Usage(pids=_number(pids / "pids.current") if pids else None)
        if memory:
            usage = _memory_v1(usage, memory) if "memory" in paths else _memory_v2(usage, memory)
        if cpu and "cpu" in paths:
            return _cpu_v1(usage, cpu, self._folder(paths, "cpuacct"))
        return _cpu_v2(usage, cpu) if cpu else usage

    def processes(self, pid: int) -> list[int]:
        """Ids of all processes of that container."""
        paths = paths_of(_text(self.proc / str(pid) / "cgroup"))
        folder = self._folder(paths, "pids")
        return [int(line) for line in _text(folder / "cgroup.procs").split()] if folder else []

    def _folder(self, paths: Mapping[str, str], controller: str) -> Path | None:
        name = controller if controller in paths else UNIFIED
        mount, path = self.mounts.get(name), paths.get(name)
        if mount is None or path is None:
            return None
        below = path.removeprefix(mount.root) if mount.root != "/" else path
        return Path(mount.point + "/" + below.lstrip("/"))


def mounts_of(mountinfo: str) -> dict[str, Mount]:
    """Controller -> where it is mounted; the unified hierarchy has an empty name."""
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = [UNIFIED] if kind[0] == "cgroup2" else kind[-1].split(",")
        for controller in controllers:
            found.setdefault(controller, Mount(fields[4], fields[3]))
    return found


def paths_of(text: str) -> dict[str, str]:
    """Controller -> path, from /proc/<pid>/cgroup."""
    found = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def container_ids(text: str) -> list[str]:
    """Ids of containers in the paths of a process, the innermost first."""
    longest = max((line.rpartition(":")[2] for line in text.splitlines()), key=len, default="")
    return re.findall(r"[0-9a-f]{64}", longest)[::-1]


def unit_of(text: str) -> str:
    """The systemd unit or session of a process, as far as its cgroup tells."""
    paths = paths_of(text)
    path = paths.get("name=systemd") or paths.get(UNIFIED) or ""
    return next((name for name in reversed(path.split("/")) if name.endswith((".service", ".scope"))), "")


def _memory_v1(usage: Usage, folder: Path) -> Usage:
    limit = _number(folder / "memory.limit_in_bytes")
    used, stat = _number(folder / "memory.usage_in_bytes"), _pairs(folder / "memory.stat")
    return replace(
        usage,
        memory=_working_set(used, stat, "total_inactive_file"),
        memory_limit=limit if limit is not None and limit < NO_LIMIT else None,
        memory_peak=_number(folder / "memory.max_usage_in_bytes"),
        oom_kills=_pairs(folder / "memory.oom_control").get("oom_kill"),
    )


def _memory_v2(usage: Usage, folder: Path) -> Usage:
    used, stat = _number(folder / "memory.current"), _pairs(folder / "memory.stat")
    return replace(
        usage,
        memory=_working_set(used, stat, "inactive_file"),
        memory_limit=_number(folder / "memory.max"),
        memory_peak=_number(folder / "memory.peak"),
        oom_kills=_pairs(folder / "memory.events").get("oom_kill"),
    )


def _working_set(usage: int | None, stat: Mapping[str, int], inactive: str) -> int | None:
    """What the OOM killer looks at (T9): page cache that can be dropped does not count."""
    return None if usage is None else max(0, usage - stat.get(inactive, 0))


def _cpu_v1(usage: Usage, folder: Path, accounting: Path | None) -> Usage:
    used = _number(accounting / "cpuacct.usage") if accounting else None
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    stat = _pairs(folder / "cpu.stat")
    return replace(
        usage,
        cpu_seconds=used / 1e9 if used is not None else None,
        quota_cores=quota / period if quota and period and quota > 0 else None,
        periods=stat.get("nr_periods"),
        throttled=stat.get("nr_throttled"),
    )


def _cpu_v2(usage: Usage, folder: Path) -> Usage:
    stat = _pairs(folder / "cpu.stat")
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    used = stat.get("usage_usec")
    return replace(
        usage,
        cpu_seconds=used / 1e6 if used is not None else None,
        quota_cores=int(quota) / int(period) if quota.isdigit() and period.isdigit() else None,
        periods=stat.get("nr_periods"),
        throttled=stat.get("nr_throttled"),
    )


def _text(path: Path) -> str:
    """Empty where there is nothing to read: controllers may be off, and containers end."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _pairs(path: Path) -> dict[str, int]:
    found = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            found[name] = int(value)
    return found
