"""How much memory each kind of task takes, and which one ran when its process was killed, for the diagnosis.

The kernel keeps the peak of a process. It is set back before each task, so that what it says afterwards is
that of the task. A process of the pool writes what it knows to a small file in memory before and after each
task; one that is killed leaves it behind, with the task that it was at. Other pools run their tasks in one
process, whose memory belongs to none of them: there nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_process_init

FOLDER = Path("/run/soundcheck")
PREFIX = "memory-"
KEPT_FILES = 20
KEPT_RUNS = 10
PROC = Path("/proc/self")


class Memory:
    """What one process of the pool knows of its tasks."""

    def __init__(self, pid: int, folder: Path = FOLDER, proc: Path = PROC) -> None:
        self.path, self.proc = folder / f"{PREFIX}{pid}.json", proc
        self.known: dict[str, Any] = {"pid": pid, "running": None, "kinds": {}}
        self.exact = False

    def begin(self, task: str, identity: str, now: float) -> None:
        self.known["running"] = {"task": task, "id": identity, "since": now}
        self.exact = self._forget_peak()
        self.write()

    def end(self, task: str, now: float) -> None:
        self.known["running"] = None
        used = self._kilobytes("VmHWM" if self.exact else "VmRSS")
        if used is not None:
            kind = self.known["kinds"].setdefault(task, {"runs": 0, "mean": 0.0, "peak": 0, "last": []})
            kind["runs"] += 1
            kind["mean"] += (used * 1024 - kind["mean"]) / kind["runs"]
            kind["peak"] = max(kind["peak"], used * 1024)
            kind["last"] = [*kind["last"], [round(now), used * 1024]][-KEPT_RUNS:]
        self.write()

    def write(self) -> None:
        """Whole or not at all; without room for it the task goes on."""
        temporary = self.path.with_suffix(".new")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(self.known), encoding="utf-8")
            temporary.replace(self.path)

    def _forget_peak(self) -> bool:
        """Whether the kernel set its peak back; one without this file has the present size alone to tell."""
        try:
            (self.proc / "clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return False
        return True

    def _kilobytes(self, field: str) -> int | None:
        try:
            status = (self.proc / "status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(field)), None)


def prune(folder: Path = FOLDER, kept: int = KEPT_FILES) -> None:
    """Processes come and go: the oldest files go first."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob(f"{PREFIX}*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[:-kept]:
            path.unlink(missing_ok=True)


_memory: Memory | None = None


@worker_process_init.connect
def know_this_process(**_: Any) -> None:
    """Sent in each process of a prefork pool, and nowhere else."""
    global _memory
    prune()
    _memory = Memory(os.getpid())


@task_prerun.connect
def begin(task_id: str, task: Any, **_: Any) -> None:
    if _memory:
        _memory.begin(task.name, task_id, time.time())


@task_postrun.connect
def end(task: Any, **_: Any) -> None:
    if _memory:
        _memory.end(task.name, time.time())
