"""What Celery suffers from: slow and failing tasks, too few slots, queues that nobody reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from soundcheck_diagnosis.evidence import (
    Look,
    duration,
    known,
    limit_that_holds,
    names,
    number,
    own_queue,
    part,
    rows,
    size,
    text,
)
from soundcheck_diagnosis.finding import HIGH, MEDIUM, Found, Remedy
from soundcheck_diagnosis.words import say


def task_outgrew_period(look: Look) -> Iterator[Found]:
    """A periodic task is still running when its next run begins."""
    for periodic in rows(look.config, "periodic"):
        task, period = text(periodic, "task"), number(periodic, "seconds")
        runs = [row for row in look.running() if text(row, "name") == task]
        kind: Mapping[str, Any] = next(
            (row for row in rows(look.facts, "tasks", "kinds") if row.get("name") == task), {}
        )
        mean, oldest = number(kind, "mean_seconds"), max((known(row, "seconds") for row in runs), default=0.0)
        if not task or not period:
            continue
        longest = max(mean or 0.0, oldest)
        overlaps = len(runs) > 1
        if not overlaps and longest < look.limits["period_used"] * period:
            continue
        wanted = math.ceil(longest * 1.5 / 60) * 60
        too_long = longest >= period
        yield Found(
            task,
            say("Task {task} takes longer than its period", task=task),
            [
                say(
                    "Runs at this moment: {runs}, the oldest for {time}",
                    runs=len(runs),
                    time=duration(oldest),
                ),
                say(
                    "It starts every {period} and takes {mean} on average",
                    period=duration(period),
                    mean=duration(mean),
                ),
            ],
            HIGH if overlaps and too_long else MEDIUM,
            min(1.0, longest / period / 4 + 0.5),
            Remedy(
                say("Make the task faster, or let it start less often"),
                app=say(
                    "Start it every {wanted} s instead of {period} s in the beat schedule, and let a run end"
                    " at once while another holds its lock",
                    wanted=wanted,
                    period=period,
                )
                if too_long
                else say(
                    "Give its entry in the beat schedule options={{'expires': {period}}}, so that late runs"
                    " do not pile up",
                    period=period,
                ),
            ),
        )


def worker_concurrency(look: Look) -> Iterator[Found]:
    """A queue grows, or is long, while every slot of the workers that read it is busy."""
    for queue in rows(look.facts, "tasks", "queues"):
        name, ready = text(queue, "name"), number(queue, "ready")
        configured = look.workers_of(name)
        if (
            own_queue(name)
            or not configured
            or number(queue, "consumers") == 0
            or not look.over(ready, "queue_ready")
        ):
            continue
        then = number(part(look.facts, "before", "queues", name), "ready")
        grows = None if then is None else known(queue, "ready") > then
        long = look.over(ready, "queue_ready_high")
        answered = [row for worker in configured for row in look.answered(text(worker, "name"))]
        slots = sum(known(row, "concurrency") for row in answered)
        running = sum(known(row, "running") for row in answered)
        seen = bool(slots) and all(number(row, "running") is not None for row in answered)
        # Who did not answer still holds what the broker gave it.
        full = (
            running >= slots
            if seen
            else known(queue, "unacknowledged") >= known(configured[0], "concurrency") > 0
        )
        if not full or (grows is False and not long):
            continue
        worker, service = configured[0], text(configured[0], "name")
        current = number(worker, "concurrency")
        mean = _mean_seconds(look, name)
        arrivals = look.per_second(queue, "published", "queues", name)
        needed = None if arrivals is None or mean is None else math.ceil(arrivals * mean * 1.2)
        evidence = [
            say(
                "Queue {queue}: {ready} messages wait, {then} waited {ago} ago",
                queue=name,
                ready=ready,
                then=then,
                ago=duration(look.elapsed),
            ),
            say(
                "Busy slots of {worker}: {running} of {slots}",
                worker=service,
                running=running if seen else None,
                slots=slots or current,
            ),
        ]
        if needed is not None:
            evidence.append(
                say(
                    "{arrivals} tasks/s x {mean} s x 1.2 = {needed} slots",
                    arrivals=arrivals,
                    mean=mean,
                    needed=needed,
                )
            )
        yield Found(
            service,
            say("Worker {worker} has too few slots for what arrives in {queue}", worker=service, queue=name),
            evidence,
            HIGH if seen and (grows or long) else MEDIUM,
            min(1.0, known(queue, "ready") / 500 + 0.4),
            _more_slots(look, worker, current, needed),
        )


def _mean_seconds(look: Look, queue: str) -> float | None:
    """The mean of the kinds in a queue, each counted as often as it started."""
    kinds = [
        row
        for row in look.kinds_of(queue)
        if number(row, "mean_seconds") is not None and known(row, "started")
    ]
    started = sum(known(row, "started") for row in kinds)
    return (
        sum(known(row, "started") * known(row, "mean_seconds") for row in kinds) / started
        if started
        else None
    )


def _more_slots(look: Look, worker: Any, current: float | None, needed: float | None) -> Remedy:
    service = text(worker, "name")
    proposed = int(max(needed or 0, (current or 1) + 1))
    # A slot that computes needs a core; one that waits does not.
    computes = look.cpu_of(service) >= 70 * (current or 1)
    if computes and look.cores is not None and proposed > look.cores:
        return Remedy(
            say(
                "The tasks compute: {slots} slots need {slots} cores, and the server has {cores}; let fewer"
                " tasks arrive, make them cheaper, or move the worker to a server of its own",
                slots=proposed,
                cores=look.cores,
            ),
            app=say("Limit the rate of the task (rate_limit) or make it cheaper"),
        )
    memory = sum(known(row, "memory") for row in look.containers() if row.get("service") == service)
    limit = number(worker, "memory")
    room = memory / current * proposed if current and memory else 0.0
    more = limit is not None and room > limit * look.limits["memory_used"] / 100
    return Remedy(
        say(
            "Raise the concurrency, and {variable} with it to {limit}",
            variable=look.variable(service, "memory", f"app_stack_workers[{service}].memory"),
            limit=size(limit_that_holds(room)),
        )
        if more
        else say("Raise the concurrency; the memory limit has room for it"),
        variable=look.variable(service, "concurrency", f"app_stack_workers[{service}].concurrency"),
        current=None if current is None else int(current),
        proposed=proposed,
    )


def queue_unread(look: Look) -> Iterator[Found]:
    """Messages wait in a queue that nobody consumes (T5, T6)."""
    heard = {queue for row in rows(look.facts, "tasks", "workers") for queue in names(row.get("queues"))}
    routed = {text(part(look.config, "routes", key), "queue") for key in part(look.config, "routes")}
    for queue in rows(look.facts, "tasks", "queues"):
        name, ready, consumers = text(queue, "name"), number(queue, "ready"), number(queue, "consumers")
        listed = look.workers_of(name)
        unread = consumers == 0 or (consumers is None and not listed and name not in heard and bool(heard))
        if (
            not name
            or own_queue(name)
            or not unread
            or not look.over(ready, "queue_ready" if listed else "unread_ready")
        ):
            continue
        if listed and look.deployed("rollout"):
            continue
        worker = (listed or rows(look.config, "workers") or [{}])[0]
        service = text(worker, "name")
        expected = name in routed or name == look.config.get("default_queue")
        evidence = [
            say(
                "Queue {queue}: {ready} messages, {consumers} consumers",
                queue=name,
                ready=ready,
                consumers=consumers,
            )
        ]
        if listed:
            why = say("{worker} should read it and does not", worker=service)
            remedy = Remedy(
                say("See why {worker} does not consume: docker compose ps and its log", worker=service)
            )
        elif expected:
            why = say("The routes send tasks there, and no worker lists it")
            queues = names(worker.get("queues"))
            remedy = Remedy(
                say("Let a worker read the queue"),
                variable=look.variable(service, "queues", f"app_stack_workers[{service}].queues"),
                current=queues,
                proposed=[*queues, name],
            )
        else:
            why = (
                say("It is Celery's own default: whoever sends there does not know the app's routes")
                if name == "celery"
                else say("No worker lists it and no route names it: the sender chose it")
            )
            remedy = Remedy(
                say("Send the task without a queue of its own, or route it to one that a worker reads"),
                variable="app_stack_task_routes",
                app=say("Look for queue='{queue}' where the task is sent", queue=name),
            )
        mistaken = [
            say("Route {key} matches no task; the task is registered as {task}", key=key, task=task)
            for key, task in look.misrouted()
        ]
        yield Found(
            name,
            say("Nobody reads queue {queue}", queue=name),
            [*evidence, why, *mistaken[:2]],
            HIGH if consumers == 0 else MEDIUM,
            min(1.0, 0.8 + known(queue, "ready") / 1000),
            remedy,
        )


def retry_storm(look: Look) -> Iterator[Found]:
    """A kind of task is tried again and again."""
    for kind in rows(look.facts, "tasks", "kinds"):
        name = text(kind, "name")
        retried, succeeded = (look.rise(kind, key, "kinds", name) for key in ("retried", "succeeded"))
        if retried is not None and look.elapsed is not None:
            rate, again, done = retried * 60 / look.elapsed, retried, succeeded or 0.0
            enough = look.over(rate, "retry_rate")
        else:
            rate, again, done = None, known(kind, "retried"), known(kind, "succeeded")
            enough = look.over(again, "retry_total")
        if not enough or again < look.limits["retry_share"] * done:
            continue
        yield Found(
            name,
            say("Task {task} is retried without end", task=name),
            [
                say("{rate} retries/min in the last {time}", rate=rate, time=duration(look.elapsed))
                if rate is not None
                else say("Retries since the exporter started: {retried}", retried=again),
                say("Retried {retried}, succeeded {succeeded}", retried=again, succeeded=done),
            ],
            HIGH if rate is not None else MEDIUM,
            min(1.0, 0.6 + (rate or 0) / 1000),
            Remedy(
                say("Mend what fails, and let retries wait and end"),
                app=say(
                    "autoretry_for with retry_backoff=True, retry_jitter=True and max_retries=5 for {task}",
                    task=name,
                ),
            ),
        )
