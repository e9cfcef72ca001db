"""One deploy at a time on a host: a file that says who deploys, taken and given back by one run at once.

The file's part runs on the host; what is said of a lock is said on the controller.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

PATH = "/opt/soundcheck/deploy.lock"
BREAK = "-e deploy_lock_break=true"
ATTEMPTS = 100  # each takes microseconds, and each needs another run that gave its lock back in between


@dataclass(frozen=True)
class Lock:
    """One run of Ansible: whose it is, where its process lives, since when and for what it has the host."""

    holder: str
    controller: str
    pid: int
    pid_started: str
    since: str
    what: str

    def same_run(self, other: Lock) -> bool:
        mine = (self.controller, self.pid, self.pid_started)
        return mine == (other.controller, other.pid, other.pid_started)

    def __str__(self) -> str:
        return f"{self.holder} since {self.since}, for {self.what} (process {self.pid} there)"


@dataclass(frozen=True)
class Outcome:
    """Whether the lock was taken, and the lock of another run that was found."""

    taken: bool
    found: Lock | None


def lock_of(values: Mapping[str, Any]) -> Lock:
    """A lock from its JSON or from a module's argument; what a damaged file lacks is unknown."""
    known = {field.name: str(values.get(field.name) or "unknown") for field in fields(Lock)}
    pid = known.pop("pid")
    return Lock(pid=int(pid) if pid.isdigit() else 0, **known)


def outcome_of(values: Mapping[str, Any]) -> Outcome:
    """An outcome as a module returned it."""
    return Outcome(bool(values["taken"]), lock_of(values["found"]) if values["found"] else None)


def read(path: str) -> Lock | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            values = json.load(stream)
    except FileNotFoundError:
        return None
    except ValueError:
        values = {}
    return lock_of(values if isinstance(values, dict) else {})


def take(path: str, mine: Lock, *, replaced: Lock | None = None, force: bool = False) -> Outcome:
    """Take the lock if it is free or this run's own, or in place of the one named, or by force."""
    for _ in range(ATTEMPTS):
        # The folder goes with the last lock in it, and a run that gives one back may be faster; so may a
        # program that does not know the guard.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _take(path, mine, replaced, force)
    raise OSError(f"{path} or its folder came and went {ATTEMPTS} times")


def _take(path: str, mine: Lock, replaced: Lock | None, force: bool) -> Outcome:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with guarded(path):
        found = read(path)
        if found is not None and found.same_run(mine):
            return Outcome(True, None)
        if found is None:
            _place(path, mine, os.link)
        elif force or found == replaced:
            _place(path, mine, os.replace)
        else:
            return Outcome(False, found)
    return Outcome(True, found)


def _place(path: str, mine: Lock, put: Any) -> None:
    """Write the lock beside its path and put it there whole; os.link does so only where no file is."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".deploy-lock-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)
            json.dump(asdict(mine), stream, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        put(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def give_back(path: str, mine: Lock) -> bool:
    """Remove the lock if it is this run's own, and its folder if that is empty then."""
    if not os.path.isdir(os.path.dirname(path)):
        return False
    with guarded(path):
        found = read(path)
        own = found is not None and found.same_run(mine)
        if own:
            os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))
    return own


@contextlib.contextmanager
def guarded(path: str) -> Iterator[None]:
    """Between reading a lock and replacing it no other run may do the same."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# --- what is said of it ----------------------------------------------------------------------------------


def held(lock: Lock | None) -> tuple[str, str]:
    """What was found, and what to do."""
    lock = lock or lock_of({})
    return (
        f"{lock.holder} deploys to this host since {lock.since}: {lock.what} (process {lock.pid} there)",
        f"wait until that has ended; if it no longer exists, take its lock with {BREAK}",
    )


def taken_over(lock: Lock, *, broken: bool) -> str:
    why = "deploy_lock_break is true" if broken else "its process is gone, it ended without giving it back"
    return f"the lock of {lock} was taken over: {why}"
