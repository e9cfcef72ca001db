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
# s; metric_verification_fresh_seconds at the server's interval of 15 s, and a scrape.
STALE = 75


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


def failed_tasks(server: Server, task_name: str) -> dict[str, float]:
    """Exception to number of failures; the one without a name is the exporter's zero."""
    samples = server.query(
        f'sum by (exception) (celery_tasks_total{{task_name="{task_name}", status="failure"}})'
    )
    return {sample.labels.get("exception", ""): sample.value for sample in samples}


def test_a_task_over_its_memory_limit_ends_alone(server: Server, table: Table) -> None:
    """G6.2: with the limit that the guide began with; the worker lives on, and the failure has a name."""
    before = failed_tasks(server, AI_TASK).get("WorkerLostError", 0.0)
    identities = server.identities()
    container = server.containers()["celery-ai"]["Id"]
    server.run(f"docker update --memory {LIMIT} --memory-swap {LIMIT} {container}")
    try:
        task = make_music(server, stamp("large"), megabytes=TOO_MUCH, seconds=2)
        logs = eventually(
            lambda: server.compose("app", "logs --no-color --tail 100 celery-ai"),
            lambda found: f"[{task}] ended with its process" in found,
            60,
        )
        after = make_music(server, stamp("small"))
        done = eventually(
            lambda: words_of(server, "celery-ai", after), lambda found: "succeeded" in found, 60
        )
    finally:
        server.run(f"docker update --memory 1024M --memory-swap 2048M {container}")
    counted = eventually(
        lambda: failed_tasks(server, AI_TASK).get("WorkerLostError", 0.0), lambda found: found > before, 60
    )
    fired = eventually(
        lambda: server.query(f'ALERTS{{alertname="Task Killed", task_name="{AI_TASK}"}}'), bool, 90
    )

    table.add(
        f"AI task over its memory limit ({TOO_MUCH} MB of {LIMIT})",
        f"its process was killed, the next task {done[-1]}; counted as WorkerLostError"
        f" {counted - before:+.0f}; alert {'fired' if fired else 'silent'}",
    )
    assert re.search(rf"{AI_TASK}\[{task}\] ended with its process: .*signal 9 \(SIGKILL\)", logs), logs
    assert "succeeded" in done
    assert counted - before == 1
    assert fired
    assert server.identities() == identities


@pytest.fixture
def tiny_disk(server: Server) -> Iterator[None]:
    """The app's folder on a disk of its own, with room for hardly more than what it holds."""
    directory = "/opt/soundcheck/app"
    used = int(server.run(f"du -s --block-size=4096 {directory}").split()[0])
    server.run(
        f"mkdir -p /mnt/full && mount -t tmpfs -o size={(used + 6) * 4096} tmpfs /mnt/full"
        f" && cp -a {directory}/. /mnt/full/ && mount --bind /mnt/full {directory}"
    )
    try:
        yield
    finally:
        server.run(f"umount {directory} && umount /mnt/full && rmdir /mnt/full")


def kept_files(server: Server) -> dict[str, tuple[int, bytes]]:
    """What the running containers live by; a release that failed may have left its folder."""
    files = server.files("/opt/soundcheck/app")
    return {path: content for path, content in files.items() if not path.startswith("releases/")}


def test_a_disk_without_room_for_the_files(server: Server, table: Table, tiny_disk: None) -> None:
    before, files = server.identities(), kept_files(server)
    refused = playbook(
        "playbooks/deploy_app.yml", "-e", json.dumps({"app_stack_environment": {"RELEASE": "full"}})
    )

    said = next((line for line in refused.output.splitlines() if "are free for" in line), "")
    table.add("disk full where files are written", said.strip()[:160])
    assert refused.status != 0
    assert "are free for /opt/soundcheck/app" in said, refused.output
    assert server.identities() == before
    assert kept_files(server) == files


def test_a_registry_that_cannot_be_reached(server: Server, table: Table) -> None:
    before, files = server.identities(), server.files("/opt/soundcheck")
    arguments = json.dumps(
        {
            "container_images_source": "registry",
            "app_image": "127.0.0.1:1/music",
            "app_version": "2",
            # What else is wanted is there: only the new version is to be pulled.
            "container_images_overrides": present_images(server),
        }
    )

    refused = playbook("deploy.yml", "-e", arguments)

    said = next((line for line in refused.output.splitlines() if "127.0.0.1:1" in line), "")
    table.add("registry unreachable", said.strip()[:200])
    assert refused.status != 0
    assert "out of whose reach is https://127.0.0.1:1/v2/" in said, refused.output
    assert server.identities() == before
    assert server.files("/opt/soundcheck") == files


def present_images(server: Server) -> dict[str, str]:
    """Key of the role container_images to what runs now, without the app's."""
    keys = {"metrics-backend": "prometheus", "prometheus-agent": "prometheus", "proxy": "caddy"}
    return {
        keys.get(service, service.replace("-", "_")): entry["Config"]["Image"]
        for service, entry in server.containers().items()
        if "/app:" not in entry["Config"]["Image"]
    }


# Seconds from the refusal to the verification: the last samples count as fresh, or are too old to count.
REFUSED_FOR = {"at once": 0, "later": STALE}


@pytest.mark.parametrize("when", REFUSED_FOR)
def test_a_wrong_token_at_the_backend(server: Server, table: Table, tmp_path: Path, when: str) -> None:
    """The collector's own file, for here one variable is the password of both sides."""
    secret = "/opt/soundcheck/telemetry/prometheus-agent/remote-write-password"
    kept = server.identities()
    server.run(f"cp -p {secret} {secret}.right && printf wrong > {secret}")
    try:
        server.compose("telemetry", "restart prometheus-agent")
        time.sleep(REFUSED_FOR[when])
        verification = playbook(
            *("playbooks/verify.yml", "-e", f"metric_verification_directory={tmp_path}"),
            "-emetric_verification_timeout=20",
        )
    finally:
        server.run(f"mv {secret}.right {secret}")
        server.compose("telemetry", "restart prometheus-agent")
    verdict = tmp_path / "soundcheck-server.json"
    assert verdict.exists(), verification.output
    report = json.loads(verdict.read_text(encoding="utf-8"))
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    told = " ".join(f"{check['got']} {check['likely_cause']}" for check in failed)

    table.add(f"wrong token at the backend, verified {when}", told[:200])
    assert verification.status != 0
    assert "vault_metrics_write_password" in told, failed
    assert {check["source"] for check in failed} == {"collector"}, failed
    after = server.identities()
    assert {service for service in kept if kept[service] != after[service]} == {"prometheus-agent"}
    again = eventually(lambda: fresh(server, time.time() - 20), lambda jobs: "node" in jobs, 90)
    assert "node" in again
