"""gunicorn with metrics that are true for all its workers together.

Each worker writes its counters to files of its own, and /metrics adds up the files of all. Named after
process ids, as is prometheus_client's default, the files of recycled workers would pile up: they must stay,
or the sums fall. Here they are named after slots: a new worker takes the lowest slot that no living worker
holds and counts on in its files. There are never more files than workers, and no sum ever falls.

Settings that differ between deployments (bind, workers, max-requests) come from the command line.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

_directory = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "/tmp/prometheus"))
if _directory.exists() and not os.access(_directory, os.W_OK):
    # When a container restarts, Docker gives a tmpfs the mode of the folder under it: what the image lacks
    # becomes root's alone. Serving comes first, and any folder of one's own counts as well.
    _directory = Path("/tmp/prometheus")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_directory)
# It must exist before prometheus_client is imported. It is emptied in on_starting, not here: this file is
# read again at each HUP, under living workers.
_directory.mkdir(parents=True, exist_ok=True)

from prometheus_client import multiprocess, values  # noqa: E402  the directory comes first

control_socket_disable = True  # it would need a writable home
worker_tmp_dir = "/dev/shm"  # workers report their life through files, which must not wait for a disk
# Longer than the database's statement timeout: the request that it ends shall get its answer.
timeout = 60
graceful_timeout = 25
keepalive = 5
accesslog = None  # requests are counted by the metrics
errorlog = "-"


class Slot:
    """Names the files of this process: its slot in a worker, its process id everywhere else."""

    def __init__(self) -> None:
        self.owner = 0
        self.name = ""

    def take(self, pid: int, name: str) -> None:
        self.owner, self.name = pid, name

    def __call__(self) -> str:
        # A process forked by the app inherits the slot but must not write to its files.
        pid = os.getpid()
        return self.name if pid == self.owner else str(pid)


def _install() -> Slot:
    """Make prometheus_client name its files by slot; once, although a HUP reads this file again."""
    slot = getattr(values.ValueClass, "soundcheck_slot", None)
    if slot is None:
        slot = Slot()
        values.ValueClass = values.MultiProcessValue(process_identifier=slot)
        values.ValueClass.soundcheck_slot = slot
    return slot


_slot = _install()


def _free_slot(workers: Any) -> int:
    """The lowest slot that no worker holds. gunicorn lists a worker until it was reaped."""
    taken = {worker.soundcheck_slot for worker in workers if hasattr(worker, "soundcheck_slot")}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def on_starting(server: Any) -> None:
    """A new master starts from zero, unless it takes over from one that still serves (USR2)."""
    if server.master_pid == 0:
        for entry in _directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def pre_fork(server: Any, worker: Any) -> None:
    """In the master, so that no two workers can choose the same slot."""
    worker.soundcheck_slot = _free_slot(server.WORKERS.values())


def post_fork(server: Any, worker: Any) -> None:
    """In the worker, before it loads the app. The master's id keeps two masters apart (USR2)."""
    _slot.take(worker.pid, f"{server.pid}-{worker.soundcheck_slot}")


def child_exit(server: Any, worker: Any) -> None:
    """Gauges of living processes end with their worker; counters stay."""
    multiprocess.mark_process_dead(f"{server.pid}-{worker.soundcheck_slot}")
