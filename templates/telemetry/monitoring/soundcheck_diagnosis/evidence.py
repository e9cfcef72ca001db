"""What rules ask of the facts, whatever of them could not be learnt, and the arithmetic of remedies."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from soundcheck_diagnosis import thresholds

MEBIBYTE = 1024 * 1024
ROOM = 1.25
"""A limit that would have held: the peak and a quarter."""
STEP = 64 * MEBIBYTE
FEWEST_SECONDS = 2.0
"""Between two looks at a counter; a shorter time makes a rate of chance."""
# Of Celery itself: to be inspected, to hear each other, for results, for tasks that wait for their time.
OWN_QUEUES = ("*.pidbox", "celeryev.*", "amq.*", "celery_delayed_*", "????????-????-????-????-????????????")


def number(row: Mapping[str, Any], key: str) -> float | None:
    """A figure, or None where it could not be learnt."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def known(row: Mapping[str, Any], key: str) -> float:
    """A figure for sums and comparisons with a least value: the unknown adds nothing to them."""
    return number(row, key) or 0.0


def text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def part(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """A mapping below `document`; empty where it is missing or null."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def rows(document: Mapping[str, Any], *path: str) -> list[Mapping[str, Any]]:
    """A list of mappings below `document`; empty where it is missing or null."""
    found = part(document, *path[:-1]).get(path[-1])
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def names(value: Any) -> list[str]:
    """The texts of a list, or none."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def size(count: float) -> str:
    """As the variables of this project have it: 448M."""
    return f"{count / MEBIBYTE:.0f}M"


def size_or_unknown(count: float | None) -> str | None:
    return None if count is None else size(count)


def megabytes(count: float | None) -> float | None:
    return None if count is None else count / 1e6


def duration(seconds: float | None) -> str | None:
    """Short, and the same in every language."""
    if seconds is None:
        return None
    for unit, of_unit in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * of_unit:
            return f"{seconds / of_unit:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def limit_that_holds(peak: float) -> int:
    """The peak and a quarter, rounded up to 64M."""
    return math.ceil(peak * ROOM / STEP) * STEP


def quoted(identifier: str) -> str:
    """A name of SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text of SQL."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Look:
    """The facts of one moment beside the configuration and the earlier look."""

    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    limits: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def at(cls, facts: Mapping[str, Any], config: Mapping[str, Any]) -> Look:
        return cls(facts, config, thresholds.of(config))

    def over(self, value: float | None, threshold: str) -> bool:
        """Whether a figure reaches its threshold; the unknown does not."""
        return value is not None and value >= self.limits[threshold]

    # The server

    @property
    def cores(self) -> float | None:
        return number(part(self.facts, "server"), "cores")

    @property
    def busy(self) -> float | None:
        return number(part(self.facts, "server"), "busy_percent")

    @property
    def saturated(self) -> bool:
        """Busy now, and for longer than a burst: by the kernel's average of ten seconds, else of a minute."""
        server = part(self.facts, "server")
        pressure = number(part(server, "pressure", "cpu"), "some")
        load = server.get("load")
        latest = load[0] if isinstance(load, list) and load else None
        if pressure is not None:
            lasting = self.over(pressure, "cpu_pressure")
        elif isinstance(latest, int | float) and self.cores:
            lasting = self.over(latest / self.cores, "load_per_core")
        else:
            lasting = True
        return lasting and self.over(self.busy, "cpu_busy")

    # Containers

    def containers(self) -> list[Mapping[str, Any]]:
        return rows(self.facts, "containers")

    def of_app(self) -> list[Mapping[str, Any]]:
        return [row for row in self.containers() if row.get("project") == self.config.get("app_project")]

    def cpu_of(self, service: str) -> float:
        """Percent of a core that all containers of a service take."""
        return sum(known(row, "cpu_percent") for row in self.containers() if row.get("service") == service)

    def replicas(self, service: str) -> int:
        """Running containers of a service, in a rollout the old and the new ones; one where none is seen."""
        own = [row for row in self.containers() if row.get("service") == service]
        running = [row for row in own if row.get("status") == "running"]
        return max(1, len(running))

    def top_processes(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """(container, process) by CPU, the hungriest first."""
        found = [(row, process) for row in self.containers() for process in rows(row, "processes")]
        return sorted(found, key=lambda pair: -known(pair[1], "cpu_percent"))

    # The earlier look

    @property
    def elapsed(self) -> float | None:
        """Seconds since the earlier look, where rates can be made of it."""
        seconds = number(part(self.facts, "before"), "seconds_ago")
        return seconds if seconds is not None and seconds >= FEWEST_SECONDS else None

    def rise(self, row: Mapping[str, Any], key: str, *path: str) -> float | None:
        """How much a counter rose since the earlier look at `path`; one that fell began anew."""
        now, then = number(row, key), number(part(self.facts, "before", *path), key)
        if now is None or then is None or self.elapsed is None:
            return None
        return now - then if now >= then else now

    def per_second(self, row: Mapping[str, Any], key: str, *path: str) -> float | None:
        rise = self.rise(row, key, *path)
        return None if rise is None or self.elapsed is None else rise / self.elapsed

    # Celery

    def runs_per_second(self) -> float:
        """Runs of all tasks since the earlier look, as far as both looks know them."""
        rises = (
            self.per_second(kind, "started", "kinds", text(kind, "name"))
            for kind in rows(self.facts, "tasks", "kinds")
        )
        return sum(rise for rise in rises if rise is not None)

    def running(self, worker: str = "") -> list[Mapping[str, Any]]:
        """Tasks that run now, the longest first."""
        found = [
            row
            for row in rows(self.facts, "tasks", "running")
            if not worker or is_worker(text(row, "worker"), worker)
        ]
        return sorted(found, key=lambda row: -known(row, "seconds"))

    def killed(self, worker: str) -> list[Mapping[str, Any]]:
        """Tasks that ended with their process, the one that began last first; when, nobody wrote."""
        return [row for row in rows(self.facts, "tasks", "killed") if text(row, "worker") == worker]

    def memory_of(self, task: str) -> Mapping[str, Any]:
        """What runs of a kind of task took; empty where it is not known."""
        kinds = rows(self.facts, "tasks", "memory")
        return next((row for row in kinds if text(row, "name") == task), {})

    def workers_of(self, queue: str) -> list[Mapping[str, Any]]:
        """Configured workers that list a queue."""
        return [row for row in rows(self.config, "workers") if queue in names(row.get("queues"))]

    def answered(self, worker: str) -> list[Mapping[str, Any]]:
        return [row for row in rows(self.facts, "tasks", "workers") if is_worker(text(row, "name"), worker)]

    def queue_of(self, task: str) -> str:
        """Where the routes send a task: the first key that matches, as Celery reads them."""
        routes = part(self.config, "routes")
        for key in sorted(routes, key=lambda key: "*" in key):
            if fnmatch.fnmatchcase(task, key):
                return text(part(routes, key), "queue") or text(self.config, "default_queue")
        return text(self.config, "default_queue")

    def kinds_of(self, queue: str) -> list[Mapping[str, Any]]:
        return [
            row for row in rows(self.facts, "tasks", "kinds") if self.queue_of(text(row, "name")) == queue
        ]

    def misrouted(self) -> Iterator[tuple[str, str]]:
        """(route key, registered name): the key names a task that is registered under a longer name (T6)."""
        registered = [text(row, "name") for row in rows(self.facts, "tasks", "kinds")]
        for key in part(self.config, "routes"):
            package, _, task = key.rpartition(".")
            if "*" in key or key in registered:
                continue
            for name in registered:
                if name.startswith(f"{package}.") and name.endswith(f".{task}"):
                    yield key, name

    # The database

    def connections(self, *states: str) -> list[Mapping[str, Any]]:
        found = rows(self.facts, "database", "connections")
        return [row for row in found if not states or text(row, "state").startswith(states)]

    def connections_at_most(self) -> float | None:
        """What the settings let the app open: one of each web thread, of each worker's slot, and of beat."""
        web = part(self.config, "web")
        workers, threads = number(web, "workers"), number(web, "threads")
        if workers is None or threads is None:
            return None
        slots = sum(
            known(row, "concurrency") * self.replicas(text(row, "name"))
            for row in rows(self.config, "workers")
        )
        return workers * threads * self.replicas(text(web, "service")) + slots + 1

    def connections_free(self) -> float | None:
        """What PostgreSQL gives to everybody but its superuser."""
        database = part(self.facts, "database")
        most = number(database, "max_connections")
        return None if most is None else most - known(database, "reserved")

    # Deploys

    def deployed(self, within: str = "deploy") -> Mapping[str, Any]:
        """The newest release if it is younger than a threshold and not the first one; else nothing."""
        deploys = rows(self.facts, "deploys")
        ago = number(deploys[0], "seconds_ago") if deploys else None
        return deploys[0] if len(deploys) > 1 and ago is not None and ago <= self.limits[within] else {}

    def variable(self, service: str, setting: str, otherwise: str = "") -> str:
        """The variable of this project that sets something of a service."""
        return text(part(self.config, "variables", service), setting) or otherwise


def is_worker(node: str, worker: str) -> bool:
    """Whether a node's name is that of a worker's service, scaled ones included."""
    name = node.partition("@")[2] or node
    return name == worker or fnmatch.fnmatchcase(name, f"{worker}-[0-9]*")


def own_queue(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in OWN_QUEUES)
