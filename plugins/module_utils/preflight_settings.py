"""Refusals that the settings alone justify: workers, sizes, routes, secrets, addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.preflight_proxy import managed, tls_domain
from ansible.module_utils.preflight_values import (
    Problem,
    Settings,
    dicts,
    integer,
    memory_bytes,
    seconds,
    truth,
)

# Services of the app project that are not workers: a worker of the same name would replace one.
RESERVED = {
    "backend",
    "celery-beat",
    "rabbitmq",
    "postgres",
    "flower",
    "check",
    "statements",
    "migrate",
    "proxy",
}
# Pools that end a task at its time limit.
LIMITING_POOLS = {"prefork", "gevent"}
# RabbitMQ's consumer_timeout, unless its configuration says otherwise.
UNACKNOWLEDGED_SECONDS = 1800
AT_LEAST_ONE = (
    "app_stack_backend_workers",
    "app_stack_backend_threads",
    "app_stack_backend_max_requests",
    "app_stack_log_max_file",
    "app_stack_proxy_try_seconds",
    "app_stack_start_timeout",
    "telemetry_start_timeout",
    "metric_catalogue_beat_period",
    "metric_catalogue_evaluation_interval",
    "grafana_cloud_active_series_limit",
    "grafana_cloud_included_dpm",
)
DURATIONS = {
    "scrape_interval": "60s",
    "metric_catalogue_window": "5m",
    "metric_catalogue_task_failure_window": "30m",
}
PLACEHOLDER = re.compile(
    r"(change|replace)[-_ ]?me.*|password\d*|passwd|secret|example|todo|test|guest|admin|x{3,}|\.{3,}|<.*>",
    re.IGNORECASE,
)
VAULT_FILE = "the vault file of the inventory (group_vars/all/vault.yml)"
TLS_MODES = {"require", "verify-ca", "verify-full"}


def workers(settings: Settings) -> Iterator[Problem]:
    """Names once, at least one queue, at least one process."""
    entries = dicts(settings.get("app_stack_workers"))
    if isinstance(settings.get("app_stack_workers"), list) and not entries:
        yield Problem("app_stack_workers", "an empty list", "name at least one worker")
    for index, worker in enumerate(entries):
        path = f"app_stack_workers[{index}]"
        queues = worker.get("queues")
        if isinstance(queues, list) and not [queue for queue in queues if str(queue).strip()]:
            remedy = "name at least one queue: without one a worker consumes the queue `celery` alone (T5)"
            yield Problem(f"{path}.queues", f"worker {worker.get('name', '?')} names no queue", remedy)
        concurrency = integer(worker.get("concurrency", 1))
        if concurrency is not None and concurrency < 1:
            yield Problem(f"{path}.concurrency", str(concurrency), "set it to 1 or more")
        yield from _worker_times(path, worker, settings.get("app_stack_worker_stop_seconds"))
        yield from _service_name(f"{path}.name", worker.get("name"))
    extra = dicts(settings.get("app_stack_extra_services"))
    for index, service in enumerate(extra):
        yield from _service_name(f"app_stack_extra_services[{index}].name", service.get("name"))
    names = Counter(str(entry["name"]) for entry in [*entries, *extra] if "name" in entry)
    for name, times in names.items():
        if times > 1:
            variable = "app_stack_workers" if any(w.get("name") == name for w in entries) else ""
            yield Problem(
                variable or "app_stack_extra_services",
                f"{times} services are named `{name}`",
                "give each its own name",
            )


def _worker_times(path: str, worker: Mapping[str, Any], default_stop: object) -> Iterator[Problem]:
    """A worker that is stopped must have the time that its tasks may take."""
    stop = integer(worker.get("stop_seconds", default_stop))
    limit = integer(worker.get("time_limit", 0))
    if limit is not None and limit < 0:
        yield Problem(f"{path}.time_limit", str(limit), "set it to 0, for none, or more")
    elif limit and str(worker.get("pool", "prefork")) not in LIMITING_POOLS:
        found = f"{limit}, and Celery's pool {worker['pool']} ends no task"
        yield Problem(f"{path}.time_limit", found, f"remove it, or use {_listed(LIMITING_POOLS)}")
    if limit and truth(worker.get("acks_late", False)) and limit > UNACKNOWLEDGED_SECONDS:
        found = f"{limit}, and RabbitMQ gives a task to another worker after {UNACKNOWLEDGED_SECONDS} s"
        remedy = f"set it to {UNACKNOWLEDGED_SECONDS} or less, or acks_late to false"
        yield Problem(f"{path}.time_limit", f"{found} without its acknowledgement", remedy)
    if stop is not None and stop < 1:
        yield Problem(f"{path}.stop_seconds", str(stop), "set it to 1 or more")
    elif stop is not None and limit is not None and stop < limit:
        found = f"{stop} s, but its tasks may take {limit} s (time_limit): a deploy would kill them"
        yield Problem(f"{path}.stop_seconds", found, f"set it to {limit} or more")


def _service_name(variable: str, name: object) -> Iterator[Problem]:
    if name is None:
        return
    if str(name) in RESERVED:
        yield Problem(variable, f"`{name}` is a service of the app project", "choose another name")
    elif not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", str(name)):
        remedy = "use lower-case letters, digits and `-`: it becomes a service and a host name"
        yield Problem(variable, f"`{name}`", remedy)


SIZES = (
    *("_memory", "_memory_reservation", "_memory_reserve", "_shared_buffers"),
    *("_disk_minimum", "_disk_free_limit"),
)


def sizes(settings: Settings) -> Iterator[Problem]:
    """Every memory limit is a number with a unit."""
    values = {name: value for name, value in settings.items() if name.endswith(SIZES)}
    for variable in ("app_stack_workers", "app_stack_extra_services"):
        for index, entry in enumerate(dicts(settings.get(variable))):
            if entry.get("memory") is not None:
                values[f"{variable}[{index}].memory"] = entry["memory"]
    for variable, value in values.items():
        if memory_bytes(value) is None:
            yield Problem(variable, f"`{value}`", "write a whole number with K, M or G, such as 512M")


def numbers(settings: Settings) -> Iterator[Problem]:
    for variable in AT_LEAST_ONE:
        number = integer(settings.get(variable, 1))
        if number is not None and number < 1:
            yield Problem(variable, str(number), "set it to 1 or more")
    for variable, example in DURATIONS.items():
        duration = settings.get(variable)
        if duration is not None and seconds(duration) is None:
            yield Problem(variable, f"`{duration}`", f"write a duration such as {example}")


def rate_window(settings: Settings) -> Iterator[Problem]:
    """A rate over fewer scrapes is empty whenever one of them is late."""
    interval, window = settings.get("scrape_interval"), settings.get("metric_catalogue_window")
    least, length = 4 * (seconds(interval) or 0), seconds(window)
    if length is not None and length < least:
        found = f"{window} holds fewer than four scrapes, which are {interval} apart (scrape_interval)"
        yield Problem("metric_catalogue_window", found, f"set it to {least}s or more")


def routes(settings: Settings) -> Iterator[Problem]:
    """T5: a queue that no worker consumes fills up unread."""
    entries = dicts(settings.get("app_stack_workers"))
    consumed = {
        str(queue)
        for worker in entries
        if isinstance(worker.get("queues"), list)
        for queue in worker["queues"]
    }
    if not consumed:
        return
    remedy = f"add it to the queues of a worker in app_stack_workers, which consume {_listed(consumed)}"
    table = settings.get("app_stack_task_routes")
    for task, route in (table if isinstance(table, Mapping) else {}).items():
        variable = f"app_stack_task_routes[{task}]"
        queue = route.get("queue") if isinstance(route, Mapping) else route
        if not queue:
            yield Problem(variable, "no queue", "write {queue: <name>}")
        elif str(queue) not in consumed:
            yield Problem(variable, f"no worker consumes the queue `{queue}` (T5)", remedy)
    default = settings.get("app_stack_default_queue")
    if default is not None and str(default) not in consumed:
        yield Problem("app_stack_default_queue", f"no worker consumes the queue `{default}` (T5)", remedy)


def secrets(settings: Settings) -> Iterator[Problem]:
    """Missing, empty, placeholder or short secrets. Their values never become part of a message."""
    embedded = settings.get("metrics_destination") == "embedded"
    minimum = integer(settings.get("preflight_secret_length")) or 12
    for variable in required_secrets(settings):
        value = str(settings.get(variable, ""))
        if (problem := absent_secret(settings, variable)) is not None:
            yield problem
        elif len(value) < minimum:
            yield Problem(
                variable,
                f"has {len(value)} characters",
                f"use {minimum} or more (preflight_secret_length), in {VAULT_FILE}",
            )
        elif "'" in value or "\n" in value:
            yield Problem(
                variable,
                "holds a single quote or a line break, which an env file cannot hold",
                "choose another one",
            )
        elif embedded and variable.startswith("vault_metrics_") and len(value.encode()) > 72:
            yield Problem(
                variable, f"has {len(value.encode())} bytes", "use 72 or fewer, the limit of bcrypt"
            )


def absent_secret(settings: Settings, variable: str) -> Problem | None:
    """What a secret is if it is none yet."""
    if variable not in settings:
        return Problem(variable, "is not set", f"set it in {VAULT_FILE}")
    if isinstance(settings[variable], Mapping | list | tuple):
        return Problem(variable, "is no text", f"write it in quotes, in {VAULT_FILE}")
    value = str(settings[variable] if settings[variable] is not None else "").strip()
    if not value:
        return Problem(variable, "is empty", f"set it in {VAULT_FILE}")
    if PLACEHOLDER.fullmatch(value):
        return Problem(variable, "is still a placeholder", f"set a real one in {VAULT_FILE}")
    return None


def required_secrets(settings: Settings) -> list[str]:
    names = ["vault_django_secret_key", "vault_database_password", "vault_rabbitmq_password"]
    if truth(settings.get("app_stack_flower_enabled", False)):
        names.append("vault_flower_password")
    return [*names, "vault_metrics_write_password", "vault_metrics_read_password"]


def database(settings: Settings) -> Iterator[Problem]:
    if settings.get("database") != "external":
        return
    host = settings.get("app_stack_database_host")
    if not host or host == "postgres":
        yield Problem(
            "app_stack_database_host",
            f"`{host or ''}` although database is external",
            "set the host name of the database server",
        )
    mode = settings.get("app_stack_database_sslmode")
    if truth(settings.get("preflight_production")) and mode not in TLS_MODES:
        yield Problem(
            "app_stack_database_sslmode",
            f"`{mode or ''}` lets the connection to an external database go without TLS",
            f"set it to one of {_listed(TLS_MODES)}",
        )


def grafana_cloud(settings: Settings) -> Iterator[Problem]:
    if settings.get("metrics_destination") != "grafana_cloud":
        return
    account = settings.get("grafana_cloud")
    if account is None or account == {}:
        remedy = (
            "set its remote_write_url, query_url and username: Grafana Cloud, My Account, Prometheus, Details"
        )
        yield Problem("grafana_cloud", "is not set although metrics_destination is grafana_cloud", remedy)
        return
    if not isinstance(account, Mapping):
        return
    for key, ending in (("remote_write_url", "/api/prom/push"), ("query_url", "/api/prom")):
        yield from _address(f"grafana_cloud.{key}", account.get(key), ending)
    username = account.get("username")
    if username is not None and not re.fullmatch(r"[0-9]+", str(username)):
        remedy = "set the number of the Prometheus instance, found beside its addresses"
        yield Problem("grafana_cloud.username", f"`{username}`", remedy)


def _address(variable: str, value: Any, ending: str) -> Iterator[Problem]:
    if value is None:
        return
    parts = urlsplit(str(value))
    host = parts.hostname or ""
    placeholder = not host or "<" in str(value) or host.endswith(("example.com", "example.org", ".example"))
    if parts.scheme != "https" or placeholder or not parts.path.rstrip("/").endswith(ending):
        yield Problem(variable, f"`{value}`", f"set the https address that ends in {ending}")


def published(settings: Settings) -> dict[str, int]:
    """Variables of the ports that this inventory publishes on the host."""
    names = ["rabbitmq_prometheus_port"]
    if managed(settings):
        names[:0] = ["app_stack_backend_port", "app_stack_proxy_http_port"]
    if tls_domain(settings):
        names.append("app_stack_proxy_https_port")
    if truth(settings.get("app_stack_flower_enabled", False)):
        names.append("app_stack_flower_port")
    names.append(f"{settings.get('collector')}_port")
    if settings.get("metrics_destination") == "embedded":
        names.extend(["metrics_backend_port", "metrics_backend_alertmanager_port"])
    ports = {name: integer(settings.get(name)) for name in names}
    return {name: port for name, port in ports.items() if port is not None}


def ports(settings: Settings) -> Iterator[Problem]:
    """Ports are ports, and no two services want the same."""
    owners: dict[int, str] = {}
    for variable, port in published(settings).items():
        if not 1 <= port <= 65535:
            yield Problem(variable, str(port), "set a port from 1 to 65535")
        elif port in owners:
            yield Problem(variable, f"{port} is also {owners[port]}", "give each service its own port")
        owners.setdefault(port, variable)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


CHECKS = (workers, sizes, numbers, rate_window, routes, secrets, database, grafana_cloud, ports)
