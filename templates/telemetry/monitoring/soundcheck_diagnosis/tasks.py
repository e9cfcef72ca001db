"""Celery: what runs now, how busy each worker is, and what each kind of task did so far.

One process in a container of the app asks all workers at once, without importing Django. Meanwhile the
exporter is asked for its totals; its numbers also stand in when the workers do not answer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from soundcheck_diagnosis import task_memory
from soundcheck_diagnosis.docker_api import Container, EngineError
from soundcheck_diagnosis.look import Look, Part, Unable, first_line
from soundcheck_diagnosis.metrics_pages import Sample, fetch, parse

MOST = 50
LONGEST_ARGUMENTS = 200
# Of the command itself: the engine ends nothing that it started.
INSPECT_SECONDS = 1.8

_COUNTERS = {
    "celery_task_started_total": "started",
    "celery_task_succeeded_total": "succeeded",
    "celery_task_failed_total": "failed",
    "celery_task_retried_total": "retried",
}
_RUNTIME = ("celery_task_runtime_sum", "celery_task_runtime_count")
_ACTIVE = "celery_worker_tasks_active"


def collect(look: Look) -> Part:
    samples: list[Sample] = []
    problems: list[str] = []

    def exporter() -> None:
        try:
            samples.extend(_exporter(look))
        except (Unable, EngineError) as error:
            problems.append(f"exporter: {error}")

    asking = threading.Thread(target=exporter, daemon=True)
    asking.start()
    answers: dict[str, Any] | None = None
    try:
        answers = _inspect(look)
    except (Unable, EngineError) as error:
        problems.append(f"workers: {error}")
    asking.join(look.seconds_left())
    if asking.is_alive():
        problems.append("exporter: no answer in time")
    page = list(samples)
    if answers is None and not page:
        raise Unable("; ".join(problems))

    names = [worker["name"] for worker in look.config["workers"]]
    if answers is None:
        problems.append("the exporter's numbers are shown instead: not which tasks run")
        facts = {
            "running": None,
            "workers": workers_of_exporter(page, look.config["workers"]),
            "silent": None,
        }
    else:
        facts = of_answers(answers, names, time.time(), look.redact)
    facts["kinds"] = kinds(page) if page else None
    facts |= _memory(look)
    running = facts["running"] or []
    omitted = (f"{len(running) - MOST} younger running tasks",) if len(running) > MOST else ()
    facts["running"] = facts["running"] and running[:MOST]
    return Part(facts, "; ".join(problems), omitted)


def _memory(look: Look) -> dict[str, Any]:
    """`memory` of each kind of task, and those `killed` with their process; null for who may not read it."""
    if os.geteuid() != 0:
        return {"memory": None, "killed": None}
    written = [
        process
        for worker in look.config["workers"]
        for container in look.running(worker["name"])
        for process in task_memory.of_container(look.cgroups.proc, container.pid, worker["name"])
    ]
    now = time.time()
    return {
        "memory": task_memory.kinds(written, now, look.redact),
        "killed": task_memory.killed(written, now, look.redact),
    }


def of_answers(
    answers: Mapping[str, Any], names: Sequence[str], now: float, redact: Callable[[str], str]
) -> dict[str, Any]:
    """Facts from what each node said: `<node> -> {active, reserved, stats, queues}`."""
    running, workers = [], []
    for node, said in answers.items():
        worker = node.partition("@")[2] or node
        active, reserved = said.get("active"), said.get("reserved")
        for task in active or []:
            arguments = f"{task.get('args') or ''} {task.get('kwargs') or ''}".strip()
            begun = task.get("time_start")
            running.append(
                {
                    "id": task.get("id"),
                    "name": task.get("name"),
                    "worker": worker,
                    "seconds": None if begun is None else round(now - begun, 1),
                    "arguments": redact(arguments)[:LONGEST_ARGUMENTS],
                }
            )
        workers.append(
            {
                "name": worker,
                "queues": said.get("queues"),
                "concurrency": said.get("concurrency"),
                "running": None if active is None else len(active),
                "reserved": None if reserved is None else len(reserved),
            }
        )
    running.sort(key=lambda task: -(task["seconds"] or 0))
    heard = {worker["name"] for worker in workers}
    return {"running": running, "workers": workers, "silent": [name for name in names if name not in heard]}


def workers_of_exporter(
    samples: Iterable[Sample], configured: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """How many tasks each worker runs, as the exporter knows it."""
    known = {worker["name"]: worker for worker in configured}
    return [
        {
            "name": (name := sample.labels.get("hostname", "")),
            "queues": known.get(name, {}).get("queues"),
            "concurrency": known.get(name, {}).get("concurrency"),
            "running": int(sample.value),
            "reserved": None,
        }
        for sample in samples
        if sample.name == _ACTIVE
    ]


def kinds(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Totals of each kind of task since the exporter's start, over all workers and queues."""
    totals: dict[str, dict[str, float]] = {}
    for sample in samples:
        figure = _COUNTERS.get(sample.name) or (sample.name if sample.name in _RUNTIME else "")
        if figure and (name := sample.labels.get("name")):
            of_kind = totals.setdefault(name, {})
            of_kind[figure] = of_kind.get(figure, 0.0) + sample.value
    found = []
    for name, figures in sorted(totals.items()):
        seconds, runs = (figures.get(each) for each in _RUNTIME)
        found.append(
            {
                "name": name,
                **{
                    figure: int(figures[figure]) if figure in figures else None
                    for figure in _COUNTERS.values()
                },
                "mean_seconds": round(seconds / runs, 3) if seconds is not None and runs else None,
            }
        )
    return found


def roomiest(look: Look) -> Container:
    """The app's container with the most memory left: to ask in one at its limit could have it killed."""
    services = [look.config["web"]["service"], *(worker["name"] for worker in look.config["workers"])]
    running = [container for service in services for container in look.running(service)]
    if not running:
        raise Unable(f"none of {', '.join(services)} runs")

    def room(container: Container) -> float:
        usage = look.cgroups.usage(container.pid)
        if usage.memory_limit is None or usage.memory is None:
            return float("inf")
        return usage.memory_limit - usage.memory

    return max(running, key=room)


def _inspect(look: Look) -> dict[str, Any]:
    container = roomiest(look)
    command = ["python", "-m", "soundcheck_inspect", "--seconds", str(INSPECT_SECONDS)]
    # Who is waited for: one that does not run cannot answer.
    running = sum(1 for worker in look.config["workers"] for _ in look.running(worker["name"]))
    command += ["--workers", str(max(running, 1))]
    answer = look.engine.execute(container.id, command, look.seconds_left())
    if answer.status != 0:
        said = first_line(answer.err) or f"status {answer.status}"
        raise Unable(f"soundcheck_inspect in {container.name}: {look.redact(said)}")
    try:
        found: dict[str, Any] = json.loads(answer.out)
    except ValueError as error:
        raise Unable(f"soundcheck_inspect in {container.name}: expected JSON: {error}") from error
    return found


def _exporter(look: Look) -> list[Sample]:
    exporter = look.config["celery_exporter"]
    if exporter is None:
        # Not deployed, as the inventory wants it: its totals are unknown, and nothing is amiss.
        return []
    container = look.first(exporter["service"])
    address = next(iter(container.addresses.values()), "")
    if not address:
        raise Unable(f"{container.name} has no address on a network of this host")
    page = fetch(address, exporter["port"], "/metrics", look.seconds_left())
    return parse(page, [*_COUNTERS, *_RUNTIME, _ACTIVE])
