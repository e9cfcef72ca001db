"""What soundcheck_overrides.py changes in an app's settings, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim

CONFIG: dict[str, Any] = {
    "database": {
        "conn_max_age": 60,
        "connect_timeout": 10,
        "statement_timeout_ms": 30000,
        "sslmode": "require",
    },
    "task_routes": {
        "music.tasks.ai_music.generate_music_task": {"queue": "ai_queue"},
        "music.tasks.*": {"queue": "default"},
    },
    "default_queue": "default",
    "workers": [{"name": "celery", "queues": ["default"]}],
    "latency_buckets": [0.1, 2, 5, "inf"],
    "allowed_hosts": ["backend", "localhost"],
    "tls_before": False,
    "broker_version": "4.0.5",
}


@pytest.fixture(scope="module")
def shim() -> ModuleType:
    return load_shim("soundcheck_overrides")


def app_settings(**changes: Any) -> dict[str, Any]:
    """The settings of an app that follows the guide."""
    return {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "app"}},
        "MIDDLEWARE": ["django.middleware.common.CommonMiddleware"],
        "INSTALLED_APPS": ["music"],
        "ALLOWED_HOSTS": ["example.com"],
        "ROOT_URLCONF": "config.urls",
        "CELERY_TASK_ROUTES": {"music.tasks.generate_music_task": {"queue": "ai_queue"}},
        **changes,
    }


def overridden(
    shim: ModuleType, app: dict[str, Any], environ: dict[str, str] | None = None, **config: Any
) -> Any:
    return shim.overrides(app, {**CONFIG, **config}, environ or {})


@pytest.mark.parametrize(
    ("plain", "measured"),
    [
        ("django.db.backends.postgresql", "django_prometheus.db.backends.postgresql"),
        ("django.db.backends.mysql", "django_prometheus.db.backends.mysql"),
        ("django.db.backends.sqlite3", "django_prometheus.db.backends.sqlite3"),
        ("django.contrib.gis.db.backends.postgis", "django_prometheus.db.backends.postgis"),
        ("django_prometheus.db.backends.postgresql", "django_prometheus.db.backends.postgresql"),
        ("vendor.own_backend", "vendor.own_backend"),
    ],
)
def test_t3_engines_are_measured(shim: ModuleType, plain: str, measured: str) -> None:
    databases = {"default": {"ENGINE": plain}, "replica": {"ENGINE": plain}}
    changed = overridden(shim, app_settings(DATABASES=databases))["DATABASES"]
    assert [changed[alias]["ENGINE"] for alias in ("default", "replica")] == [measured, measured]


def test_g1_7_connection_values(shim: ModuleType) -> None:
    entry = overridden(shim, app_settings())["DATABASES"]["default"]
    assert entry["CONN_MAX_AGE"] == 60
    assert entry["OPTIONS"] == {
        "connect_timeout": 10,
        "sslmode": "require",
        "options": "-c statement_timeout=30000",
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-c search_path=music", "-c search_path=music -c statement_timeout=30000"),
        ("-c statement_timeout=5", "-c statement_timeout=30000"),
        ("-cstatement_timeout=5 -c lock_timeout=9", "-c lock_timeout=9 -c statement_timeout=30000"),
        ("--statement-timeout=5 -c lock_timeout=9", "-c lock_timeout=9 -c statement_timeout=30000"),
        (
            "-c idle_in_transaction_session_timeout=7",
            "-c idle_in_transaction_session_timeout=7 -c statement_timeout=30000",
        ),
    ],
)
def test_g1_7_statement_timeout_joins_the_apps_options(shim: ModuleType, options: str, expected: str) -> None:
    databases = {"default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"options": options}}}
    app = app_settings(DATABASES=databases)
    assert overridden(shim, app)["DATABASES"]["default"]["OPTIONS"]["options"] == expected
    assert databases["default"]["OPTIONS"] == {"options": options}, (
        "the app's own settings must stay as they are"
    )


@pytest.mark.parametrize(("role", "limit"), [("job", None), ("web", 30000)])
def test_g1_7_a_migration_has_no_statement_timeout(shim: ModuleType, role: str, limit: int | None) -> None:
    options = overridden(shim, app_settings(), {"SOUNDCHECK_ROLE": role})["DATABASES"]["default"]["OPTIONS"]
    assert options.get("options") == (limit and f"-c statement_timeout={limit}")


def test_g1_7_zero_switches_the_statement_timeout_off(shim: ModuleType) -> None:
    database = {**CONFIG["database"], "statement_timeout_ms": 0}
    options = overridden(shim, app_settings(), database=database)["DATABASES"]["default"]["OPTIONS"]
    assert "options" not in options


def test_g1_7_an_apps_own_pool_keeps_the_connections(shim: ModuleType) -> None:
    """Django refuses CONN_MAX_AGE beside OPTIONS['pool']."""
    databases = {"default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}}
    assert overridden(shim, app_settings(DATABASES=databases))["DATABASES"]["default"]["CONN_MAX_AGE"] == 0


def test_g1_6_t5_routes_queue_and_events(shim: ModuleType) -> None:
    """T1 needs the events, T5 the default queue, T6 the routes by registered name."""
    changed = overridden(shim, app_settings())
    assert changed["CELERY_TASK_ROUTES"] == CONFIG["task_routes"]
    assert list(changed["CELERY_TASK_ROUTES"]) == list(CONFIG["task_routes"]), "globs come last"
    assert changed["CELERY_TASK_DEFAULT_QUEUE"] == "default"
    assert changed["CELERY_WORKER_SEND_TASK_EVENTS"] is True
    assert changed["CELERY_TASK_SEND_SENT_EVENT"] is True
    assert {"soundcheck_canary", "soundcheck_worker", "soundcheck_request"} <= set(changed["CELERY_IMPORTS"])


def test_tasks_are_acknowledged_late_in_the_worker_that_asks_for_it(shim: ModuleType) -> None:
    """A killed worker's task returns to its queue; a lost connection does not run it twice at once."""
    asked = overridden(shim, app_settings(), {"SOUNDCHECK_ACKS_LATE": "true"})
    assert asked["CELERY_TASK_ACKS_LATE"] is True
    assert asked["CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS"] is True
    assert "CELERY_TASK_REJECT_ON_WORKER_LOST" not in asked, "a task that kills its process would never end"

    own = app_settings(CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS=False)
    kept = overridden(shim, own, {"SOUNDCHECK_ACKS_LATE": "true"})
    assert kept["CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS"] is False


@pytest.mark.parametrize("environ", [{}, {"SOUNDCHECK_ACKS_LATE": "false"}])
def test_other_processes_keep_the_apps_own_acknowledgement(shim: ModuleType, environ: dict[str, str]) -> None:
    assert "CELERY_TASK_ACKS_LATE" not in overridden(shim, app_settings(CELERY_TASK_ACKS_LATE=True), environ)


def test_another_celery_namespace(shim: ModuleType) -> None:
    changed = overridden(
        shim, app_settings(QUEUE_IMPORTS=("own.tasks",)), {"SOUNDCHECK_CELERY_NAMESPACE": "QUEUE"}
    )
    assert changed["QUEUE_IMPORTS"][0] == "own.tasks"
    assert not [name for name in changed if name.startswith("CELERY_")]


@pytest.mark.parametrize("namespace", ["", "celery", "CEL ERY"])
def test_a_namespace_that_cannot_be_is_refused(shim: ModuleType, namespace: str) -> None:
    with pytest.raises(shim.SettingsError, match="app_stack_celery_namespace: expected"):
        overridden(shim, app_settings(), {"SOUNDCHECK_CELERY_NAMESPACE": namespace})


@pytest.mark.parametrize(
    ("version", "exclusive"),
    [("3.13.7", None), ("4.2.1", None), ("4.3.0", True), ("v4.3.1-management", True)],
)
def test_t13_queues_are_exclusive_for_rabbitmq_4_3(
    shim: ModuleType, version: str, exclusive: bool | None
) -> None:
    changed = overridden(shim, app_settings(), broker_version=version)
    assert changed.get("CELERY_CONTROL_QUEUE_EXCLUSIVE") is exclusive
    assert changed.get("CELERY_EVENT_QUEUE_EXCLUSIVE") is exclusive


def test_the_broker_confirms_what_it_accepts_unless_the_app_says_otherwise(shim: ModuleType) -> None:
    options = {"max_retries": 5}
    changed = overridden(shim, app_settings(CELERY_BROKER_TRANSPORT_OPTIONS=options))
    assert changed["CELERY_BROKER_TRANSPORT_OPTIONS"] == {"confirm_publish": True, "max_retries": 5}

    own = overridden(shim, app_settings(CELERY_BROKER_TRANSPORT_OPTIONS={"confirm_publish": False}))
    assert own["CELERY_BROKER_TRANSPORT_OPTIONS"] == {"confirm_publish": False}


def test_beat_keeps_the_apps_scheduler_inside(shim: ModuleType) -> None:
    own = "django_celery_beat.schedulers:DatabaseScheduler"
    changed = overridden(shim, app_settings(CELERY_BEAT_SCHEDULER=own, CELERY_BEAT_MAX_LOOP_INTERVAL=5))
    assert changed["CELERY_BEAT_SCHEDULER"] == "soundcheck_beat:TickingScheduler"
    assert changed["SOUNDCHECK_BEAT_BASE"] == own
    assert changed["CELERY_BEAT_MAX_LOOP_INTERVAL"] == 5


def test_metrics_middleware_surrounds_the_apps(shim: ModuleType) -> None:
    assert overridden(shim, app_settings())["MIDDLEWARE"] == [
        shim.BEFORE,
        "django.middleware.common.CommonMiddleware",
        shim.AFTER,
    ]


@pytest.mark.parametrize(
    "own",
    [
        [
            "django_prometheus.middleware.PrometheusBeforeMiddleware",
            "django_prometheus.middleware.PrometheusAfterMiddleware",
        ],
        ["core.middleware.LabelledBeforeMiddleware", "core.middleware.LabelledAfterMiddleware"],
    ],
)
def test_requests_are_not_counted_twice(shim: ModuleType, own: list[str]) -> None:
    assert overridden(shim, app_settings(MIDDLEWARE=own))["MIDDLEWARE"] == own


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["music"], ["music", "django_prometheus"]),
        (["django_prometheus"], ["django_prometheus"]),
        (
            ["django_prometheus.apps.DjangoPrometheusConfig"],
            ["django_prometheus.apps.DjangoPrometheusConfig"],
        ),
    ],
)
def test_installed_once(shim: ModuleType, own: list[str], expected: list[str]) -> None:
    assert overridden(shim, app_settings(INSTALLED_APPS=own))["INSTALLED_APPS"] == expected


def test_hosts_urls_and_buckets(shim: ModuleType) -> None:
    changed = shim.overrides(app_settings(), CONFIG, {}, ["172.20.0.5", "localhost"])
    assert changed["ALLOWED_HOSTS"] == ["example.com", "backend", "localhost", "172.20.0.5"]
    assert changed["SOUNDCHECK_APP_URLCONF"] == "config.urls"
    assert changed["PROMETHEUS_LATENCY_BUCKETS"] == (0.1, 2.0, 5.0, float("inf"))


@pytest.mark.parametrize("tls", [True, False])
def test_the_proxys_word_on_the_scheme_counts_only_where_it_ends_tls(shim: ModuleType, tls: bool) -> None:
    """Otherwise a client could say of itself that it came over TLS."""
    changed = overridden(shim, app_settings(), tls_before=tls)
    assert changed.get("SECURE_PROXY_SSL_HEADER") == (("HTTP_X_FORWARDED_PROTO", "https") if tls else None)


def test_an_app_without_a_database_is_refused(shim: ModuleType) -> None:
    with pytest.raises(shim.SettingsError, match="no DATABASES"):
        overridden(shim, app_settings(DATABASES={}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "expected an object, got list"),
        (
            json.dumps({**CONFIG, "workers": None} | {}).replace("default_queue", "defaultqueue"),
            "missing: default_queue",
        ),
    ],
)
def test_a_bad_settings_file_is_refused(shim: ModuleType, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(shim.SettingsError, match=message):
        shim.load(file)


def test_a_missing_settings_file_is_refused(shim: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(shim.SettingsError, match="cannot be read"):
        shim.load(tmp_path / "settings.json")


def test_a_version_that_is_none_is_refused(shim: ModuleType) -> None:
    with pytest.raises(shim.SettingsError, match="'latest' is no version"):
        shim.version_of("latest")
