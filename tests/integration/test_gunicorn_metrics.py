"""The metrics of a many-worker gunicorn are the truth (T2), with the demo app and the real gunicorn.conf.py.

Needs no containers, but a Python that has the demo's requirements: SOUNDCHECK_DEMO_PYTHON, which
`make integration` sets.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIMS = ROOT / "templates" / "app" / "soundcheck"
PYTHON = os.environ.get("SOUNDCHECK_DEMO_PYTHON", sys.executable)
WORKERS = 3
REQUESTS = 300
SCRAPES = 20
SETTINGS = {
    "database": {
        "conn_max_age": 60,
        "connect_timeout": 10,
        "statement_timeout_ms": 30000,
        "sslmode": "prefer",
    },
    "task_routes": {"music.tasks.*": {"queue": "default"}},
    "default_queue": "default",
    "workers": [{"name": "celery", "queues": ["default"]}],
    "latency_buckets": [0.1, 0.5, 1, 2, 5, "inf"],
    "allowed_hosts": ["localhost", "127.0.0.1"],
    "tls_before": False,
    "broker_version": "4.0.5",
}


@dataclass
class Server:
    """A running gunicorn."""

    process: subprocess.Popen[bytes]
    port: int
    metrics: Path
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return str(response.read().decode())

    def counted(self) -> float:
        """How many requests to the health view one scrape says there were."""
        name = "django_http_requests_total_by_view_transport_method_total"
        lines = re.findall(
            rf'^{name}{{[^}}]*view="healthz"[^}}]*}} (\S+)$', self.get("/metrics"), re.MULTILINE
        )
        return sum(float(value) for value in lines)

    def request(self, count: int) -> None:
        for _ in range(count):
            self.get("/healthz")

    def slots(self) -> set[str]:
        """The names under which counters were written."""
        return {file.stem.partition("_")[2] for file in self.metrics.glob("counter_*.db")}

    def booted(self) -> int:
        """How many workers were started so far."""
        return self.log.read_text().count("Booting worker")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, log: Path, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            if condition():
                return
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:.0f} s for {what}; gunicorn's log:\n{log.read_text()}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The demo under gunicorn as the compose file starts it, on SQLite; workers are recycled all the time."""
    shims = tmp_path / "shims"
    shims.mkdir()
    for shim in SHIMS.glob("*.py"):
        (shims / shim.name).write_text(shim.read_text())
    (shims / "settings.json").write_text(json.dumps(SETTINGS))
    metrics, log, port = tmp_path / "metrics", tmp_path / "gunicorn.log", free_port()
    metrics.mkdir()
    (metrics / "counter_left_over.db").write_bytes(b"of an earlier master")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": f"{shims}:{ROOT / 'demo'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "DJANGO_SETTINGS_MODULE": "soundcheck_settings",
        "SOUNDCHECK_APP_SETTINGS": "config.settings",
        "SOUNDCHECK_ROLE": "web",
        "DJANGO_SECRET_KEY": "only-for-this-test",
        "DATABASE_ENGINE": "django.db.backends.sqlite3",
        "DATABASE_NAME": str(tmp_path / "music.sqlite3"),
        "CELERY_BROKER_URL": "amqp://127.0.0.1:1//",
    }
    command = [
        PYTHON,
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--config",
        str(shims / "gunicorn.conf.py"),
    ]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    command += ["--max-requests", "20", "--max-requests-jitter", "5"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=ROOT / "demo", stdout=output, stderr=output)
    running = Server(process, port, metrics, log)
    try:
        wait_for(
            lambda: process.poll() is None and running.get("/healthz") == "ok\n", "the first answer", log
        )
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_every_scrape_counts_every_request_across_recycled_workers(server: Server) -> None:
    """T2: 300 requests over workers that live for 20 to 25 requests; each of 20 scrapes says the same."""
    before = server.counted()
    server.request(REQUESTS)
    assert [server.counted() - before for _ in range(SCRAPES)] == [REQUESTS] * SCRAPES
    assert server.booted() > REQUESTS / 25, "workers were not recycled: the test shows nothing"
    assert len(server.slots()) == WORKERS, f"files of {server.slots()}, expected one set per worker"


def test_counters_never_fall_while_workers_are_recycled_and_reloaded(server: Server) -> None:
    """T2: scrapes beside traffic and a HUP, which starts new workers while the old ones still serve."""
    before = server.counted()
    traffic = threading.Thread(target=server.request, args=(REQUESTS,))
    traffic.start()
    seen = []
    while traffic.is_alive():
        seen.append(server.counted())
        if len(seen) == 5:
            server.process.send_signal(signal.SIGHUP)
    traffic.join()
    assert seen == sorted(seen)
    assert server.counted() - before == REQUESTS
    assert len(server.slots()) <= 2 * WORKERS, "a reload may hold old and new workers at once, and no more"


def test_a_killed_worker_loses_no_counts(server: Server) -> None:
    """T2: the files of a worker that died without farewell stay, and its successor counts on in them."""
    server.request(10)
    counted, booted = server.counted(), server.booted()
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    wait_for(lambda: server.booted() > booted, "a new worker", server.log)
    assert server.counted() == counted
    server.request(10)
    assert server.counted() == counted + 10
    assert len(server.slots()) <= WORKERS


def test_a_new_master_starts_with_an_empty_directory(server: Server) -> None:
    """Files of an earlier master would be added to the sums for ever."""
    assert not (server.metrics / "counter_left_over.db").exists()
