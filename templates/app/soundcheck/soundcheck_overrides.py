"""What Soundcheck changes in the settings of an app, as a function of plain values.

Nothing here imports Django or Celery, so the rules can be read and tested alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

KEYS = (
    "database",
    "task_routes",
    "default_queue",
    "workers",
    "latency_buckets",
    "allowed_hosts",
    "tls_before",
    "broker_version",
)

# Only these engines count and time what the app asks its database.
ENGINES = {
    "django.db.backends.postgresql": "django_prometheus.db.backends.postgresql",
    "django.db.backends.mysql": "django_prometheus.db.backends.mysql",
    "django.db.backends.sqlite3": "django_prometheus.db.backends.sqlite3",
    "django.contrib.gis.db.backends.postgis": "django_prometheus.db.backends.postgis",
    "django.contrib.gis.db.backends.spatialite": "django_prometheus.db.backends.spatialite",
}

BEFORE = "django_prometheus.middleware.PrometheusBeforeMiddleware"
AFTER = "django_prometheus.middleware.PrometheusAfterMiddleware"
BEAT_LOOP_SECONDS = 15
BROKER_HEARTBEAT_SECONDS = 30
# What workers load beside the app's tasks.
IMPORTS = ("soundcheck_canary", "soundcheck_worker", "soundcheck_request", "soundcheck_memory")


class SettingsError(RuntimeError):
    """settings.json or the environment does not say what is needed."""


def load(path: Path) -> dict[str, Any]:
    """settings.json, or a SettingsError that says what is wrong with it."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: expected an object, got {type(config).__name__}")
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise SettingsError(f"{path}: expected the keys {', '.join(KEYS)}; missing: {', '.join(missing)}")
    return config


def version_of(text: str) -> tuple[int, int]:
    """Major and minor of a version or image tag: `4.3.0-management` is (4, 3)."""
    match = re.match(r"v?(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise SettingsError(f"{text!r} is no version: expected a number such as 4.0.5")
    return int(match[1]), int(match[2] or 0)


def database(current: Mapping[str, Any], config: Mapping[str, Any], *, time_limit: bool) -> dict[str, Any]:
    """One entry of DATABASES with a measured engine (T3), kept connections and bounded waits (G1.7)."""
    engine = ENGINES.get(current.get("ENGINE", ""), current.get("ENGINE", ""))
    options = dict(current.get("OPTIONS") or {})
    changed = {**current, "ENGINE": engine, "OPTIONS": options}
    # Django refuses kept connections beside its own pool, which keeps them itself.
    changed["CONN_MAX_AGE"] = 0 if options.get("pool") else int(config["conn_max_age"])
    # A kept connection that the server closed would otherwise fail the next request.
    changed.setdefault("CONN_HEALTH_CHECKS", True)
    if engine.endswith((".postgresql", ".postgis")):
        options["connect_timeout"] = int(config["connect_timeout"])
        options["sslmode"] = config["sslmode"]
        if time_limit and int(config["statement_timeout_ms"]) > 0:
            options["options"] = _with_statement_timeout(
                options.get("options", ""), int(config["statement_timeout_ms"])
            )
    elif engine.endswith(".mysql"):
        options["connect_timeout"] = int(config["connect_timeout"])
    return changed


def _with_statement_timeout(options: str, milliseconds: int) -> str:
    """libpq's `options` with this statement timeout instead of any other; the rest stays."""
    rest = re.sub(r"(-c\s*|--)statement[_-]timeout=\S+", "", options)
    return " ".join([*rest.split(), f"-c statement_timeout={milliseconds}"])


def middleware(current: Sequence[str]) -> list[str]:
    """The request counters around everything else, unless the app has them or subclasses of its own."""
    classes = [entry.rpartition(".")[2] for entry in current]
    before = [] if any(name.endswith("BeforeMiddleware") for name in classes) else [BEFORE]
    after = [] if any(name.endswith("AfterMiddleware") for name in classes) else [AFTER]
    return [*before, *current, *after]


def union(*lists: Iterable[str]) -> list[str]:
    """All entries in order, each once."""
    return list(dict.fromkeys(entry for entries in lists for entry in entries))


def celery(current: Mapping[str, Any], config: Mapping[str, Any], *, acks_late: bool) -> dict[str, Any]:
    """Celery's settings by their plain lower-case names; `current` are the app's own."""
    settings: dict[str, Any] = {
        "task_routes": config["task_routes"],
        "task_default_queue": config["default_queue"],
        # Without events celery-exporter shows no task at all; `sent` feeds its queue-wait histogram.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "broker_connection_retry_on_startup": True,
        # With Celery's 120 s a worker would take minutes to notice a broker that vanished.
        "broker_heartbeat": current.get("broker_heartbeat", BROKER_HEARTBEAT_SECONDS),
        # A task is accepted when the broker has it on disk: what it had in memory alone ends with it.
        "broker_transport_options": {
            "confirm_publish": True,
            **(current.get("broker_transport_options") or {}),
        },
        "imports": tuple(union(current.get("imports", ()), IMPORTS)),
        "beat_scheduler": "soundcheck_beat:TickingScheduler",
        # Beat may sleep five minutes by itself; its health check must know sooner.
        "beat_max_loop_interval": min(
            current.get("beat_max_loop_interval") or BEAT_LOOP_SECONDS, BEAT_LOOP_SECONDS
        ),
    }
    if version_of(str(config["broker_version"])) >= (4, 3):
        # RabbitMQ 4.3 refuses queues that are neither durable nor exclusive (T13). Exclusive is kombu 5.7's
        # default; this holds for apps that chose otherwise.
        for kind in ("control", "event"):
            settings[f"{kind}_queue_exclusive"] = True
            settings[f"{kind}_queue_durable"] = False
    if acks_late:
        # The task of a worker that is killed returns to its queue. Not so that of a pool process which dies
        # alone (task_reject_on_worker_lost): a task that needs too much memory would come back for ever.
        settings["task_acks_late"] = True
        # A lost connection returns the task as well: going on here would run it twice at the same time.
        settings["worker_cancel_long_running_tasks_on_connection_loss"] = current.get(
            "worker_cancel_long_running_tasks_on_connection_loss", True
        )
    return settings


def overrides(
    app: Mapping[str, Any],
    config: Mapping[str, Any],
    environ: Mapping[str, str],
    addresses: Iterable[str] = (),
) -> dict[str, Any]:
    """Every Django setting that changes, given the app's own, settings.json and the environment.

    `addresses` are this container's own: collectors that discover containers ask them by address.
    """
    namespace = environ.get("SOUNDCHECK_CELERY_NAMESPACE", "CELERY")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", namespace):
        raise SettingsError(
            "app_stack_celery_namespace: expected the namespace of config_from_object() in capitals, "
            f"such as CELERY, got {namespace!r}"
        )
    if "default" not in app.get("DATABASES", {}):
        raise SettingsError("the app's settings have no DATABASES['default']")
    prefix = f"{namespace}_"
    own_celery = {name.removeprefix(prefix).lower(): app[name] for name in app if name.startswith(prefix)}
    # Nobody waits for a job; a migration that builds an index may well take longer than a request.
    time_limit = environ.get("SOUNDCHECK_ROLE") != "job"
    acks_late = environ.get("SOUNDCHECK_ACKS_LATE") == "true"
    databases = {
        alias: {**entry, "ENGINE": ENGINES.get(entry.get("ENGINE", ""), entry.get("ENGINE", ""))}
        for alias, entry in app["DATABASES"].items()
    }
    databases["default"] = database(databases["default"], config["database"], time_limit=time_limit)
    installed = list(app.get("INSTALLED_APPS", ()))
    if not any(entry.split(".")[0] == "django_prometheus" for entry in installed):
        installed.append("django_prometheus")
    # The proxy drops what a client says of itself: where it ends TLS, its word on the scheme is true. Without
    # it Django takes every request for plain HTTP, and refuses forms as if they came from another site.
    scheme = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")} if config["tls_before"] else {}
    return {
        **scheme,
        "DATABASES": databases,
        "INSTALLED_APPS": installed,
        "MIDDLEWARE": middleware(app.get("MIDDLEWARE", ())),
        "ALLOWED_HOSTS": union(app.get("ALLOWED_HOSTS", ()), config["allowed_hosts"], addresses),
        "ROOT_URLCONF": "soundcheck_urls",
        "SOUNDCHECK_APP_URLCONF": app["ROOT_URLCONF"],
        # The collector asks inside the network and without TLS.
        "SECURE_REDIRECT_EXEMPT": union(
            app.get("SECURE_REDIRECT_EXEMPT", ()), [r"^metrics$", r"^soundcheck/ready$"]
        ),
        "PROMETHEUS_LATENCY_BUCKETS": tuple(float(bucket) for bucket in config["latency_buckets"]),
        "SOUNDCHECK_BEAT_BASE": own_celery.get("beat_scheduler", "celery.beat:PersistentScheduler"),
        **{
            prefix + name.upper(): value
            for name, value in celery(own_celery, config, acks_late=acks_late).items()
        },
    }
