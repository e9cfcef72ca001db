"""The diagnosis and the guide's sequence of commands on a server whose CPU is used up: what each costs."""

from __future__ import annotations

import json
import shlex
import statistics
from typing import Any, Protocol

SCRIPT = "/opt/soundcheck/telemetry/monitoring/debug_cpu_spike.sh"
# Bears this name in each of its command lines; ends by itself when nobody lives to end it.
LOOPS = "soundcheck-bench-loops"
NUMBER = 4
BOUND = 900
WAYS = {
    "diagnosis": "`debug_cpu_spike.sh`",
    "guide": "the guide's commands, one after the other",
}
QUESTIONS = (
    "SELECT count(*) FROM pg_stat_activity",
    "SELECT pid, state, query FROM pg_stat_activity WHERE state = 'active'",
)
DJANGO = "from django.db import connection as c; k = c.cursor(); k.execute({question!r}); print(k.fetchall())"

# Runs on the server: seconds and CPU seconds of a shell script, what it has others do for it included (the
# engine, processes in containers, the database). All processes but the loops are counted, with their children
# that ended, before and after; what they need by themselves is known from a stretch of time before.
METER = """
import json, os, subprocess, sys, time
loops, script = sys.argv[1:]
tick = os.sysconf("SC_CLK_TCK")
def spent():
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = open(f"/proc/{pid}/cmdline").read()
            stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        if loops not in command or int(pid) == os.getpid():
            total += sum(map(int, stat[11:15]))
    return total / tick
def measured(act):
    began, before = time.monotonic(), spent()
    act()
    return time.monotonic() - began, spent() - before
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
status = []
def run():
    done = subprocess.run(["bash", "-c", script], **quiet)
    status.append((done.returncode, done.stderr[-500:]))
idle, background = measured(lambda: time.sleep(5))
seconds, cpu = measured(run)
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu - background * seconds / idle, "ended": status[0]}))
"""


class Host(Protocol):
    """What is needed of bench.Host."""

    def run(self, command: str, stdin: str = "") -> str: ...


def guide(app: str, directory: str) -> str:
    """G5 as somebody types it: five questions, each of another program."""
    worker = f"docker compose -f {directory}/docker-compose.prod.yml exec -T celery"
    containers = "docker ps -q --filter label=com.docker.compose.project=app"
    return "\n".join(
        [
            "set -e",
            f"for container in $({containers}); do docker top $container; done",
            # 69: on a busy server nobody answered within its second.
            f"{worker} celery -A {app} inspect active || test $? = 69",
            f"for container in $({containers}); do"
            " docker logs --since 15m $container 2>&1 | grep -iE 'error|exception' | tail -n 20; done",
            *(
                f"{worker} python manage.py shell -c {shlex.quote(DJANGO.format(question=question))}"
                for question in QUESTIONS
            ),
            "docker stats --no-stream",
        ]
    )


class Diagnosis:
    """Measures on one host, which the loops keep busy meanwhile."""

    def __init__(self, host: Host, directory: str, app: str = "config") -> None:
        self.host = host
        self.scripts = {"diagnosis": SCRIPT, "guide": guide(app, directory)}

    def measure(self, runs: int) -> dict[str, Any]:
        """In turns: what slows the machine slows both."""
        image = self.host.run(
            "docker inspect -f '{{.Config.Image}}'"
            " $(docker ps -q --filter label=com.docker.compose.service=backend | head -n 1)"
        ).strip()
        loop = f"timeout {BOUND} sh -c 'while :; do :; done' {LOOPS} &"
        script = f"for loop in $(seq {NUMBER}); do {loop} done; wait"
        limits = f"--rm --name {LOOPS} --network none"
        self.host.run(f"docker run --detach {limits} {image} sh -c {shlex.quote(script)} {LOOPS}")
        try:
            taken = [{way: self.once(way) for way in WAYS} for _ in range(runs)]
        finally:
            self.host.run(f"docker rm --force {LOOPS}")
        return {"runs": runs, **{way: summary([each[way] for each in taken]) for way in WAYS}}

    def once(self, way: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.host.run(f"python3 - {LOOPS} {shlex.quote(self.scripts[way])}", METER)
        )
        status, errors = found["ended"]
        # 1: it found something, as it should on such a server.
        if status > 1:
            raise SystemExit(f"{WAYS[way]} ended with {status}: {errors}")
        return found


def summary(taken: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, and what they are of."""
    values = {key: [round(each[key], 2) for each in taken] for key in ("seconds", "cpu_seconds")}
    return {**values, **{f"{key}_median": round(statistics.median(values[key]), 2) for key in values}}


def markdown(found: dict[str, Any]) -> list[str]:
    lines = [
        f"| diagnosis under {NUMBER} busy loops, median of {found['runs']} | s | CPU s, everybody's |",
        "|---|---:|---:|",
    ]
    for way, text in WAYS.items():
        lines.append(f"| {text} | {found[way]['seconds_median']} | {found[way]['cpu_seconds_median']} |")
    return [*lines, ""]
