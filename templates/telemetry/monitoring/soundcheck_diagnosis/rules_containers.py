"""What a container suffers from: its limits, its crashes, its log, its newest release."""

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
    part,
    rows,
    size,
    size_or_unknown,
    text,
)
from soundcheck_diagnosis.finding import HIGH, MEDIUM, Found, Remedy
from soundcheck_diagnosis.words import say


def memory_limit(look: Look) -> Iterator[Found]:
    """The kernel killed a process of a container for its limit, or little room is left (G6.2)."""
    kills = rows(look.facts, "server", "oom_kills")
    since = known(look.facts, "since_seconds") or look.limits["deploy"]
    present = {text(row, "id") for row in look.containers()}
    # A file cache fills whatever limit it has, and the monitoring has room by its own measure.
    caches = {text(part(look.config, each), "service") for each in ("database", "broker")}
    roomy = [row for row in look.of_app() if text(row, "service") not in caches]
    for row in look.containers():
        service, identity, limit = text(row, "service"), text(row, "id"), number(row, "memory_limit")
        mine = [
            kill
            for kill in kills
            if known(kill, "seconds_ago") <= since
            and identity
            # The container that it happened in may be replaced since.
            and (
                kill.get("container") == identity
                if kill.get("container") in present
                else kill.get("service") == service
            )
        ]
        started = number(row, "started_seconds_ago")
        young = started is not None and started <= since
        flagged = row.get("oom_killed") is True and (young or started is None)
        rise = look.rise(row, "oom_kills", "containers", identity)
        if rise is None and young:
            rise = known(row, "oom_kills")
        count = max(len(mine), int(rise or 0), int(flagged))
        memory = number(row, "memory")
        used = 100 * memory / limit if memory is not None and limit else None
        if limit is None or (not count and not (row in roomy and look.over(used, "memory_used"))):
            continue
        peak = max(limit if count else 0, known(row, "memory_peak"), memory or 0)
        proposed = limit_that_holds(min(peak, limit))
        killed = look.killed(service) if count else []
        tasks = killed or look.running(service) or look.kinds_of(_only_queue(look, service))[:1]
        free = number(part(look.facts, "server", "memory"), "available")
        evidence = [
            say(
                "OOM kills in {service}: {count}, the last {ago} ago",
                service=service,
                count=count,
                ago=duration(min((known(kill, "seconds_ago") for kill in mine), default=None)),
            )
            if count
            else say(
                "{service} uses {memory} of {limit} ({used} %)",
                service=service,
                memory=size_or_unknown(memory),
                limit=size(limit),
                used=used,
            ),
            say(
                "{peak} x 1.25, rounded up to 64M = {proposed}",
                peak=size(min(peak, limit)),
                proposed=size(proposed),
            ),
        ]
        evidence += [
            say("Its process was killed in task {task}", task=text(task, "name"))
            if killed
            else say("Task of this worker: {task}", task=text(task, "name"))
            for task in tasks[:1]
        ]
        evidence += [
            say(
                "Runs of {task} that ended took {mean} on average, {peak} at most",
                task=text(task, "name"),
                mean=size(known(took, "mean")),
                peak=size(known(took, "peak")),
            )
            for task in tasks[:1]
            if (took := look.memory_of(text(task, "name")))
        ]
        if free is not None and proposed - limit > free:
            evidence.append(
                say("The server has only {free} left: a larger server, or fewer slots", free=size(free))
            )
        yield Found(
            service,
            say("The memory limit of {service} is too small", service=service),
            evidence,
            HIGH if count else MEDIUM,
            min(1.0, 0.7 + 0.1 * count) if count else (used or 0) / 100 - 0.5,
            Remedy(
                say(
                    "Raise the memory limit of {service}; a task that needs much more than the others belongs"
                    " into a queue and a worker of its own",
                    service=service,
                ),
                variable=look.variable(service, "memory"),
                current=size(limit),
                proposed=size(proposed),
            ),
        )


def _only_queue(look: Look, service: str) -> str:
    """The queue of a worker that reads a single one."""
    worker: Mapping[str, Any] = next(
        (row for row in rows(look.config, "workers") if row.get("name") == service), {}
    )
    queues = names(worker.get("queues"))
    return queues[0] if len(queues) == 1 else ""


def cpu_quota(look: Look) -> Iterator[Found]:
    """A container of the app wants more CPU than its quota lets it have."""
    for row in look.of_app():
        quota, throttled, cpu = (
            number(row, key) for key in ("quota_cores", "throttled_percent", "cpu_percent")
        )
        service = text(row, "service")
        if not quota or throttled is None or not look.over(throttled, "throttled"):
            continue
        if cpu is not None and not look.over(cpu / quota, "quota_used"):
            continue
        # A container that is stopped in most of its periods wants at least twice as much.
        wanted = math.ceil(4 * quota * (2 if throttled >= 50 else 1.5)) / 4
        proposed = min(wanted, look.cores) if look.cores is not None else wanted
        yield Found(
            service,
            say("The CPU quota slows {service} down", service=service),
            [
                say(
                    "{service} is stopped in {throttled} % of its CPU periods",
                    service=service,
                    throttled=throttled,
                ),
                say("It uses {cpu} % of a core; its quota is {quota} cores", cpu=cpu, quota=quota),
            ],
            HIGH if cpu is not None else MEDIUM,
            throttled / 100,
            Remedy(
                say("Raise or remove the quota: cpus in the compose file, or docker update --cpus"),
                variable=look.variable(service, "cpus"),
                current=quota,
                proposed=proposed,
            ),
        )


def log_flood(look: Look) -> Iterator[Found]:
    """A container writes more than anybody reads, and the log's rotation throws the rest away."""
    for row in look.containers():
        log, service = part(row, "log"), text(row, "service")
        lines, count, size_of_all = (number(log, key) for key in ("per_second", "lines", "bytes"))
        volume = (
            lines * size_of_all / count if lines is not None and size_of_all is not None and count else None
        )
        if not look.over(lines, "log_lines") and not look.over(volume, "log_bytes"):
            continue
        errors = sorted(rows(log, "errors"), key=lambda error: -known(error, "count"))
        evidence = [
            say(
                "{service} writes {lines} lines/s, {volume} kB/s",
                service=service,
                lines=lines,
                volume=None if volume is None else volume / 1000,
            )
        ]
        evidence += [
            say("{count} times: {text}", count=number(error, "count"), text=text(error, "text"))
            for error in errors[:1]
        ]
        yield Found(
            service,
            say("{service} floods its log", service=service),
            evidence,
            HIGH,
            min(1.0, 0.3 + known(log, "per_second") / 1000),
            Remedy(
                say("Log less: the cost is CPU, and what matters is rotated away"),
                app=say("Raise the level of the logger that writes this, or mend the error that repeats"),
            ),
        )


# Of docker stop and of a person's kill: nothing crashed.
_ORDERLY = (0, 130, 143)


def has_crashed(look: Look, row: Any) -> bool:
    """Whether a container ends by itself again and again, or ended within the time looked at."""
    since = known(look.facts, "since_seconds") or look.limits["deploy"]
    started = number(row, "started_seconds_ago")
    rise = look.rise(row, "restarts", "containers", text(row, "id"))
    if text(row, "status") == "restarting" or (rise is not None and rise >= 1):
        return True
    if text(row, "status") in ("exited", "dead"):
        code = number(row, "exit_code")
        return code is not None and code not in _ORDERLY and started is not None and started <= since
    return look.over(number(row, "restarts"), "restarts") and started is not None and started <= since


def container_restarting(look: Look) -> Iterator[Found]:
    """A container of the stack does not stay up."""
    for row in look.containers():
        if not has_crashed(look, row):
            continue
        service = text(row, "service")
        errors = sorted(rows(row, "log", "errors"), key=lambda error: known(error, "seconds_ago"))
        yield Found(
            service,
            say("{service} does not stay up", service=service),
            [
                say(
                    "Container {name} is {status}; restarts: {restarts}; last exit status: {code}",
                    name=text(row, "name"),
                    status=text(row, "status") or None,
                    restarts=number(row, "restarts"),
                    code=number(row, "exit_code"),
                ),
                *(say("Its last error: {text}", text=text(error, "text")) for error in errors[:1]),
            ],
            HIGH if text(row, "status") == "restarting" else MEDIUM,
            0.5,
            Remedy(say("Read why it ends: docker logs {name}", name=text(row, "name"))),
        )


def recent_deploy(look: Look) -> Iterator[Found]:
    """A release went live just before, and since then there are errors, crashes or load of the app."""
    deploy = look.deployed()
    if not deploy:
        return
    ago = known(deploy, "seconds_ago")
    fresh = [
        (text(row, "service"), error)
        for row in look.of_app()
        for error in rows(row, "log", "errors")
        if number(error, "seconds_ago") is not None and known(error, "seconds_ago") < ago
    ]
    count = sum(known(error, "count") for _, error in fresh)
    per_minute = 60 * count / max(60.0, min(ago, known(look.facts, "since_seconds") or ago))
    errors = look.over(count, "error_count") and look.over(per_minute, "error_rate")
    crashed = [text(row, "service") for row in look.of_app() if has_crashed(look, row)]
    app_cpu = sum(known(row, "cpu_percent") for row in look.of_app())
    burns = look.saturated and look.cores is not None and app_cpu >= 50 * look.cores
    failed = text(deploy, "result") not in ("", "deployed")
    if not (errors or crashed or burns):
        return
    previous: Mapping[str, Any] = next(
        (row for row in rows(look.facts, "deploys")[1:] if row.get("result") == "deployed"), {}
    )
    version = text(deploy, "version") or text(deploy, "id")
    evidence = [
        say(
            "Release {version} was deployed {ago} ago by {by}",
            version=version,
            ago=duration(ago),
            by=text(deploy, "by") or None,
        )
    ]
    if failed:
        evidence.append(
            say(
                "The deploy ended as {result}: {reason}",
                result=text(deploy, "result"),
                reason=text(deploy, "reason") or None,
            )
        )
    if errors:
        service, error = max(fresh, key=lambda pair: known(pair[1], "count"))
        evidence.append(
            say(
                "{count} error lines since, most of {service}: {text}",
                count=count,
                service=service,
                text=text(error, "text"),
            )
        )
    if crashed:
        evidence.append(say("Crashed since: {services}", services=", ".join(sorted({*crashed}))))
    if burns:
        evidence.append(say("The app takes {cpu} % of a core", cpu=app_cpu))
    yield Found(
        version,
        say("It began with the deploy of {version}", version=version),
        evidence,
        HIGH if errors and crashed else MEDIUM,
        0.9 if crashed else 0.6 if errors else 0.2,
        Remedy(
            say("Look at the deploy's report: the earlier release serves")
            if failed
            else say("Go back to the earlier release: playbooks/rollback.yml"),
            current=version,
            proposed=text(previous, "version") or None,
        ),
    )
