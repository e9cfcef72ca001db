"""RabbitMQ: who may enter, and how much it may hold. What it keeps when it dies, molecule/faults asks."""

from __future__ import annotations

from server import Server, samples

WATERMARK = 0.6 * 300 * 2**20


def rabbitmqctl(server: Server, arguments: str) -> str:
    return server.compose("app", f"exec -T rabbitmq rabbitmqctl --quiet {arguments}")


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
