"""The server itself: CPU, load, memory, swap, pressure, disks, and whom the OOM killer took."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from soundcheck_diagnosis.docker_api import Engine, EngineError
from soundcheck_diagnosis.look import Look, Part

MOST_KILLS = 20
KERNEL_LOG = Path("/dev/kmsg")
# No disks of their own, or none that fill.
DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "overlay")

_KILL = re.compile(r"oom-kill:.*?task_memcg=(?P<cgroup>[^,]*),task=(?P<process>.*),pid=(?P<pid>\d+),uid=")
_KILLED = re.compile(r"Killed process (?P<pid>\d+) .*?anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB")


def collect(look: Look) -> Part:
    proc = look.cgroups.proc
    before, swapped, begun = _cpu(proc), _pairs(proc / "vmstat"), time.monotonic()
    time.sleep(look.interval)
    after, vmstat, seconds = _cpu(proc), _pairs(proc / "vmstat"), time.monotonic() - begun
    uptime = _first(proc / "uptime")
    kills, problem = oom_kills(look)
    page = os.sysconf("SC_PAGE_SIZE")
    facts = {
        "cores": os.cpu_count(),
        **shares(before, after),
        "load": [float(part) for part in _text(proc / "loadavg").split()[:3]],
        "memory": {
            **memory(_text(proc / "meminfo")),
            "swap_in_per_second": _per_second(swapped, vmstat, "pswpin", page / seconds),
            "swap_out_per_second": _per_second(swapped, vmstat, "pswpout", page / seconds),
        },
        "pressure": pressure({name: _text(proc / "pressure" / name) for name in ("cpu", "memory", "io")}),
        "oom_kills": kills,
        "oom_kills_total": vmstat.get("oom_kill"),
        "disks": disks(_text(proc / "mounts")),
        "uptime": uptime,
    }
    return Part(facts, problem)


def shares(before: list[int], after: list[int]) -> dict[str, float | None]:
    """What all cores together did between two lines `cpu` of /proc/stat, in percent of all of them."""
    spent = [late - early for early, late in zip(before, after, strict=False)]
    if len(spent) < 8 or sum(spent) <= 0:
        names = ("busy_percent", "user_percent", "system_percent", "iowait_percent", "steal_percent")
        return dict.fromkeys(names)
    user, nice, system, idle, iowait, irq, softirq, steal = spent[:8]
    whole = 100 / sum(spent[:8])
    return {
        "busy_percent": round(100 - (idle + iowait) * whole, 1),
        "user_percent": round((user + nice) * whole, 1),
        "system_percent": round((system + irq + softirq) * whole, 1),
        "iowait_percent": round(iowait * whole, 1),
        "steal_percent": round(steal * whole, 1),
    }


def memory(meminfo: str) -> dict[str, int | None]:
    found = {
        name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.MULTILINE)
    }
    swap, free = found.get("SwapTotal"), found.get("SwapFree")
    return {
        "total": found.get("MemTotal"),
        "available": found.get("MemAvailable"),
        "swap_total": swap,
        "swap_used": swap - free if swap is not None and free is not None else None,
    }


def pressure(texts: Mapping[str, str]) -> dict[str, dict[str, float | None]] | None:
    """Share of the last ten seconds in which some or all tasks waited; None where the kernel has no PSI."""
    found: dict[str, dict[str, float | None]] = {}
    for name, text in texts.items():
        waited = dict(re.findall(r"^(some|full) avg10=([\d.]+)", text, re.MULTILINE))
        if waited:
            found[name] = {kind: float(waited[kind]) if kind in waited else None for kind in ("some", "full")}
    return found or None


def disks(mounts: str) -> list[dict[str, Any]]:
    """How full each disk is, as df counts it; each device once, by the shortest folder."""
    found: dict[str, str] = {}
    for device, point, kind, *_ in (line.split() for line in mounts.splitlines()):
        if kind in DISKS and (kind != "overlay" or point == "/") and Path(point).is_dir():
            found[device] = min(found.get(device, point), point, key=len)
    return [
        {"mountpoint": point, "percent": percent}
        for point in sorted(found.values())
        if (percent := _full(point)) is not None
    ]


def oom_kills(look: Look) -> tuple[list[dict[str, Any]] | None, str]:
    """The newest kills since the look's beginning, from the kernel's log or else the engine's events."""
    try:
        records = _records(KERNEL_LOG)
    except OSError as error:
        return _events(look), (
            f"{KERNEL_LOG}: {error.strerror}: OOM kills are known by their number only"
            if look.no_engine
            else ""
        )
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    return kills_of(records, now, look.since_seconds, _services(look)), ""


def kills_of(
    records: Iterable[str], now: float, since_seconds: int, services: Mapping[str, str]
) -> list[dict[str, Any]]:
    """From records of /dev/kmsg: `<priority>,<number>,<microseconds>,-;<text>`.

    `services` is container id -> service, of this stack alone: others have services of the same names.
    """
    found: dict[int, dict[str, Any]] = {}
    for record in records:
        head, _, text = record.partition(";")
        if kill := _KILL.search(text):
            identity = next(iter(re.findall(r"[0-9a-f]{64}", kill["cgroup"])[::-1]), "")
            found[int(kill["pid"])] = {
                "seconds_ago": round(now - int(head.split(",")[2]) / 1e6, 1),
                "pid": int(kill["pid"]),
                "process": kill["process"],
                "container": identity[:12],
                "service": services.get(identity, ""),
                "rss": None,
            }
        elif (killed := _KILLED.search(text)) and int(killed["pid"]) in found:
            found[int(killed["pid"])]["rss"] = (int(killed["anon"]) + int(killed["file"])) * 1024
    newest = [kill for kill in found.values() if kill["seconds_ago"] <= since_seconds]
    return newest[::-1][:MOST_KILLS]


def _events(look: Look) -> list[dict[str, Any]] | None:
    """Where the kernel's log is not to be read, as in a container: the engine remembers some events."""
    if look.no_engine:
        return None
    now = time.time()
    try:
        told = events(look.engine, now - look.since_seconds, now)
    except (EngineError, ValueError):
        return None
    services = _services(look)
    return [
        {
            "seconds_ago": round(now - event["timeNano"] / 1e9, 1),
            "pid": None,
            "process": "",
            "container": event["Actor"]["ID"][:12],
            "service": services.get(event["Actor"]["ID"], ""),
            "rss": None,
        }
        for event in told[::-1][:MOST_KILLS]
    ]


def _services(look: Look) -> dict[str, str]:
    return {each.id: each.service for each in look.listed if each.project in look.projects}


def events(engine: Engine, since: float, until: float) -> list[dict[str, Any]]:
    """The engine's events of kind `oom`, oldest first."""
    asked = {"since": f"{since:.0f}", "until": f"{until:.0f}", "filters": json.dumps({"event": ["oom"]})}
    return engine.get_lines("/events", **asked)


def _records(path: Path) -> Iterator[str]:
    """What the kernel's log holds now. Raises OSError at once where it cannot be read."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return _read_records(handle)


def _read_records(handle: int) -> Iterator[str]:
    try:
        while True:
            try:
                yield os.read(handle, 8192).decode(errors="replace")
            except BlockingIOError:
                return
            except BrokenPipeError:
                # Overwritten while it was read: the next one is there.
                continue
    finally:
        os.close(handle)


def _cpu(proc: Path) -> list[int]:
    return [int(part) for part in _text(proc / "stat").partition("\n")[0].split()[1:]]


def _per_second(
    before: Mapping[str, int], after: Mapping[str, int], name: str, factor: float
) -> float | None:
    if name not in before or name not in after:
        return None
    return round((after[name] - before[name]) * factor, 1)


def _full(point: str) -> float | None:
    try:
        found = os.statvfs(point)
    except OSError:
        return None
    used = found.f_blocks - found.f_bfree
    return round(100 * used / (used + found.f_bavail), 1) if used + found.f_bavail else None


def _pairs(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in _text(path).splitlines())}


def _first(path: Path) -> float | None:
    words = _text(path).split()
    return float(words[0]) if words else None


def _text(path: Path) -> str:
    """Empty where this kernel has no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
