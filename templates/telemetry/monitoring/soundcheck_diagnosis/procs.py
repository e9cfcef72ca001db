"""Processes: which of them burn, in which container, and which are outside this stack."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundcheck_diagnosis.cgroups import container_ids, unit_of
from soundcheck_diagnosis.docker_api import Container
from soundcheck_diagnosis.look import Look, Part

OWN = "soundcheck_inspect"
TOP = 5
LONGEST_COMMAND = 200
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One line of /proc/<pid>/stat."""

    pid: int
    parent: int
    name: str
    state: str
    cpu_seconds: float
    threads: int
    started: float
    """Seconds after the machine's start."""
    rss: int


def parse(stat: str) -> Process:
    """The name stands in parentheses and may itself hold some."""
    head, _, rest = stat.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = rest.split()
    return Process(
        pid=int(pid),
        parent=int(fields[1]),
        name=name,
        state=fields[0],
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        threads=int(fields[17]),
        started=int(fields[19]) / TICKS,
        rss=int(fields[21]) * PAGE,
    )


def read(proc: Path, pid: int) -> Process | None:
    """None when it ended meanwhile."""
    try:
        handle = os.open(f"{proc}/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    # Without Python's streams: there may be a thousand of them, to be read twice.
    try:
        return parse(os.read(handle, 4096).decode(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(handle)


def snapshot(proc: Path) -> dict[int, Process]:
    """All processes of the machine."""
    found = (read(proc, int(name)) for name in os.listdir(proc) if name.isdigit())
    return {process.pid: process for process in found if process}


def command(proc: Path, process: Process) -> str:
    """Its command line; a kernel thread has only a name, shown in brackets as ps does."""
    try:
        raw = (proc / str(process.pid) / "cmdline").read_bytes()
    except OSError:
        raw = b""
    words = raw.decode(errors="replace").replace("\0", " ").strip()
    return words or f"[{process.name}]"


def busy(before: Mapping[int, Process], after: Mapping[int, Process], seconds: float) -> dict[int, float]:
    """CPU of each process between two looks, one core as 100. One that started meanwhile began at nothing."""
    found = {}
    for pid, process in after.items():
        earlier = before.get(pid)
        same = earlier is not None and earlier.started == process.started
        used = process.cpu_seconds - (earlier.cpu_seconds if earlier and same else 0.0)
        found[pid] = round(100 * max(0.0, used) / seconds, 1)
    return found


def collect(look: Look) -> Part:
    """The busiest processes of each container, and of the rest of the machine."""
    proc = look.cgroups.proc
    before, begun = snapshot(proc), time.monotonic()
    time.sleep(look.interval)
    after = snapshot(proc)
    cpu = busy(before, after, time.monotonic() - begun)
    after.pop(os.getpid(), None)

    ours: dict[str, list[Process]] = {}
    strangers: list[tuple[Process, str]] = []
    known = {container.id: container for container in look.listed}
    members = {pid: each for each in look.listed if each.pid for pid in look.cgroups.processes(each.pid)}
    for process in after.values():
        container, cgroup = members.get(process.pid), ""
        if container is None and cpu[process.pid] > 0:
            # To ask every idle process of the machine for its place would cost most of the look.
            cgroup = _cgroup(proc, process.pid)
            container = next((known[each] for each in container_ids(cgroup) if each in known), None)
        if container is not None and container.project in look.projects:
            ours.setdefault(container.id, []).append(process)
        elif cpu[process.pid] > 0:
            strangers.append((process, _where(container, cgroup)))

    def busiest(process: Process) -> tuple[float, int]:
        return cpu[process.pid], process.rss

    def shown(process: Process) -> dict[str, Any]:
        return {
            "pid": process.pid,
            "command": look.redact(command(proc, process))[:LONGEST_COMMAND],
            "cpu_percent": cpu[process.pid],
            "rss": process.rss,
        }

    def top(processes: list[Process]) -> list[dict[str, Any]]:
        """Without what this look itself runs in a container: of that there is one."""
        rows = (
            {**shown(process), "state": process.state, "threads": process.threads}
            for process in sorted(processes, key=busiest, reverse=True)[: TOP + 1]
        )
        return [row for row in rows if OWN not in row["command"]][:TOP]

    containers = {identity: top(processes) for identity, processes in ours.items()}
    strangers.sort(key=lambda pair: busiest(pair[0]), reverse=True)
    outside = [
        {**shown(process), "user": _user(proc, process.pid), "unit": unit}
        for process, unit in strangers[:TOP]
    ]
    return Part({"containers": containers, "strangers": outside}, look.no_engine)


def _where(container: Container | None, cgroup: str) -> str:
    return f"container {container.name}" if container else unit_of(cgroup)


def _cgroup(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "cgroup").read_text(encoding="utf-8")
    except OSError:
        return ""


def _user(proc: Path, pid: int) -> str | None:
    try:
        number = (proc / str(pid)).stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
