"""Steady load beside a fault, and what it shows: failed requests, the longest gap, every task booked once."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server import Server, eventually

SCRIPT = Path(__file__).resolve().parents[1] / "load.py"
FOLDER = "/run/soundcheck-load"
# Until a queue that grew while the workers were replaced is empty again.
DRAIN = 120
# A load whose test does not live to end it ends by itself.
BOUND = 1800
BEAT = "com.docker.compose.service=celery-beat"


@dataclass
class Seen:
    """What the load and the engine's events say of a stretch of time."""

    label: str
    began: float = field(default_factory=time.time)
    load: dict[str, Any] = field(default_factory=dict)
    booked: Counter[str] = field(default_factory=Counter)
    beats: int = 0

    @property
    def failed(self) -> int:
        return int(self.load["failed"])

    @property
    def lost(self) -> set[str]:
        """Accepted and never booked."""
        return set(self.load["accepted"]) - set(self.booked)

    @property
    def doubled(self) -> set[str]:
        return {booking for booking, times in self.booked.items() if times > 1}

    def row(self) -> dict[str, str]:
        load = self.load
        return {
            "requests": str(load["requests"]),
            "failed": str(load["failed"]),
            "longest gap, s": f"{load['longest_gap']:.2f}",
            "p95, s": f"{load['p95']:.2f}",
            "tasks": str(len(load["accepted"])),
            "lost": str(len(self.lost)),
            "doubled": str(len(self.doubled)),
            "beats at most": str(self.beats),
        }

    def assert_nothing_dropped(self) -> None:
        load = self.load
        assert load["requests"] > 0
        assert load["failed"] == 0, {key: load[key] for key in ("failed", "reasons", "failed_at")}
        assert self.lost == set()
        assert self.doubled == set()
        assert self.beats == 1


def start(server: Server, unit: str, command: str) -> None:
    limits = f"--collect --property=RuntimeMaxSec={BOUND} --property=StandardOutput=truncate:{FOLDER}/{unit}"
    server.run(f"systemd-run {limits} --unit={unit} {command}")


def public_url(server: Server) -> str:
    """Where the proxy listens for the public."""
    [[binding, *_]] = [
        published
        for port, published in server.containers()["proxy"]["NetworkSettings"]["Ports"].items()
        if port == "80/tcp" and published
    ]
    return f"http://{binding['HostIp']}:{binding['HostPort']}"


def bookings(server: Server, label: str) -> Counter[str]:
    """How often each number of this load stands in the ledger, asked of the database."""
    sql = f"SELECT booking, count(*) FROM music_royalty WHERE booking LIKE '{label}-%' GROUP BY booking"
    lines = server.compose("app", f'exec -T postgres psql -h 127.0.0.1 -U app -At -F " " -c "{sql}" app')
    return Counter({booking: int(times) for booking, times in map(str.split, lines.splitlines())})


def most_beats(lines: list[str], running: int) -> int:
    """The largest number of beats that ran at the same time."""
    most = running
    for line in lines:
        running += {"start": 1, "die": -1}[json.loads(line)["Action"]]
        most = max(most, running)
    return most


@contextmanager
def steady_load(server: Server, name: str, rate: float = 50, tasks: float = 5) -> Iterator[Seen]:
    """Requests and tasks from before the block until after it; then all accepted tasks are waited for."""
    seen = Seen(f"{name}-{int(time.time())}")
    script = base64.b64encode(SCRIPT.read_bytes()).decode()
    output = f"{FOLDER}/{seen.label}.jsonl"
    server.run(f"mkdir -p {FOLDER} && echo {script} | base64 -d > {FOLDER}/load.py")
    beats = int(server.run(f"docker ps -q --filter label={BEAT} | wc -l"))
    only = f"--filter label={BEAT} --filter event=start --filter event=die"
    start(server, "faults-beats", f"docker events {only} --format '{{{{json .}}}}'")
    start(
        server,
        "faults-load",
        f"python3 {FOLDER}/load.py run --url {public_url(server)} --label {seen.label} --output {output}"
        f" --rate {rate} --tasks {tasks} --seconds {BOUND}",
    )
    try:
        time.sleep(2)
        yield seen
        time.sleep(2)
    finally:
        server.run("systemctl stop faults-load faults-beats")
    seen.load = json.loads(server.run(f"python3 {FOLDER}/load.py summary {output}"))
    seen.beats = most_beats(server.run(f"cat {FOLDER}/faults-beats").splitlines(), beats)
    accepted = set(seen.load["accepted"])
    seen.booked = eventually(
        lambda: bookings(server, seen.label), lambda found: accepted <= set(found), seconds=DRAIN
    )
