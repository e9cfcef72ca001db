"""What a worker's log and the kernel's counters say, as numbers."""

from __future__ import annotations


def runs(log: str, task: str) -> list[float]:
    """From the lines of a Celery worker."""
    found = []
    for line in log.splitlines():
        _, named, rest = line.partition(f"Task {task}[")
        _, done, seconds = rest.partition("succeeded in ")
        if named and done:
            found.append(float(seconds.partition("s:")[0]))
    return found


def busy_percent(before: str, after: str) -> float:
    """From two first lines of /proc/stat: all but idle and waiting for a disk."""
    spent = [int(b) - int(a) for a, b in zip(before.split()[1:9], after.split()[1:9], strict=True)]
    return 100 * (1 - (spent[3] + spent[4]) / sum(spent))
