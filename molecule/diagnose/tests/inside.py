"""Makes trouble on the server: inside a container of the app, beside the stack, in the database."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readings import busy_percent
from server import Server, eventually, samples

SCRIPT = Path(__file__).resolve().parents[1] / "provoke.py"
# s; trouble whose test does not live to end it ends by itself.
BOUND = 240
# s; until a provocation has to be in effect.
PATIENCE = 60
QUEUES = "http://127.0.0.1:15692/metrics/detailed?family=queue_coarse_metrics"
# A queue is short again below this.
SHORT = 5


def container(server: Server, service: str) -> str:
    return str(server.containers()[service]["Id"])[:12]


@contextmanager
def trouble(server: Server, service: str, arguments: str) -> Iterator[str]:
    """provoke.py in a service's container from before the block until its end; gives the container."""
    inside = container(server, service)
    script = base64.b64encode(SCRIPT.read_bytes()).decode()
    server.run(f"echo {script} | base64 -d | docker exec -i {inside} sh -c 'cat > /tmp/provoke.py'")
    command = f"timeout {BOUND} python -m soundcheck_env python /tmp/provoke.py {arguments}"
    started = f"echo $$ > /tmp/provoke.pid; exec {command} > /tmp/provoke.log 2>&1"
    server.run(f"docker exec -d {inside} sh -c {shlex.quote(started)}")
    try:
        said = eventually(
            lambda: server.host.run(f"docker exec {inside} cat /tmp/provoke.log").stdout,
            lambda found: "in effect" in found,
            PATIENCE,
        )
        assert "in effect" in said, f"provoke.py {arguments}: {said}"
        yield inside
    finally:
        # It may have ended, or its container may be another one by now.
        server.host.run(f"docker exec {inside} sh -c 'kill $(cat /tmp/provoke.pid); rm /tmp/provoke.*'")


@contextmanager
def memory(server: Server, service: str, size: str) -> Iterator[str]:
    """Another memory limit of a running container, without swap, and its own again; gives the container."""
    entry = server.containers()[service]
    inside, own = entry["Id"][:12], entry["HostConfig"]
    server.run(f"docker update --memory {size} --memory-swap {size} {inside}")
    try:
        yield inside
    finally:
        server.run(f"docker update --memory {own['Memory']} --memory-swap {own['MemorySwap']} {inside}")


@contextmanager
def quota(server: Server, service: str, cores: float) -> Iterator[None]:
    """A container that has none gets a CPU quota for a while."""
    inside, period = container(server, service), 100_000
    server.run(f"docker update --cpu-period {period} --cpu-quota {int(cores * period)} {inside}")
    try:
        yield
    finally:
        server.run(f"docker update --cpu-quota -1 {inside}")


@contextmanager
def busy_loops(server: Server, number: int, argument: str = "") -> Iterator[None]:
    """Processes of the server's own, outside the stack, called with an argument that they do not read."""
    loop = f"sh -c 'while :; do :; done' sh {argument} &"
    script = shlex.quote(" ".join([*[loop] * number, "wait"]))
    unit = "--collect --unit=diagnose-loops"
    server.run(f"systemd-run {unit} --property=RuntimeMaxSec={BOUND} /bin/sh -c {script}")
    try:
        # So long, and the server's load and pressure show it.
        time.sleep(3)
        yield
    finally:
        server.host.run("systemctl stop diagnose-loops")


def quiet(server: Server, percent: float = 60, seconds: float = 600) -> None:
    """The cores have room: they are those of the machine that the server runs on, where others work, too."""

    def busy() -> float:
        line = "head -n 1 /proc/stat"
        return busy_percent(*server.run(f"{line} && sleep 3 && {line}").splitlines())

    found = eventually(busy, lambda share: share < percent, seconds)
    assert found < percent, f"the machine is busy for {found:.0f} %, with something other than this server"


def sql(server: Server, *statements: str) -> str:
    """Statements in one session of the app's login, which is not bound to its time limit."""
    commands = " ".join(f"-c {shlex.quote(statement)}" for statement in statements)
    return server.compose(
        "app", f"exec -T postgres psql -h 127.0.0.1 -U app -v ON_ERROR_STOP=1 -qAt {commands} app"
    ).strip()


def messages(server: Server, queue: str, state: str = "ready") -> int:
    """How many are `ready` or `unacked`; a queue that does not exist has none."""
    return int(
        sum(
            sample.value
            for sample in samples(server.get(QUEUES))
            if sample.name == f"rabbitmq_detailed_queue_messages_{state}" and sample.labels["queue"] == queue
        )
    )


def recovered(server: Server, seconds: float = 180) -> None:
    """Every container is well, and no task waits."""

    def well() -> bool:
        return (
            all(server.healthy(service) for service in server.containers())
            and messages(server, "default") < SHORT
        )

    assert eventually(well, bool, seconds), server.run("docker ps -a")


def recreated(server: Server, service: str) -> None:
    """A new container with the limits and counters that it had when it was deployed."""
    server.compose("app", f"up --detach --no-deps --force-recreate --wait {service}")
