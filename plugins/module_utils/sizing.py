"""Memory limits and numbers of processes that fit a host (`sizing: auto`), and a limit that would have held.

Three marks for each service: the floor, below which it does not do its work; the guide's limit (G1.8), which
it has on the guide's server, of 4 GiB with the database and the metrics elsewhere; and its share of what is
beyond. A limit grows with the host's memory from mark to mark: more memory never gives a service less.

The floors are what the demo was measured to hold, with room for a larger app: docs/production.md (Sizing) has
both side by side. The AI worker's is half of G1.3, because 350M was too little (G6.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible.module_utils.preflight_proxy import managed
from ansible.module_utils.preflight_values import (
    Problem,
    Settings,
    active_telemetry_roles,
    dicts,
    memory_bytes,
    readable,
    truth,
)
from ansible.module_utils.sizing_connections import (
    connections_at_most,
    fitting,
    most_connections,
    slots,
    sufficient,
    threads,
)

MIB = 2**20
# A new kernel leaves some MiB more or less: the limits shall not follow, for each change restarts a service.
STEP = 64

# MiB that a process has of the guide's limit (600M for 3 of the web service), the least that one needs, and
# what more would be no use: the demo's have 43 (web) and 45 (worker), and their parents 13 and 36.
WEB_PROCESS, WEB_PROCESS_FLOOR, WEB_PROCESS_MOST = 200, 64, 512
WORKER_CHILD_FLOOR, WORKER_PARENT = 64, 64
# PostgreSQL's own advice for shared_buffers, and what it takes beside them: itself, and each connection.
SHARED_BUFFERS_PERCENT = 25
DATABASE_BASE, DATABASE_CONNECTION = 32, 5
# PostgreSQL's default.
MAX_CONNECTIONS = 100
SPARE_CONNECTIONS_PERCENT = 125


@dataclass(frozen=True)
class Part:
    """One limit, in MiB. `share`: per mille of what is beyond the guide; `most`: where growth ends."""

    variable: str
    floor: int
    guide: int
    share: int = 0
    most: int = 64 * 1024
    without: str = ""
    """How to do without it."""


@dataclass(frozen=True)
class Reference:
    """A worker of the guide: MiB at least and by the guide, and how many tasks it runs at once with those."""

    floor: int
    guide: int
    concurrency: int


REFERENCES = {"celery": Reference(192, 512, 2), "celery-ai": Reference(512, 1024, 1)}
SHARE_OF_WORKERS = 300
SHARE_OF_WEB = 150

WEB = Part("app_stack_backend_memory", 192, 600, SHARE_OF_WEB)
APP = (
    Part("app_stack_beat_memory", 96, 200),
    Part("app_stack_rabbitmq_memory", 192, 300, 50, 2048),
)
PROXY = Part("app_stack_proxy_memory", 48, 128, without="proxy: external")
DATABASE = Part("app_stack_database_memory", 192, 256, 200, without="database: external")
FLOWER = Part("app_stack_flower_memory", 128, 200, without="app_stack_flower_enabled: false")
COLLECTOR_FLOOR, COLLECTOR_GUIDE = 128, 256
TELEMETRY: Mapping[str, tuple[Part, ...]] = {
    "cadvisor": (Part("cadvisor_memory", 64, 256, without="cadvisor_enabled: false"),),
    "node_exporter": (Part("node_exporter_memory", 32, 128, without="node_exporter_enabled: false"),),
    "celery_exporter": (Part("celery_exporter_memory", 96, 128, without="celery_exporter_enabled: false"),),
    "postgres_exporter": (
        Part("postgres_exporter_memory", 32, 128, without="postgres_exporter_enabled: false"),
    ),
    "metrics_backend": (
        Part("metrics_backend_memory", 192, 512, 50, 2048, "metrics_destination: grafana_cloud"),
        Part("metrics_backend_alertmanager_memory", 32, 128, without="metrics_destination: grafana_cloud"),
    ),
}


class TooSmall(ValueError):
    """The host does not hold the floors. `least`: bytes that would; `without`: what can be left out."""

    def __init__(self, total: int, least: int, without: list[str]) -> None:
        self.total, self.least, self.without = total, least, without
        super().__init__(f"expected {least // MIB} MiB or more, the host has {total // MIB} MiB")

    def problem(self) -> Problem:
        least = f"{self.least // MIB} MiB"
        remedy = f"use a server with {least} or more"
        if self.without:
            remedy += f", or go without: {', '.join(self.without)}"
        found = f"`auto` needs {least} for the least that each service works with, and the server has"
        return Problem("sizing", f"{found} {self.total // MIB} MiB", remedy)


def plan(host: Mapping[str, int], settings: Settings, explicit: Collection[str] = ()) -> dict[str, Any]:
    """Variable -> value for a host of `memory` bytes and `cores`; what is `explicit` stays and is counted.

    The workers come as the whole list, with the memory and concurrency that an entry lacks. Of the roles' own
    list (not explicit) both are worked out. Raises TooSmall.
    """
    cores = max(1, host["cores"])
    total = host["memory"] // MIB // STEP * STEP
    entries = _entries(settings, explicit)
    parts = _parts(settings, explicit, entries, cores)
    known = _known(settings, explicit, entries, parts)
    fixed = sum(known.values()) + _mebibytes(settings.get("preflight_memory_reserve"))
    fixed += sum(_mebibytes(entry.get("memory")) for entry in dicts(settings.get("app_stack_extra_services")))
    open_parts = [part for part in parts if part.variable not in known]

    least = fixed + sum(part.floor for part in open_parts)
    if least > total:
        raise TooSmall(host["memory"], -(-least // STEP) * STEP * MIB, _without(parts, known))
    second_web = known.get(WEB.variable, parts[0].guide)
    limits = {**known, **_limits(open_parts, total - fixed, second_web)}

    values: dict[str, Any] = {part.variable: f"{limits[part.variable]}M" for part in open_parts}
    values = {name: value for name, value in values.items() if not name.startswith("worker ")}
    if "app_stack_backend_workers" not in explicit:
        values["app_stack_backend_workers"] = min(
            _count(limits[WEB.variable], WEB.guide, WEB.guide // WEB_PROCESS), _most_web_processes(cores)
        )
    values["app_stack_workers"] = [
        _worker(entry, limits[f"worker {entry.get('name', '?')}"], cores) for entry in entries
    ]
    return values | _connections({**settings, **values}, explicit, entries, limits)


def _entries(settings: Settings, explicit: Collection[str]) -> list[dict[str, Any]]:
    """The workers without what is to be worked out."""
    entries = [dict(worker) for worker in dicts(settings.get("app_stack_workers"))]
    asked = {"memory", "concurrency"} if "app_stack_workers" not in explicit else set()
    return [
        {key: value for key, value in entry.items() if key not in asked and value is not None}
        for entry in entries
    ]


def _parts(
    settings: Settings, explicit: Collection[str], entries: list[dict[str, Any]], cores: int
) -> list[Part]:
    """Every limit of the host, the web service's first, with marks that suit the processes asked for."""
    stated = threads(settings)[0] if "app_stack_backend_workers" in explicit else 0
    web = replace(
        WEB,
        floor=max(WEB.floor, stated * WEB_PROCESS_FLOOR),
        guide=max(WEB.guide, stated * WEB_PROCESS),
        most=max(WEB.guide, stated * WEB_PROCESS, WEB_PROCESS_MOST * _most_web_processes(cores)),
    )
    parts = [web, *APP, *_worker_parts(entries, cores)]
    if managed(settings):
        parts.append(PROXY)
    if settings.get("database") == "embedded":
        parts.append(DATABASE)
    if truth(settings.get("app_stack_flower_enabled", False)):
        parts.append(FLOWER)
    for role in active_telemetry_roles(settings):
        parts.extend(TELEMETRY.get(role) or [_collector(role, settings)])
    return parts


def _collector(role: str, settings: Settings) -> Part:
    """Its limit cannot be below what it reserves."""
    reserved = _mebibytes(settings.get(f"{role}_memory_reservation"))
    return Part(f"{role}_memory", max(COLLECTOR_FLOOR, reserved), max(COLLECTOR_GUIDE, reserved))


def _worker_parts(entries: list[dict[str, Any]], cores: int) -> list[Part]:
    references = [reference(entry) for entry in entries]
    weight = sum(entry.guide for entry in references)
    parts = []
    for index, (entry, own) in enumerate(zip(entries, references)):  # noqa: B905
        child = own.guide // own.concurrency
        # Children take memory each; threads and greenlets share that of one process.
        forks = str(entry.get("pool", "prefork")) == "prefork"
        asked = slots(entry) if "concurrency" in entry and forks else 0
        name = str(entry.get("name", "?"))
        floor = max(own.floor, WORKER_PARENT + asked * WORKER_CHILD_FLOOR)
        guide = max(own.guide, asked * child)
        parts.append(
            Part(
                f"worker {name}",
                floor,
                guide,
                SHARE_OF_WORKERS * own.guide // weight,
                max(guide, 2 * child * max(own.concurrency, cores)),
                without=f"the worker {name}, its queues given to another" if index else "",
            )
        )
    return parts


def reference(worker: Mapping[str, Any]) -> Reference:
    """The worker of the guide that has this one's name; any other is like `celery`."""
    return REFERENCES.get(str(worker.get("name")), REFERENCES["celery"])


def _known(
    settings: Settings, explicit: Collection[str], entries: list[dict[str, Any]], parts: list[Part]
) -> dict[str, int]:
    """MiB of the limits that the inventory states."""
    stated = {part.variable: settings.get(part.variable) for part in parts if part.variable in explicit}
    stated.update({f"worker {e.get('name', '?')}": e["memory"] for e in entries if "memory" in e})
    return {variable: _mebibytes(text) for variable, text in stated.items()}


def _without(parts: list[Part], known: Mapping[str, int]) -> list[str]:
    """What can be left out, and the MiB that it takes at least."""
    spared: dict[str, int] = {}
    for part in parts:
        if part.without:
            spared[part.without] = spared.get(part.without, 0) + known.get(part.variable, part.floor)
    return [f"{how} ({mebibytes} MiB)" for how, mebibytes in spared.items()]


def _mebibytes(text: object) -> int:
    """Rounded up. What is no size has a refusal of its own, and counts nothing."""
    return -(-(memory_bytes(text) or 0) // MIB)


def _limits(parts: list[Part], room: int, second_web: int) -> dict[str, int]:
    """MiB of each part; `room`, which holds the floors, is what they have together."""
    above = room - sum(part.floor for part in parts)
    wanted = sum(part.guide - part.floor for part in parts)
    if above < wanted:
        return {part.variable: part.floor + (part.guide - part.floor) * above // wanted for part in parts}
    # First comes room for the second web container of a rollout; as that grows, its share counts twice.
    beyond = max(0, above - wanted - second_web)
    return {part.variable: min(part.most, part.guide + part.share * beyond // 1000) for part in parts}


def _most_web_processes(cores: int) -> int:
    """gunicorn's own advice, and not fewer than the guide's (G1.1)."""
    return max(3, 2 * cores + 1)


def _count(mebibytes: int, guide: int, number: int) -> int:
    """Processes for a limit, where the guide's limit is for a number of them.

    One more must fit in full, but a server a little smaller than the guide's does not lose one.
    """
    if mebibytes < guide:
        return max(1, (2 * mebibytes * number + guide) // (2 * guide))
    return mebibytes * number // guide


def _worker(entry: dict[str, Any], mebibytes: int, cores: int) -> dict[str, Any]:
    own = reference(entry)
    if str(entry.get("pool", "prefork")) == "solo":
        concurrency = 1
    else:
        concurrency = min(_count(mebibytes, own.guide, own.concurrency), max(own.concurrency, cores))
    return {"concurrency": concurrency, "memory": f"{mebibytes}M", **entry}


def _connections(
    settings: dict[str, Any],
    explicit: Collection[str],
    entries: list[dict[str, Any]],
    limits: Mapping[str, int],
) -> dict[str, Any]:
    """Room for all connections in an embedded database; where its room is stated, fewer processes."""
    values: dict[str, Any] = {}
    embedded = settings.get("database") == "embedded"
    if embedded and "app_stack_database_shared_buffers" not in explicit:
        buffers = limits["app_stack_database_memory"] * SHARED_BUFFERS_PERCENT // 100
        values["app_stack_database_shared_buffers"] = f"{max(1, buffers)}M"
    if embedded and "app_stack_database_max_connections" not in explicit:
        wanted = connections_at_most(settings)["at_most"] * SPARE_CONNECTIONS_PERCENT // 100
        return {**values, "app_stack_database_max_connections": max(MAX_CONNECTIONS, sufficient(wanted))}
    limit = most_connections(settings)
    if limit is None:
        return values
    stated = {str(entry.get("name")) for entry in entries if "concurrency" in entry} | {*explicit}
    stated.add("app_stack_backend_threads")
    return {**values, **fitting(settings, limit, stated)["settings"]}


def summary(host: Mapping[str, int], values: Mapping[str, Any]) -> str:
    """What was worked out, on lines that a plan of a deploy shows."""
    shown = {name: value for name, value in values.items() if name != "app_stack_workers"}
    for worker in values["app_stack_workers"]:
        shown[f"app_stack_workers[{worker.get('name', '?')}]"] = (
            f"{worker['memory']} x{worker['concurrency']}"
        )
    lines = [f"  {name}: {value}" for name, value in shown.items()]
    return "\n".join([f"sizing of {readable(host['memory'])} and {host['cores']} cores", *lines])
