"""A broken source turns the verification red, and only that source is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


# Each verification waits for its patience. Every source is in one group and missing from the others, so that
# a failure which stood for another source's would show; collector and backend carry what all others send.
TOGETHER = [
    ("django", "cadvisor", "postgres"),
    ("celery", "rabbitmq", "node"),
    ("collector",),
    ("metrics_backend",),
]


@contextmanager
def broken(server: Server, sources: Sequence[str]) -> Iterator[None]:
    try:
        for project, break_it, _mend_it, _service in map(BREAKS.__getitem__, sources):
            server.compose(project, break_it)
        yield
    finally:
        for project, _break_it, mend_it, _service in map(BREAKS.__getitem__, sources):
            server.compose(project, mend_it)
        services = [BREAKS[source][3] for source in sources]
        eventually(lambda: all(server.healthy(service) for service in services), bool, seconds=90)


def checks(directory: Path) -> list[dict[str, Any]]:
    report = json.loads((directory / "soundcheck-server.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = report["checks"]
    return found


def failing(directory: Path) -> dict[str, str]:
    return {check["source"]: check["got"] for check in checks(directory) if check["status"] == "failed"}


def test_every_source_is_broken_once() -> None:
    assert sorted(source for group in TOGETHER for source in group) == sorted(BREAKS)


@pytest.mark.parametrize("sources", TOGETHER, ids="+".join)
def test_broken_sources_are_named_and_no_other(
    server: Server, sources: Sequence[str], tmp_path: Path
) -> None:
    with broken(server, sources):
        verification = playbook(
            "playbooks/verify.yml", PATIENCE, "-e", f"metric_verification_directory={tmp_path}"
        )

    assert verification.status != 0
    assert set(failing(tmp_path)) == set(sources), verification.output


def test_mended_it_is_green_again(server: Server, tmp_path: Path) -> None:
    """After all those breaks, and without a change."""
    verification = playbook("playbooks/verify.yml", "-e", f"metric_verification_directory={tmp_path}")

    assert verification.status == 0, verification.output
    assert failing(tmp_path) == {}
    assert verification.changed == 0


# What is wrong with a panel, its expression, and what the verification says of it.
DEAD_PANELS = {
    "a metric that nobody exposes": (
        "sum(rate(celery_tasks_runing[5m]))",
        "no sample of celery_tasks_runing",
    ),
    "T7 the name of a container instead of a service": (
        'sum(container_memory_working_set_bytes{name="app-backend-1"})',
        "no series although container_memory_working_set_bytes has samples",
    ),
    "T10 a division by nothing": ("0 * celery_worker_up / (0 * celery_worker_up)", "all NaN"),
    "labels that do not meet": ("celery_worker_up + on () celery_queue_length", "duplicate series"),
}


def test_dead_panels_are_named_each_with_what_it_misses(tmp_path: Path) -> None:
    panel = {"kind": "panel", "source": "celery", "empty_reason": ""}
    panels = [
        {**panel, "id": f"TEST.{number}", "title": title, "expr": expression}
        for number, (title, (expression, _got)) in enumerate(DEAD_PANELS.items())
    ]
    verification = playbook(
        *("playbooks/verify.yml", PATIENCE, "-e", f"metric_verification_directory={tmp_path}"),
        *("-e", json.dumps({"metric_catalogue_questions": panels})),
    )

    failed = {check["check"]: check["got"] for check in checks(tmp_path) if check["status"] == "failed"}
    assert verification.status != 0
    assert set(failed) == {f"panel {panel['id']}" for panel in panels}, verification.output
    for panel, (title, (_expression, got)) in zip(panels, DEAD_PANELS.items(), strict=True):
        assert failed[f"panel {panel['id']}"].startswith(f"{title}: ")
        assert got in failed[f"panel {panel['id']}"]


def test_t16_each_job_is_counted_and_a_small_plan_is_exceeded(tmp_path: Path) -> None:
    verification = playbook(
        *("playbooks/verify.yml", "-e", f"metric_verification_directory={tmp_path}"),
        "-egrafana_cloud_active_series_limit=100",
    )

    assert verification.status != 0
    assert set(failing(tmp_path)) == {"budget"}, verification.output
    [budget] = [check for check in checks(tmp_path) if check["source"] == "budget"]
    jobs = {job["job"] for job in budget["details"]["jobs"]}
    assert {"django", "celery", "rabbitmq", "cadvisor", "node", "postgres", "collector"} <= jobs
    assert "scrape_interval" in budget["likely_cause"]
