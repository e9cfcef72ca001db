"""Health checks of the app's containers: `python -m soundcheck_health web|worker|beat`.

`python -m soundcheck_health retire` makes a web container tell the proxy that it takes no more requests.

They run every few seconds in every container, so they import neither Django nor Celery. `worker` and `beat`
look at the age of a file that soundcheck_worker and soundcheck_beat touch; `web` asks gunicorn.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path

# Below /tmp, which every image has with mode 1777. When a container restarts, Docker gives a tmpfs the mode
# of the folder under it, and one that the image lacks becomes root's alone.
RUNTIME_DIRECTORY = Path(os.environ.get("SOUNDCHECK_RUNTIME_DIRECTORY", "/tmp/soundcheck"))
WORKER_FILE = RUNTIME_DIRECTORY / "worker-alive"
BEAT_FILE = RUNTIME_DIRECTORY / "beat-tick"

# Several times the interval at which each file is touched (5 s and 15 s), so that a busy host is no alarm.
MAX_AGE = {"worker": 30.0, "beat": 60.0}
FILES = {"worker": WORKER_FILE, "beat": BEAT_FILE}
RETIRED_FILE = RUNTIME_DIRECTORY / "retired"
WEB_TIMEOUT = 8.0


class Unhealthy(Exception):
    """Why the container is not well, in a sentence that `docker inspect` shows."""


def touch(path: Path) -> None:
    """Make the file as new as now; where that fails, the check says so and the process goes on."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def check_file(role: str, path: Path, now: float) -> str:
    """Unhealthy when the file that this role touches is missing or old."""
    try:
        age = now - path.stat().st_mtime
    except FileNotFoundError:
        if path.parent.exists() and not os.access(path.parent, os.W_OK):
            raise Unhealthy(f"{role}: {path} is missing: this user may not write to its folder") from None
        raise Unhealthy(f"{role}: {path} is missing: not connected to the broker yet, or no longer") from None
    if age > MAX_AGE[role]:
        raise Unhealthy(
            f"{role}: {path} is {age:.0f} s old, expected at most {MAX_AGE[role]:.0f} s: it hangs"
        )
    return f"{role}: last sign of life {age:.0f} s ago"


def check_web(address: tuple[str, int], path: str, timeout: float) -> str:
    """Unhealthy unless gunicorn answers the path with a status below 400."""
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: soundcheck-health\r\n\r\n"
    url = f"http://{address[0]}:{address[1]}{path}"
    try:
        with socket.create_connection(address, timeout) as connection:
            connection.sendall(request.encode("ascii"))
            answer = connection.recv(64)
            first = answer
            while answer:  # An answer that is cut off would be logged as an error by gunicorn.
                answer = connection.recv(65536)
    except OSError as error:
        raise Unhealthy(f"web: {url} does not answer: {error}") from error
    fields = first.split(b" ", 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1].isdigit():
        raise Unhealthy(f"web: {url} answered {first!r}, expected HTTP")
    if int(fields[1]) >= 400:
        raise Unhealthy(f"web: {url} answered {int(fields[1])}, expected a status below 400")
    return f"web: {url} answered {int(fields[1])}"


def main(arguments: list[str]) -> int:
    """0 when healthy, 1 when not, 2 when asked something else; one line either way."""
    role = arguments[0] if len(arguments) == 1 else ""
    try:
        if role == "web":
            path = os.environ.get("SOUNDCHECK_HEALTH_PATH", "/metrics")
            line = check_web(("127.0.0.1", int(os.environ.get("SOUNDCHECK_PORT", "8000"))), path, WEB_TIMEOUT)
        elif role == "retire":
            touch(RETIRED_FILE)
            line = "web: takes no more requests"
        elif role in FILES:
            line = check_file(role, FILES[role], time.time())
        else:
            print("usage: python -m soundcheck_health web|worker|beat|retire", file=sys.stderr)
            return 2
    except Unhealthy as problem:
        print(problem)
        return 1
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
