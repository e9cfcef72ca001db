"""How many connections to the database the settings can open at most, and settings that open fewer (G6.3).

Django keeps a connection for each thread that asked its database: with `CONN_MAX_AGE` above 0 it stays open
between two requests, with 0 it is there during one. At most there are as many in either case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible.module_utils.preflight_values import Settings, dicts, integer, truth

# PostgreSQL's superuser_reserved_connections, which the app's role cannot have.
RESERVED = 3
# A rollout starts the new web containers beside the old; workers end before their successors start, and the
# jobs before the new web containers start.
WEB_IN_ROLLOUT = 2
# postgres-exporter has one for its queries and one for those of its collectors.
OF_EXPORTER = 2
# A psql, or a diagnosis, must still get in.
OF_PEOPLE = 1
WEB = "backend"


def threads(settings: Settings) -> tuple[int, int]:
    """Processes of the web service, and threads of each."""
    return (
        max(1, integer(settings.get("app_stack_backend_workers", 1)) or 1),
        max(1, integer(settings.get("app_stack_backend_threads", 1)) or 1),
    )


def slots(worker: Mapping[str, Any]) -> int:
    """Tasks that a worker runs at once: children of prefork, threads, or greenlets; `solo` has one."""
    if str(worker.get("pool", "prefork")) == "solo":
        return 1
    return max(1, integer(worker.get("concurrency", 1)) or 1)


def connections_at_most(settings: Settings) -> dict[str, Any]:
    """`services`: connections of each, `rollout`: those that a rollout adds, `at_most`: their sum."""
    processes, each = threads(settings)
    services = {WEB: processes * each}
    services.update({str(w.get("name", "?")): slots(w) for w in dicts(settings.get("app_stack_workers"))})
    services["celery-beat"] = 1
    services.update({str(s.get("name", "?")): 1 for s in dicts(settings.get("app_stack_extra_services"))})
    if truth(settings.get("postgres_exporter_enabled", True)):
        services["postgres-exporter"] = OF_EXPORTER
    services["administration"] = OF_PEOPLE
    rollout = (WEB_IN_ROLLOUT - 1) * services[WEB]
    return {"services": services, "rollout": rollout, "at_most": sum(services.values()) + rollout}


def most_connections(settings: Settings) -> int | None:
    """The database's max_connections; None where it is not known."""
    return integer(settings.get("app_stack_database_max_connections")) or None


def sufficient(at_most: int) -> int:
    """A max_connections for that many, rounded up to ten."""
    return -(-(at_most + RESERVED) // 10) * 10


def arithmetic(settings: Settings) -> str:
    """The sum as a sentence."""
    found = connections_at_most(settings)
    processes, each = threads(settings)
    web = f"{WEB} {processes} workers x {each} threads, twice during a rollout"
    others = [f"{name} {number}" for name, number in found["services"].items() if name != WEB]
    return f"{found['at_most']} = {web}, {', '.join(others)}"


def connection_budget(settings: Settings) -> dict[str, Any]:
    """What `connections_at_most` finds, as a `sentence`, and what is `fitting` where the maximum is known."""
    limit = most_connections(settings)
    return {
        **connections_at_most(settings),
        "sentence": arithmetic(settings),
        "fitting": fitting(settings, limit) if limit else None,
    }


def fitting(settings: Settings, limit: int, fixed: Collection[str] = ()) -> dict[str, Any]:
    """Settings that stay within a max_connections: the largest number is lowered until the sum fits.

    `fixed` names what must stay: `app_stack_backend_workers`, `app_stack_backend_threads`, or a worker.
    Returns `settings` (variable to its value), whether they `fit`, and the arithmetic as `sentence`.
    """
    room = limit - RESERVED
    changed = {**settings, "app_stack_workers": [dict(w) for w in dicts(settings.get("app_stack_workers"))]}
    while connections_at_most(changed)["at_most"] > room and _lower_largest(changed, fixed):
        pass
    fits = connections_at_most(changed)["at_most"] <= room
    sentence = f"{arithmetic(changed)}; max_connections {limit} leaves {room}"
    if not fits:
        sentence += f", too few even so: {sufficient(connections_at_most(changed)['at_most'])} would do"
    names = ("app_stack_backend_workers", "app_stack_backend_threads", "app_stack_workers")
    return {
        "settings": {name: changed[name] for name in names if changed.get(name) != settings.get(name)},
        "fit": fits,
        "sentence": sentence,
    }


def _lower_largest(settings: dict[str, Any], fixed: Collection[str]) -> bool:
    """Take one from what opens most. False when nothing can go lower."""
    processes, each = threads(settings)
    web = {"app_stack_backend_threads": each, "app_stack_backend_workers": processes}
    # Threads go first: the memory is there for the processes.
    variable = next((name for name, value in web.items() if value > 1 and name not in fixed), "")
    workers = [w for w in settings["app_stack_workers"] if slots(w) > 1 and str(w.get("name")) not in fixed]
    largest = max(workers, key=slots, default=None)
    if variable and (largest is None or WEB_IN_ROLLOUT * processes * each >= slots(largest)):
        settings[variable] = web[variable] - 1
    elif largest is not None:
        largest["concurrency"] = slots(largest) - 1
    else:
        return False
    return True
