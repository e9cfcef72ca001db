"""Limits and numbers of processes against each other: what a worker lacks, and what connections come to."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.preflight_host import limits
from ansible.module_utils.preflight_values import (
    Problem,
    Settings,
    Survey,
    dicts,
    integer,
    memory_bytes,
    readable,
    truth,
)
from ansible.module_utils.sizing import (
    DATABASE_BASE,
    DATABASE_CONNECTION,
    MIB,
    WEB_PROCESS_FLOOR,
    WORKER_CHILD_FLOOR,
    WORKER_PARENT,
)
from ansible.module_utils.sizing_connections import (
    RESERVED,
    arithmetic,
    connections_at_most,
    fitting,
    most_connections,
    slots,
    sufficient,
    threads,
)

# Below this part of the memory, limits are those of another server.
WASTE_PERCENT = 50


def automatic(settings: Settings) -> bool:
    return settings.get("sizing") == "auto"


def workers(settings: Settings) -> Iterator[Problem]:
    """What a worker does not state, `auto` works out; without it somebody has to."""
    if automatic(settings):
        return
    for index, worker in enumerate(dicts(settings.get("app_stack_workers"))):
        for key, example in (("memory", "512M"), ("concurrency", "2")):
            if worker.get(key) is None:
                remedy = f"set it, such as {example}, or let `sizing: auto` work it out"
                yield Problem(f"app_stack_workers[{index}].{key}", "is missing", remedy)


def database(settings: Settings) -> Iterator[Problem]:
    """What PostgreSQL would not start with."""
    number = integer(settings.get("app_stack_database_max_connections"))
    embedded = settings.get("database") == "embedded"
    least = sufficient(0) if embedded else 0
    if number is not None and number < least:
        remedy = (
            f"set it to {least} or more" if embedded else "set it to that of the server, or to 0, not known"
        )
        yield Problem("app_stack_database_max_connections", str(number), remedy)
    limit = memory_bytes(settings.get("app_stack_database_memory"))
    buffers = memory_bytes(settings.get("app_stack_database_shared_buffers"))
    if embedded and limit and buffers and buffers >= limit:
        found = f"{readable(buffers)} of a memory limit of {readable(limit)} (app_stack_database_memory)"
        yield Problem("app_stack_database_shared_buffers", found, "a quarter of the limit is usual")


def connections(settings: Settings) -> Iterator[Problem]:
    """G6.3: told before the database refuses the one too many."""
    limit = most_connections(settings)
    at_most = connections_at_most(settings)["at_most"]
    if limit is None or at_most <= limit - RESERVED:
        return
    found = f"{limit}, of which {RESERVED} are reserved, and the app opens up to {arithmetic(settings)}"
    fit = fitting(settings, limit)
    remedy = f"{sufficient(at_most)} would do"
    if fit["fit"]:
        remedy += f", or {'; '.join(_lowered(fit['settings']))}"
    yield Problem("app_stack_database_max_connections", found, remedy)


def _lowered(settings: Settings) -> Iterator[str]:
    for name, value in settings.items():
        if name == "app_stack_workers":
            numbers = ", ".join(f"{worker.get('name', '?')} {slots(worker)}" for worker in dicts(value))
            yield f"a concurrency of {numbers}"
        else:
            yield f"{name}: {value}"


def processes(settings: Settings) -> Iterator[Problem]:
    """A limit that its processes cannot live with, whatever they do."""
    number, _ = threads(settings)
    yield from _crowded("app_stack_backend_memory", settings.get("app_stack_backend_memory"), number, 0)
    for worker in dicts(settings.get("app_stack_workers")):
        if str(worker.get("pool", "prefork")) == "prefork":
            variable = f"app_stack_workers[{worker.get('name', '?')}].memory"
            yield from _crowded(variable, worker.get("memory"), slots(worker), WORKER_PARENT)


def _crowded(variable: str, limit: object, number: int, parent: int) -> Iterator[Problem]:
    size = memory_bytes(limit)
    floor = WORKER_CHILD_FLOOR if parent else WEB_PROCESS_FLOOR
    needed = (parent + number * floor) * MIB
    if size and size < needed:
        found = f"{readable(size)} for {number} processes, which are {floor} MiB each"
        found += f" and {parent} MiB of their parent" if parent else ""
        yield Problem(variable, f"{found}, at least", f"set it to {needed // MIB}M or more, or run fewer")


def database_memory(settings: Settings) -> Iterator[Problem]:
    limit = memory_bytes(settings.get("app_stack_database_memory"))
    buffers = memory_bytes(settings.get("app_stack_database_shared_buffers"))
    if settings.get("database") != "embedded" or limit is None or buffers is None:
        return
    at_most = connections_at_most(settings)["at_most"]
    needed = buffers + (DATABASE_BASE + at_most * DATABASE_CONNECTION) * MIB
    if needed > limit:
        found = f"{readable(limit)}, and {at_most} connections of {DATABASE_CONNECTION} MiB beside"
        found += f" {readable(buffers)} (app_stack_database_shared_buffers) come to {readable(needed)}"
        remedy = f"set it to {-(-needed // MIB)}M or more, or open fewer"
        yield Problem("app_stack_database_memory", found, remedy)


def waste(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """On a server of production; a computer at home has other uses."""
    total, sum_of_limits = survey.get("memory", {}).get("total", 0), sum(limits(settings).values())
    if not truth(settings.get("preflight_production")) or automatic(settings):
        return
    if sum_of_limits * 100 < total * WASTE_PERCENT:
        found = f"they sum up to {readable(sum_of_limits)} on a server with {readable(total)}"
        yield Problem("memory limits", found, "raise them, or let `sizing: auto` fit them to the server")


CHECKS = (workers, database)
WARNINGS = (connections, processes, database_memory)
