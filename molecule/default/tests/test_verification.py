"""A broken source turns the verification red, and only that source is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server import Server, eventually, playbook

# Shorter than the default: what is broken here stays broken, and the others need a scrape or two.
PATIENCE = "-emetric_verification_timeout=45"
# Source to what breaks it and what mends it. The broker itself has to go on, for tasks pass through it.
BREAKS = {
    "django": ("app", "stop backend", "start backend", "backend"),
    "celery": ("telemetry", "stop celery-exporter", "start celery-exporter", "celery-exporter"),
    "rabbitmq": (
        "app",
        "exec -T rabbitmq rabbitmqctl --quiet eval 'ok = application:stop(rabbitmq_prometheus).'",
        "exec -T rabbitmq rabbitmqctl --quiet eval 'ok = application:start(rabbitmq_prometheus).'",
        "rabbitmq",
    ),
    "cadvisor": ("telemetry", "stop cadvisor", "start cadvisor", "cadvisor"),
    "node": ("telemetry", "stop node-exporter", "start node-exporter", "node-exporter"),
    "postgres": ("telemetry", "stop postgres-exporter", "start postgres-exporter", "postgres-exporter"),
    "collector": ("telemetry", "stop prometheus-agent", "start prometheus-agent", "prometheus-agent"),
    "metrics_backend": ("telemetry", "stop metrics-backend", "start metrics-backend", "metrics-backend"),
}


@contextmanager
def broken(server: Server, source: str) -> Iterator[None]:
    project, break_it, mend_it, service = BREAKS[source]
    server.compose(project, break_it)
    try:
        yield
    finally:
        server.compose(project, mend_it)
        eventually(lambda: server.healthy(service), bool, seconds=90)


def failing(directory: Path) -> dict[str, str]:
    report = json.loads((directory / "soundcheck-server.json").read_text(encoding="utf-8"))
    return {check["source"]: check["got"] for check in report["checks"] if check["status"] == "failed"}


@pytest.mark.parametrize("source", BREAKS)
def test_a_broken_source_is_named_and_no_other(server: Server, source: str, tmp_path: Path) -> None:
    with broken(server, source):
        verification = playbook(
            "playbooks/verify.yml", PATIENCE, "-e", f"metric_verification_directory={tmp_path}"
        )

    assert verification.status != 0
    assert set(failing(tmp_path)) == {source}, verification.output


def test_mended_it_is_green_again(server: Server, tmp_path: Path) -> None:
    """After all those breaks, and without a change."""
    verification = playbook("playbooks/verify.yml", "-e", f"metric_verification_directory={tmp_path}")

    assert verification.status == 0, verification.output
    assert failing(tmp_path) == {}
    assert verification.changed == 0
