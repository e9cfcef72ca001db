"""What runs is what the guide asks for; the numbers here are the guide's, not the roles'."""

from __future__ import annotations

import re

import pytest
from server import PROJECTS, Server, eventually

MEBIBYTE = 2**20
APP = {"proxy", "backend", "celery", "celery-ai", "celery-beat", "rabbitmq", "postgres", "traffic"}
TELEMETRY = {
    "cadvisor",
    "node-exporter",
    "celery-exporter",
    "postgres-exporter",
    "prometheus-agent",
    "metrics-backend",
    "alertmanager",
}


def command(server: Server, service: str) -> str:
    """The guide's command, without the program that brings it its secrets."""
    words = " ".join(server.containers()[service]["Config"]["Cmd"])
    return words.removeprefix("python -m soundcheck_env ")


def processes(server: Server, service: str, pattern: str) -> int:
    return len(
        re.findall(pattern, server.run(f"docker top $(docker ps -q -f label={label(service)}) -o pid,args"))
    )


def label(service: str) -> str:
    return f"com.docker.compose.service={service}"


def test_everything_runs_and_is_healthy(server: Server) -> None:
    def unwell() -> set[str]:
        # The demo's traffic serves nobody and has nothing to be asked.
        return {
            service
            for service, entry in server.containers().items()
            if entry["State"]["Status"] != "running"
            or entry["State"].get("Health", {}).get("Status", "healthy" if service == "traffic" else "")
            != "healthy"
        }

    assert set(server.containers()) == APP | TELEMETRY
    # What other tests burdened recovers by itself.
    assert eventually(unwell, lambda found: not found, seconds=60) == set()


def test_backend_is_gunicorn_with_three_recycled_workers(server: Server) -> None:
    """G1.1."""
    words = command(server, "backend")

    assert words.startswith("gunicorn config.wsgi:application ")
    for option in ("--bind 0.0.0.0:8000", "--workers 3", "--max-requests 1000", "--max-requests-jitter 50"):
        assert f" {option}" in words
    assert processes(server, "backend", r"gunicorn config\.wsgi") == 1 + 3


@pytest.mark.parametrize(
    ("service", "queue", "children"), [("celery", "default", 2), ("celery-ai", "ai_queue", 1)]
)
def test_worker_reads_its_queue(server: Server, service: str, queue: str, children: int) -> None:
    """G1.2, G1.3."""
    words = command(server, service)

    assert words.startswith("celery -A config worker ")
    for option in (f"-Q {queue}", "-l info", f"--concurrency={children}"):
        assert f" {option}" in words
    assert processes(server, service, r"celery -A config worker") == 1 + children


def test_the_ai_worker_runs_the_image_of_the_backend(server: Server) -> None:
    """G1.3."""
    containers = server.containers()

    assert containers["celery-ai"]["Image"] == containers["backend"]["Image"]


def test_beat_schedules_what_the_guide_schedules(server: Server) -> None:
    """G1.4: the realtime chart every ten minutes, daily charts at midnight, clean-ups at night."""
    assert command(server, "celery-beat").startswith("celery -A config beat ")
    code = (
        "from config.celery import app\n"
        "for entry in app.conf.beat_schedule.values():\n"
        "    when = entry['schedule']\n"
        "    print(entry['task'].rsplit('.')[-1], when._orig_minute, when._orig_hour)"
    )
    schedule = dict(line.split(" ", 1) for line in server.django(code).splitlines())

    assert schedule["update_realtime_chart"] == "*/10 *"
    assert schedule["update_daily_chart"] == "0 0"
    assert all(0 < int(schedule[task].split()[1]) < 6 for task in ("purge_plays", "purge_charts"))


@pytest.mark.parametrize(
    ("service", "megabytes"),
    [
        ("backend", 600),
        ("celery", 512),
        ("celery-ai", 1024),
        ("celery-beat", 200),
        ("rabbitmq", 300),
        ("node-exporter", 128),
        ("celery-exporter", 128),
        ("prometheus-agent", 256),
    ],
)
def test_memory_is_limited_as_in_the_guide(server: Server, service: str, megabytes: int) -> None:
    """G1.2, G1.3, G1.8: what the kernel enforces, not what the file says."""
    identity = server.containers()[service]["Id"]
    limit = server.run(
        f"cat /sys/fs/cgroup/memory/docker/{identity}/memory.limit_in_bytes 2>/dev/null ||"
        f" cat /proc/$(docker inspect -f '{{{{.State.Pid}}}}' {identity})/root/sys/fs/cgroup/memory.max"
    )

    assert int(limit) == megabytes * MEBIBYTE


def test_the_collector_has_the_guides_reservation(server: Server) -> None:
    """G1.8."""
    assert server.containers()["prometheus-agent"]["HostConfig"]["MemoryReservation"] == 128 * MEBIBYTE


def test_every_container_is_bounded_and_comes_back(server: Server) -> None:
    """G1.9; T12: no privileged container."""
    for service, entry in server.containers().items():
        host = entry["HostConfig"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert host["LogConfig"] == {
            "Type": "json-file",
            "Config": {"max-size": "10m", "max-file": "3"},
        }, service
        assert host["Memory"] > 0, service
        assert not host["Privileged"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service


def test_images_are_pinned(server: Server) -> None:
    """T12: no tag that moves."""
    for service, entry in server.containers().items():
        assert re.search(r":(?!latest$)[\w.-]+$|@sha256:[0-9a-f]{64}$", entry["Config"]["Image"]), service


def test_services_can_be_scaled(server: Server) -> None:
    """T7: names are Compose's own, none is fixed."""
    for service, entry in server.containers().items():
        # The web container that serves bears one of the two names that the proxy knows.
        assert re.fullmatch(rf"/({'|'.join(PROJECTS)})-{service}-(1|blue|green)", entry["Name"])


def test_docker_starts_with_the_server(server: Server) -> None:
    assert server.run("systemctl is-enabled docker").strip() == "enabled"
