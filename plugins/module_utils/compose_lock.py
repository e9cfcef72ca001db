"""One module at a time works on a project, also where the run that called the earlier one was killed.

The lock of a host (deploy_lock) belongs to a run on the control machine. A module that such a run left behind
goes on for a while; this lock is its own, and ends with its process.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ansible.module_utils.compose_docker import DeployFailed

FOLDER = "/run/lock"


@contextmanager
def exclusive(project: str, seconds: float, folder: str = FOLDER) -> Iterator[None]:
    """Wait until nobody else works on the project. Raises DeployFailed when that takes too long."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"soundcheck-{project}.lock")
    deadline = time.monotonic() + seconds
    with open(path, "w", encoding="ascii") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DeployFailed(
                        f"project {project}: an earlier deploy is still at work on this host (`fuser {path}`"
                        f" names its process) and did not end within {seconds:g} s"
                    ) from None
                time.sleep(0.5)
        yield
