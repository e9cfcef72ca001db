#!/usr/bin/env python3
"""Steady load on the music service, from the server itself, and what became of it. Standard library only.

    load.py run --url http://127.0.0.1:80 --label NAME --output FILE [--rate 50] [--tasks 5] [--seconds 600]
    load.py summary FILE            the same as JSON: requests, failures, latencies, the longest gap

It is open-loop: a request is due whether or not earlier ones were answered, and its latency counts from then.
Half of the requests open a connection, half keep theirs. The load ends after so many seconds or at SIGTERM.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

THREADS = 96
TIMEOUT = 10.0
MAX_RATE = 200.0
MAX_SECONDS = 1800.0
SONGS = 24
# Of so many tasks one takes so long: some always run while a worker is asked to stop.
SLOW_TASK_OF = 10
SLOW_TASK_SECONDS = 2.0
# The other side may have closed a kept connection meanwhile; clients then ask again what is safe to repeat.
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True)
class Request:
    """What to send, and when: seconds after the start."""

    due: float
    kind: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    keep: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of a request; `status` 0 when nobody answered, `again` when a kept connection was gone."""

    at: float
    took: float
    kind: str
    status: int
    error: str = ""
    booking: str = ""
    again: bool = False

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


def page(number: int, due: float) -> Request:
    """Four of five read a chart, the rest writes a play."""
    keep = number % 2 == 1
    if number % 5 == 4:
        return Request(due, "page", "POST", f"/api/music/{number % SONGS + 1}/play", {}, keep)
    return Request(due, "page", "GET", f"/api/charts/{('daily', 'realtime')[number % 5 == 0]}", None, keep)


def task(number: int, due: float, label: str) -> Request:
    seconds = SLOW_TASK_SECONDS if number % SLOW_TASK_OF == 0 else 0.0
    body = {"booking": f"{label}-{number}", "seconds": seconds}
    return Request(due, "task", "POST", f"/api/music/{number % SONGS + 1}/royalty", body)


def schedule(rate: float, tasks: float, seconds: float, label: str) -> Iterator[Request]:
    """Pages and tasks in the order in which they are due."""
    pages, queued = 0, 0
    while True:
        next_page = pages / rate if rate else seconds
        next_task = queued / tasks if tasks else seconds
        if min(next_page, next_task) >= seconds:
            return
        if next_page <= next_task:
            yield page(pages, next_page)
            pages += 1
        else:
            yield task(queued, next_task, label)
            queued += 1


class Client:
    """One thread's way to the service."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.kept: http.client.HTTPConnection | None = None

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)

    def reusable(self) -> bool:
        """Whether the kept connection is open: a closed one can be read, to its end."""
        return bool(self.kept and self.kept.sock and not select.select([self.kept.sock], [], [], 0)[0])

    def ask(self, connection: http.client.HTTPConnection, request: Request) -> int:
        headers = {"Connection": "keep-alive" if request.keep else "close"}
        body = None
        if request.body is not None:
            body, headers["Content-Type"] = json.dumps(request.body), "application/json"
        connection.request(request.method, request.path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status

    def send(self, request: Request) -> tuple[int, bool]:
        """Status, and whether it took a second connection."""
        if not request.keep:
            connection = self.connection()
            try:
                return self.ask(connection, request), False
            finally:
                connection.close()
        reused = self.reusable()
        if not reused:
            self.kept = self.connection()
        assert self.kept is not None
        try:
            return self.ask(self.kept, request), False
        except CLOSED:
            self.kept = self.connection()
            if not reused or request.method != "GET":
                raise
            return self.ask(self.kept, request), True
        except Exception:
            self.kept = None
            raise


class Load:
    """Sends a schedule from a pool of threads and writes a line for each answer."""

    def __init__(self, url: str, output: Path) -> None:
        self.url = url
        self.output = output
        self.stop = threading.Event()
        self.local = threading.local()
        self.lock = threading.Lock()

    def client(self) -> Client:
        if not hasattr(self.local, "client"):
            self.local.client = Client(self.url)
        client: Client = self.local.client
        return client

    def serve(self, request: Request, started: float, file: Any) -> None:
        due = started + request.due
        status, error, again = 0, "", False
        try:
            status, again = self.client().send(request)
        except (OSError, http.client.HTTPException) as failure:
            error = f"{type(failure).__name__}: {failure}"
        booking = str(request.body.get("booking", "")) if request.body else ""
        took = round(time.time() - due, 4)
        answer = Answer(round(due, 4), took, request.kind, status, error, booking, again)
        with self.lock:
            file.write(json.dumps(asdict(answer)) + "\n")

    def run(self, requests: Iterable[Request]) -> None:
        started = time.time()
        with self.output.open("w", encoding="utf-8") as file, ThreadPoolExecutor(THREADS) as pool:
            for request in requests:
                if self.stop.wait(max(0.0, started + request.due - time.time())):
                    return
                pool.submit(self.serve, request, started, file)


def read(path: Path) -> list[Answer]:
    return [Answer(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def longest_gap(answers: list[Answer]) -> float:
    """Seconds in which no request was answered well, between the first request and the last one's end."""
    if not answers:
        return 0.0
    ends = sorted(answer.at + answer.took for answer in answers if answer.good)
    edges = [min(a.at for a in answers), *ends, max(a.at + a.took for a in answers)]
    return max(after - before for before, after in itertools.pairwise(edges))


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def summary(answers: list[Answer]) -> dict[str, Any]:
    bad = [answer for answer in answers if not answer.good]
    took = [answer.took for answer in answers if answer.good]
    return {
        "requests": len(answers),
        "failed": len(bad),
        "reasons": dict(Counter(answer.error or f"status {answer.status}" for answer in bad)),
        "failed_at": [answer.at for answer in bad[:20]],
        "again": sum(answer.again for answer in answers),
        "longest_gap": round(longest_gap(answers), 3),
        "p50": quantile(took, 0.5),
        "p95": quantile(took, 0.95),
        "slowest": max(took, default=0.0),
        # A task whose request failed may have been queued nevertheless.
        "accepted": [answer.booking for answer in answers if answer.kind == "task" and answer.good],
        "uncertain": [answer.booking for answer in answers if answer.kind == "task" and not answer.good],
    }


def bounded(maximum: float) -> Any:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= maximum:
            raise argparse.ArgumentTypeError(f"must be between 0 and {maximum:g}, got {text}")
        return value

    return number


def main() -> None:
    parser = argparse.ArgumentParser(description="Steady load on the music service.")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--url", required=True)
    runs.add_argument("--label", required=True, help="how the numbers of its bookings begin")
    runs.add_argument("--output", type=Path, required=True)
    runs.add_argument("--rate", type=bounded(MAX_RATE), default=50.0, help="pages per second")
    runs.add_argument("--tasks", type=bounded(MAX_RATE), default=5.0, help="tasks per second")
    runs.add_argument("--seconds", type=bounded(MAX_SECONDS), default=600.0)
    sums = commands.add_parser("summary")
    sums.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "summary":
        print(json.dumps(summary(read(arguments.file))))
        return
    load = Load(arguments.url, arguments.output)
    signal.signal(signal.SIGTERM, lambda *_: load.stop.set())
    load.run(schedule(arguments.rate, arguments.tasks, arguments.seconds, arguments.label))


if __name__ == "__main__":
    main()
