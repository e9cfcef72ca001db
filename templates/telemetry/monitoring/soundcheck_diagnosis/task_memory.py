"""Memory of each kind of task, and the tasks whose process was killed, from files of the workers' processes.

templates/app/soundcheck/soundcheck_memory.py writes them. They belong to the app, so they are read as those
of somebody else: no link is followed, their size is bounded, and their texts are redacted.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "run/soundcheck"
PREFIX = "memory-"
MOST_FILES = 40
LARGEST = 64 * 1024
LONGEST_NAME = 200
LAST = 10


def of_container(proc: Path, pid: int, worker: str) -> list[dict[str, Any]]:
    """What each process of one container wrote, with `worker` and whether the process is `alive`."""
    root = proc / str(pid) / "root"
    try:
        paths = sorted((root / FOLDER).glob(f"{PREFIX}*.json"))[:MOST_FILES]
    except OSError:
        return []
    written = (read(path) for path in paths)
    return [
        {**each, "worker": worker, "alive": (root / "proc" / str(each["pid"])).exists()}
        for each in written
        if each
    ]


def read(path: Path) -> dict[str, Any] | None:
    """One file; None for what is none of ours."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        document = json.loads(os.read(handle, LARGEST))
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)
    return document if isinstance(document, dict) and isinstance(document.get("pid"), int) else None


def killed(written: list[dict[str, Any]], now: float, redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """Tasks whose process is gone, the newest first."""
    found = [
        {
            "name": redact(str(running.get("task"))[:LONGEST_NAME]),
            "id": redact(str(running.get("id"))[:LONGEST_NAME]),
            "worker": each["worker"],
            "began_seconds_ago": round(now - since, 1),
        }
        for each in written
        if not each["alive"]
        and isinstance(running := each.get("running"), Mapping)
        and (since := _number(running.get("since"))) is not None
    ]
    return sorted(found, key=lambda task: task["began_seconds_ago"])


def kinds(written: list[dict[str, Any]], now: float, redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """Runs, mean and peak in bytes, and the last runs of each kind of task, the largest first."""
    found: dict[str, dict[str, Any]] = {}
    for name, kind in _kinds(written):
        runs, mean, peak = (_number(kind.get(key)) for key in ("runs", "mean", "peak"))
        if not runs or mean is None or peak is None:
            continue
        name = redact(name[:LONGEST_NAME])
        whole = found.setdefault(name, {"name": name, "runs": 0, "mean": 0.0, "peak": 0, "last": []})
        whole["runs"] += int(runs)
        whole["mean"] += (mean - whole["mean"]) * runs / whole["runs"]
        whole["peak"] = max(whole["peak"], int(peak))
        whole["last"] += list(_last(kind.get("last"), now))
    for whole in found.values():
        whole["mean"] = int(whole["mean"])
        whole["last"] = sorted(whole["last"], key=lambda run: run["seconds_ago"])[:LAST]
    return sorted(found.values(), key=lambda kind: -kind["peak"])


def _kinds(written: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in written:
        of_process = each.get("kinds")
        for name, kind in of_process.items() if isinstance(of_process, dict) else ():
            if isinstance(kind, Mapping):
                yield str(name), kind


def _last(runs: Any, now: float) -> Iterator[dict[str, Any]]:
    for run in runs if isinstance(runs, list) else ():
        at, used = (
            _number(each) for each in (run if isinstance(run, list) and len(run) == 2 else (None, None))
        )
        if at is not None and used is not None:
            yield {"seconds_ago": round(now - at, 1), "memory": int(used)}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
