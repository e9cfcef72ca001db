"""gunicorn's workers: which of them hold a request right now. No request is sent for it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from soundcheck_diagnosis.look import Look, Part, Unable
from soundcheck_diagnosis.procs import Process, busy, read

# One look would catch a short request by chance.
LOOKS = 4
_ESTABLISHED = "01"


def collect(look: Look) -> Part:
    configured = look.config["web"]
    containers = list(look.running(configured["service"]))
    if not containers:
        raise Unable(f"no container of {configured['service']} runs")
    proc, port = look.cgroups.proc, configured["port"]

    before = _workers(look, [container.pid for container in containers])
    begun = time.monotonic()
    held: Counter[int] = Counter()
    connections = waiting = 0
    for _ in range(LOOKS):
        time.sleep(look.interval / LOOKS)
        sockets = {container.pid: _sockets(proc, container.pid, port) for container in containers}
        connections = sum(len(each) for each in sockets.values())
        waiting = sum(each.count(0) for each in sockets.values())
        inodes = {inode for each in sockets.values() for inode in each if inode}
        held.update(pid for pid in before if _holds(proc, pid, inodes))
    after = _workers(look, [container.pid for container in containers])
    cpu = busy(before, after, time.monotonic() - begun)
    uptime = float((proc / "uptime").read_text(encoding="utf-8").split()[0])
    workers = [
        {
            "pid": pid,
            "busy": held[pid] * 2 > LOOKS,
            "cpu_percent": cpu[pid],
            "age": round(uptime - process.started, 1),
        }
        for pid, process in sorted(after.items())
    ]
    facts: dict[str, Any] = {
        "workers": workers,
        "connections": connections,
        "waiting": waiting,
        "configured": configured["workers"] * len(containers),
    }
    unseen = [pid for pid in after if not os.access(proc / str(pid) / "fd", os.R_OK | os.X_OK)]
    if unseen:
        facts["workers"] = [{**worker, "busy": None} for worker in workers]
        return Part(facts, "the workers' sockets cannot be seen: run it as root")
    return Part(facts)


def workers_of(masters: Iterable[int], processes: Sequence[Process]) -> dict[int, Process]:
    """Children of each container's first process, gunicorn's master; what was exec'd is none of them."""
    first = set(masters)
    return {process.pid: process for process in processes if process.parent in first}


def established(table: str, port: int) -> list[int]:
    """Inodes of the connections to a port, from /proc/<pid>/net/tcp; 0 for one that nobody accepted yet."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == port:
            found.append(int(fields[9]))
    return found


def _workers(look: Look, masters: Sequence[int]) -> dict[int, Process]:
    pids = [pid for master in masters for pid in look.cgroups.processes(master)]
    processes = [process for pid in pids if (process := read(look.cgroups.proc, pid))]
    return workers_of(masters, processes)


def _sockets(proc: Path, pid: int, port: int) -> list[int]:
    """Of the network that the process sees."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            found += established((proc / str(pid) / "net" / name).read_text(encoding="utf-8"), port)
        except OSError:
            continue
    return found


def _holds(proc: Path, pid: int, inodes: set[int]) -> bool:
    if not inodes:
        return False
    wanted = {f"socket:[{inode}]" for inode in inodes}
    folder = proc / str(pid) / "fd"
    try:
        return any(os.readlink(folder / name) in wanted for name in os.listdir(folder))
    except OSError:
        return False
