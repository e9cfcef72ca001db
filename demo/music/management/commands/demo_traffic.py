"""Steady light traffic, so that every metric of the demo lives."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from django.core.management.base import BaseCommand, CommandError, CommandParser

MAX_RATE = 20.0
SONGS = 24
_SONG = "/api/music/{song}/"


@dataclass(frozen=True)
class Visit:
    """One kind of request; `weight` of `sum of weights` requests are of this kind."""

    weight: int
    method: str
    path: str
    body: dict[str, object] | None = None


# Of 200 requests, at two per second, the slow report comes about twice in 100 seconds and three covers
# of a hundred tasks fail: enough to be seen on a dashboard, too little to raise an alert.
VISITS = (
    Visit(110, "POST", _SONG + "play"),
    Visit(50, "GET", "/api/charts/realtime"),
    Visit(15, "GET", "/api/charts/daily"),
    Visit(10, "POST", _SONG + "cover?fail=0"),
    Visit(2, "POST", _SONG + "cover"),
    Visit(2, "POST", "/api/ai/music", {"prompt": "a slow waltz for two synthesizers", "megabytes": 32}),
    Visit(2, "GET", "/api/reports/listening?seconds=2.5"),
    Visit(5, "GET", "/api/reports/listening?seconds=0.2"),
    Visit(4, "GET", "/api/charts/yesterday"),
)


def send(base_url: str, visit: Visit, song: int, timeout: float) -> int:
    """Send one request and return its status; OSError or HTTPException when nobody answers."""
    request = urllib.request.Request(
        base_url + visit.path.format(song=song),
        method=visit.method,
        data=json.dumps(visit.body or {}).encode() if visit.method == "POST" else None,
        headers={"Content-Type": "application/json", "User-Agent": "demo-traffic"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def run(
    base_url: str,
    rate: float,
    report: Callable[[str], object],
    keep_going: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Send requests one after the other, at most `rate` per second, until `keep_going` says no.

    A backend that does not answer is asked again with growing pauses; each change is reported once.
    """
    pause, answered = 1.0, True
    while keep_going():
        started = time.monotonic()
        visit = random.choices(VISITS, weights=[v.weight for v in VISITS])[0]
        try:
            send(base_url, visit, random.randint(1, SONGS), timeout=10.0)
        except (OSError, http.client.HTTPException) as error:
            if answered:
                report(f"{base_url} does not answer ({error}); trying again")
            answered = False
            sleep(pause)
            pause = min(pause * 2, 15.0)
            continue
        if not answered:
            report(f"{base_url} answers again")
        pause, answered = 1.0, True
        sleep(max(0.0, 1.0 / rate - (time.monotonic() - started)))


class Command(BaseCommand):
    """`python manage.py demo_traffic`: runs until it is told to stop."""

    help = "Send steady light traffic to the music service."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", default=os.environ.get("DEMO_BASE_URL", "http://backend:8000"))
        parser.add_argument(
            "--rate", type=float, default=2.0, help=f"requests per second, above 0 up to {MAX_RATE:g}"
        )

    def handle(self, *args: object, base_url: str, rate: float, **options: object) -> None:
        if not 0 < rate <= MAX_RATE:
            raise CommandError(f"--rate must be above 0 and at most {MAX_RATE:g}, got {rate:g}")
        # As a container's first process it would otherwise not notice being asked to stop.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        self.stdout.write(f"sending up to {rate:g} requests per second to {base_url}")
        run(base_url.rstrip("/"), rate, lambda line: self.stdout.write(line))
