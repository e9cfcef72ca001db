"""The run of Ansible that takes a lock, as its controller knows it: whose it is, and whether it lives."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible.module_utils.deploy_lock import Lock, Outcome

# CI systems know who started a run; the user of their runner is nobody's name.
ACTORS = ("GITLAB_USER_LOGIN", "GITHUB_ACTOR", "USER", "LOGNAME")
PROC = Path("/proc")


def this_run(what: str, *, actor: str = "", environ: Mapping[str, str] = os.environ) -> Lock:
    """The lock that this run takes. Called in a worker, which is a child of the run's process."""
    pid = os.getppid()
    return Lock(
        holder=f"{actor or actor_of(environ)}@{socket.gethostname()}",
        controller=controller(),
        pid=pid,
        pid_started=started(pid),
        since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        what=what,
    )


def actor_of(environ: Mapping[str, str]) -> str:
    for name in ACTORS:
        if environ.get(name):
            return environ[name]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "unknown"


def controller() -> str:
    """Where a process id means something: host, machine, and the namespace of a container on it."""
    try:
        namespace = os.readlink(PROC / "self/ns/pid")
    except OSError:
        namespace = ""
    return " ".join([socket.gethostname(), _text("/etc/machine-id"), namespace]).strip()


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when it does not live. Ids are used again."""
    # The name of the program stands between parentheses and may hold anything.
    fields = _text(str(PROC / str(pid) / "stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def gone(lock: Lock) -> bool:
    """Whether the run that holds a lock is known to have ended; of another controller nothing is known."""
    return lock.controller == controller() and started(lock.pid) != lock.pid_started


def settled(outcome: Outcome, replace: Callable[[Lock], Outcome]) -> Outcome:
    """What came of asking for a lock, once that of a run which has ended was replaced."""
    if outcome.taken or outcome.found is None or not gone(outcome.found):
        return outcome
    return replace(outcome.found)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
