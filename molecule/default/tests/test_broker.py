"""RabbitMQ: who may enter, how much it may hold, and that it forgets nothing."""

from __future__ import annotations

import re

from server import Server, eventually, samples

WATERMARK = 0.6 * 300 * 2**20


def rabbitmqctl(server: Server, arguments: str) -> str:
    return server.compose("app", f"exec -T rabbitmq rabbitmqctl --quiet {arguments}")


def waiting(server: Server, queue: str) -> int:
    queues = dict(
        line.split() for line in rabbitmqctl(server, "list_queues -p app name messages").splitlines()[1:]
    )
    return int(queues[queue])


def test_there_is_no_guest(server: Server) -> None:
    """T12."""
    users = [line.split()[0] for line in rabbitmqctl(server, "list_users").splitlines()[1:]]

    assert users == ["app"]
    refused = server.host.run("docker exec app-rabbitmq-1 rabbitmqctl --quiet authenticate_user guest guest")
    assert refused.rc != 0


def test_the_prometheus_plugin_is_on_and_answers(server: Server) -> None:
    """G1.5, G7."""
    assert "rabbitmq_prometheus" in rabbitmqctl(server, "eval 'rabbit_plugins:active().'")
    assert samples(server.get("http://127.0.0.1:15692/metrics"))


def test_the_watermark_is_absolute_and_below_the_limit(server: Server) -> None:
    """A fraction would be one of the host's memory, which the container may never use."""
    [limit] = [
        sample.value
        for sample in samples(server.get("http://127.0.0.1:15692/metrics"))
        if sample.name == "rabbitmq_resident_memory_limit_bytes"
    ]

    assert limit == WATERMARK


def test_a_task_survives_the_replacement_of_the_broker(server: Server) -> None:
    """T11: a fixed host name and a volume keep durable queues; clients come back by themselves."""
    server.compose("app", "stop celery-ai")
    try:
        task = server.post("/api/ai/music", '{"prompt": "patience", "megabytes": 1, "seconds": 0}')["task_id"]
        before = eventually(lambda: waiting(server, "ai_queue"), lambda found: found > 0, seconds=20)
        assert before > 0

        server.compose("app", "up --detach --no-deps --force-recreate --wait rabbitmq")

        assert waiting(server, "ai_queue") >= before
    finally:
        server.compose("app", "start celery-ai")
    words = eventually(
        lambda: re.findall(rf"{task}\] (\w+)", server.compose("app", "logs --no-color --tail 200 celery-ai")),
        lambda found: "succeeded" in found,
        seconds=90,
    )
    assert words[-1:] == ["succeeded"]
    # Whoever tests next finds the server as it was.
    services = server.containers()
    assert eventually(lambda: all(server.healthy(name) for name in services), bool, seconds=120)
