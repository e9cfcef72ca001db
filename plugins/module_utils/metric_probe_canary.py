"""Judge the canary of one queue: sent, consumed by the right worker, counted, in the backend (T5, T6)."""

from __future__ import annotations

from dataclasses import replace

from .metric_probe_facts import CANARY_TASK, CELERY, EXPORTED_SUCCESSES, STORED_TASKS, Canary, Facts
from .metric_probe_wording import FAILED, OK, SKIPPED, TRANSIENT, Check, container_cause, state

# The step at which a canary is judged; it tells whose consequence a failure may be.
SENT = "sent"
COUNTED = "counted"
STORED = "stored"


def canary_check(facts: Facts, queue: str) -> tuple[Check, str]:
    """The check of one queue and the step that decided it."""
    canary = facts.canary or Canary(skipped="not sent")
    workers = [worker.name for worker in facts.workers if queue in worker.queues]
    series = (
        f'{EXPORTED_SUCCESSES}{{name="{CANARY_TASK}",queue_name="{queue}",hostname="{"|".join(workers)}"}}'
    )
    check = Check(
        CELERY,
        f"canary {queue}",
        OK,
        asked=canary.asked,
        expected=f"{series} rises at the exporter, and {STORED_TASKS} follows in the backend",
        got="",
    )
    if canary.skipped:
        return replace(check, status=SKIPPED, got=canary.skipped), SENT
    if canary.problem:
        cause = "the broker refuses the app's user, or soundcheck_canary.py is not mounted: read the answer"
        return replace(check, status=FAILED, got=canary.problem, likely_cause=cause), SENT
    risen = {key for key, value in canary.counted.items() if _rose(canary.before.get(key, 0), value)}
    by = sorted(worker for name, worker in risen if name == queue)
    right = [worker for worker in by if worker in workers]
    if not right:
        return _not_counted(facts, canary, check, queue, workers, by, risen), COUNTED
    for worker in right:
        before, latest = canary.before.get((queue, worker), 0), canary.counted[queue, worker]
        least = before + 1 if latest > before else 1  # a restarted exporter counts from nothing
        if least <= canary.stored.get((queue, worker), 0) <= latest:
            return replace(check, got=f"consumed by {worker}, counted, and in the backend"), STORED
    got = f"consumed by {right[0]} and counted, but {STORED_TASKS} has not followed in the backend"
    cause = _catalogue(facts, "backend")
    return replace(check, status=FAILED, got=got, likely_cause=cause, waiting=True), STORED


def _not_counted(
    facts: Facts,
    canary: Canary,
    check: Check,
    queue: str,
    workers: list[str],
    by: list[str],
    risen: set[tuple[str, str]],
) -> Check:
    stopped = [c for c in facts.containers if c.service in workers and not c.running]
    elsewhere = sorted(name for name, worker in risen if name not in canary.sent and worker in workers)
    got = f"sent to {queue}, but no worker reported its success"
    waiting = True
    if by:
        got = f"consumed by {', '.join(by)} instead of {' or '.join(workers)}"
        cause = (
            "another worker consumes this queue: app_stack_workers was changed without a deploy, or"
            " another app uses the same virtual host (app_stack_rabbitmq_vhost)"
        )
        waiting = False
    elif stopped:
        cause = container_cause(stopped[0])
        got = f"{got}; {state(stopped[0])}"
        waiting = stopped[0].status in TRANSIENT
    elif elsewhere:
        got = f"counted under queue_name={elsewhere[0]}"
        cause = "the sender does not tell the queue: task_send_sent_event of soundcheck_settings is off"
    elif canary.consumers and not canary.consumers.get(queue):
        cause = (
            f"no worker consumes {queue} ({' or '.join(workers)} should): app_stack_workers was changed"
            " without a deploy, or the worker lost the broker"
        )
    else:
        cause = _catalogue(facts, "samples")
    return replace(check, status=FAILED, got=got, likely_cause=cause, waiting=waiting)


def _catalogue(facts: Facts, question: str) -> str:
    source = facts.source(CELERY)
    return source.likely_causes.get(question, "") if source else ""


def _rose(before: float, after: float) -> bool:
    """Whether a counter counted something; one below its earlier value was restarted and counts anew."""
    return after > before or 0 < after < before
