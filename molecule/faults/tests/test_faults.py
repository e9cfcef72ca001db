"""Parts that die, a disk that is full, a registry and a token that are not: what each does to the service."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server import Server, connected, eventually, playbook
from table import Table

AI_TASK = "music.tasks.ai_music.generate_music_task"
BOOKING = "music.tasks.royalties.book_royalty"
# The limit that the guide began with (G6.2), and a task that does not fit into it.
LIMIT = "350M"
TOO_MUCH = 600


def stamp(word: str) -> str:
    return f"{word}-{int(time.time())}"


def main_process(server: Server, service: str) -> int:
    return int(server.containers()[service]["State"]["Pid"])


def all_healthy(server: Server, seconds: float = 180) -> float:
    """Seconds until every container is well, the demo's traffic included."""
    began = time.monotonic()

    def well() -> bool:
        services = server.containers()
        return all(server.healthy(service) for service in services)

    assert eventually(well, bool, seconds), server.run("docker ps -a")
    return time.monotonic() - began


def songs(server: Server, prompt: str) -> int:
    """How many songs came of a prompt: the task's own result, counted by the database."""
    sql = f"SELECT count(*) FROM music_music WHERE title LIKE '{prompt}%'"
    return int(server.compose("app", f'exec -T postgres psql -h 127.0.0.1 -U app -At -c "{sql}" app'))


def make_music(server: Server, prompt: str, seconds: int = 0, megabytes: int = 1) -> str:
    body = json.dumps({"prompt": prompt, "megabytes": megabytes, "seconds": seconds})
    return str(server.post("/api/ai/music", body)["task_id"])


def words_of(server: Server, service: str, task: str) -> list[str]:
    """What the worker's log says of a task, word by word."""
    logs = server.compose("app", f"logs --no-color --tail 300 {service}")
    return re.findall(rf"{task}\] (\w+)", logs)


def outcomes(server: Server, task_name: str) -> dict[str, float]:
    """Status to number of ended tasks, as the backend holds them by the guide's name."""
    samples = server.query(f'sum by (status) (celery_tasks_total{{task_name="{task_name}"}})')
    return {sample.labels["status"]: sample.value for sample in samples}


def up(server: Server) -> dict[str, float]:
    return {sample.labels["job"]: sample.value for sample in server.query("up")}


def fresh(server: Server, since: float) -> set[str]:
    """Jobs with a sample that is newer than a time."""
    return {s.labels["job"] for s in server.query(f"timestamp(up == 1) > {since}")}


def waiting(server: Server) -> int:
    listed = server.compose("app", "exec -T rabbitmq rabbitmqctl -q list_queues -p app name messages_ready")
    return int(dict(line.split() for line in listed.splitlines()[1:])["ai_queue"])


@contextmanager
def messages_that_wait(server: Server, prompt: str, number: int) -> Iterator[None]:
    """Tasks that nobody takes, until the end."""
    server.compose("app", "stop celery-ai")
    try:
        for _ in range(number):
            make_music(server, prompt)
        assert eventually(lambda: waiting(server), lambda found: found >= number, 30) >= number
        yield
    finally:
        server.compose("app", "start celery-ai")


def test_a_killed_broker_comes_back_with_its_messages(server: Server, table: Table) -> None:
    """T11: durable queues, a fixed host name and a volume; workers and exporters come back by themselves."""
    prompt = stamp("broker")
    with messages_that_wait(server, prompt, 5):
        server.run(f"kill -9 {main_process(server, 'rabbitmq')}")
        took = all_healthy_but(server, "celery-ai")
        kept = waiting(server)
    made = eventually(lambda: songs(server, prompt), lambda found: found == 5, 90)
    all_healthy(server)
    since = time.time()
    # A new container of the same volume, as a changed setting makes it.
    server.compose("app", "up --detach --no-deps --force-recreate --wait rabbitmq")
    last = make_music(server, stamp("after"))
    done = eventually(lambda: words_of(server, "celery-ai", last), lambda found: "succeeded" in found, 90)
    resumed = eventually(lambda: fresh(server, since), lambda jobs: {"rabbitmq", "celery"} <= jobs, 90)

    table.add(
        "broker killed (-9), then replaced",
        f"back after {took:.0f} s; {kept} of 5 waiting messages kept, {made} done; metrics resumed",
    )
    assert kept >= 5
    assert made == 5
    assert "succeeded" in done
    assert {"rabbitmq", "celery"} <= resumed
    all_healthy(server)


def all_healthy_but(server: Server, stopped: str, seconds: float = 120) -> float:
    began = time.monotonic()

    def well() -> bool:
        return all(server.healthy(service) for service in server.containers() if service != stopped)

    # The engine has to see the death first.
    time.sleep(2)
    assert eventually(well, bool, seconds), server.run("docker ps -a")
    return time.monotonic() - began


def restarted_engine(server: Server) -> None:
    server.run("systemctl restart docker")


def rebooted_host(server: Server) -> None:
    """systemd ends everything; what the test server runs in is started again, maybe at another address."""
    server.host.run("systemctl --no-block reboot")
    booted = eventually(
        lambda: playbook("molecule/default/create.yml").status, lambda status: status == 0, seconds=120
    )
    assert booted == 0
    server.host = connected()


RESTARTS = {"Docker daemon restarted": restarted_engine, "host rebooted": rebooted_host}


@pytest.mark.parametrize("name", RESTARTS)
def test_the_stack_comes_back(server: Server, table: Table, tmp_path: Path, name: str) -> None:
    """By Docker's restart policy and systemd alone; messages wait on disk meanwhile."""
    prompt = stamp("back")
    with messages_that_wait(server, prompt, 3):
        RESTARTS[name](server)
        took = all_healthy_but(server, "celery-ai", 240)
    made = eventually(lambda: songs(server, prompt), lambda found: found == 3, 90)
    verification = playbook("playbooks/verify.yml", "-e", f"metric_verification_directory={tmp_path}")

    table.add(name, f"well after {took:.0f} s; {made} of 3 waiting tasks done; verified")
    assert made == 3
    assert verification.status == 0, verification.output


def test_a_task_of_a_killed_worker_is_done_by_the_next(server: Server, table: Table) -> None:
    """acks_late: it returns to its queue, is done once, and is counted once."""
    prompt = stamp("killed")
    before = outcomes(server, AI_TASK)
    task = make_music(server, prompt, seconds=6)
    eventually(lambda: words_of(server, "celery-ai", task), lambda found: "received" in found, 30)
    time.sleep(1)

    server.run(f"kill -9 {main_process(server, 'celery-ai')}")

    made = eventually(lambda: songs(server, prompt), lambda found: found == 1, 120)
    after = eventually(
        lambda: outcomes(server, AI_TASK), lambda found: found["success"] > before.get("success", 0), 60
    )
    time.sleep(5)
    table.add(
        "worker killed (-9) in a task",
        f"redelivered and done: {songs(server, prompt)} time; counters success"
        f" {after['success'] - before.get('success', 0):+.0f},"
        f" failure {after.get('failure', 0) - before.get('failure', 0):+.0f}",
    )
    assert made == songs(server, prompt) == 1
    assert words_of(server, "celery-ai", task).count("received") == 2
    assert after.get("failure", 0) == before.get("failure", 0)
    all_healthy(server)
