"""State, CPU, throttling and memory of every container of this stack."""

from __future__ import annotations

import time
from typing import Any

from soundcheck_diagnosis.cgroups import Usage
from soundcheck_diagnosis.docker_api import Container
from soundcheck_diagnosis.look import Look, Part


def collect(look: Look) -> Part:
    containers = look.containers()
    # A paused one burns nothing, and holds its memory.
    alive = [container for container in containers if container.pid]
    before, begun = {each.id: look.cgroups.usage(each.pid) for each in alive}, time.monotonic()
    time.sleep(look.interval)
    after, seconds = {each.id: look.cgroups.usage(each.pid) for each in alive}, time.monotonic() - begun
    nothing = Usage()
    facts = [
        described(each, before.get(each.id, nothing), after.get(each.id, nothing), seconds, time.time())
        for each in sorted(containers, key=lambda each: (each.project, each.service, each.name))
        if each.pid or not each.service.endswith(" (job)")
    ]
    uncounted = [
        each.service for each in alive if after[each.id].memory is None and after[each.id].cpu_seconds is None
    ]
    problem = f"no figures of {', '.join(uncounted)}: ended meanwhile, or no controllers" if uncounted else ""
    return Part(facts, problem)


def described(
    container: Container, before: Usage, after: Usage, seconds: float, now: float
) -> dict[str, Any]:
    """One container as the facts hold it; processes and log are added by their own sections."""
    return {
        "project": container.project,
        "service": container.service,
        "name": container.name,
        "id": container.id[:12],
        "image": container.image,
        "status": container.status,
        "health": container.health,
        "started_seconds_ago": None if container.started_at is None else round(now - container.started_at, 1),
        "restarts": container.restarts,
        "oom_killed": container.oom_killed,
        "exit_code": container.exit_code,
        "cpu_percent": _percent(before.cpu_seconds, after.cpu_seconds, seconds),
        "quota_cores": after.quota_cores,
        "throttled_percent": throttled(before, after),
        "memory": after.memory,
        "memory_limit": after.memory_limit,
        "memory_peak": after.memory_peak,
        "oom_kills": after.oom_kills,
        "pids": after.pids,
    }


def throttled(before: Usage, after: Usage) -> float | None:
    """Share of the quota's periods in which the container had to wait; None without a quota."""
    counters = (before.periods, after.periods, before.throttled, after.throttled)
    if after.quota_cores is None or None in counters:
        return None
    early, late, waited, waits = (float(each or 0) for each in counters)
    # No period passed: it did not run at all, so it waited for nothing.
    return round(100 * (waits - waited) / (late - early), 1) if late > early else 0.0


def _percent(before: float | None, after: float | None, seconds: float) -> float | None:
    if before is None or after is None:
        return None
    return round(100 * (after - before) / seconds, 1)
