"""Text that would break what it becomes part of is refused, each with its variable."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.preflight_formats import CHECKS
from plugins.module_utils.preflight_values import Problem

SOUND: dict[str, Any] = {
    "app_stack_celery_app": "proj.celery:app",
    "app_stack_wsgi_application": "proj.wsgi:get_application()",
    "app_stack_settings_module": "proj.settings.production",
    "app_stack_directory": "/srv/soundcheck-1/app",
    "telemetry_directory": "/opt/soundcheck/telemetry",
    "app_stack_database_user": "music_1",
    "app_stack_database_name": "music-prod",
    "app_stack_database_port": "5432",
    "app_stack_rabbitmq_user": "app",
    "app_stack_rabbitmq_vhost": "/",
    "app_stack_flower_user": "ops.team",
    "app_stack_health_path": "/health/?full=1",
    "app_stack_log_max_size": "10m",
    "app_stack_latency_buckets": [0.1],
    "app_stack_migrate_command": "python manage.py migrate --noinput",
    "app_stack_extra_services": [{"name": "bot", "command": "sh -c 'exec python bot.py'"}],
    "app_stack_environment": {"SENTRY_DSN": "https://a@b/1?x=$1", "EMPTY": "", "NUMBER": 1, "NAME": "음악"},
}
SECRET = "k3EpThis'OutOfMessages"


def refusals(settings: dict[str, Any]) -> list[str]:
    return [str(problem) for check in CHECKS for problem in check(settings)]


def test_sound_text_is_taken() -> None:
    assert refusals(SOUND) == []
    assert refusals({}) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"app_stack_celery_app": ""}, "app_stack_celery_app: ``; name a module and its object"),
        ({"app_stack_celery_app": "proj celery"}, "app_stack_celery_app: `proj celery`; name a module"),
        ({"app_stack_wsgi_application": "proj/wsgi.py"}, "such as config.wsgi:application"),
        ({"app_stack_settings_module": "proj:settings"}, "app_stack_settings_module: `proj:settings`; name"),
        ({"app_stack_directory": "soundcheck"}, "app_stack_directory: `soundcheck`; write an absolute path"),
        ({"app_stack_directory": ""}, "such as /opt/soundcheck/app"),
        ({"telemetry_directory": "/opt/sound check"}, "such as /opt/soundcheck/telemetry"),
        ({"app_stack_database_user": "a:b@c"}, "app_stack_database_user: `a:b@c`; use letters"),
        ({"app_stack_database_name": "a/b"}, "app_stack_database_name: `a/b`; use letters"),
        ({"app_stack_database_port": -5}, "app_stack_database_port: -5; set a port from 1 to 65535"),
        ({"app_stack_rabbitmq_user": ""}, "app_stack_rabbitmq_user: ``; use letters"),
        ({"app_stack_rabbitmq_vhost": "a b"}, "app_stack_rabbitmq_vhost: `a b`; use no space"),
        ({"app_stack_flower_user": "a:b"}, "app_stack_flower_user: `a:b`; use letters"),
        ({"app_stack_health_path": "metrics"}, "app_stack_health_path: `metrics`; write a path"),
        ({"app_stack_log_max_size": "10MB"}, "app_stack_log_max_size: `10MB`; write a number"),
        ({"app_stack_latency_buckets": []}, "app_stack_latency_buckets: an empty list; name at least one"),
        ({"app_stack_migrate_command": "sh -c 'x"}, "`sh -c 'x`: no closing quotation; close its quotes"),
        ({"app_stack_migrate_command": " "}, "app_stack_migrate_command: is empty; name a program"),
        (
            {"app_stack_extra_services": [{"name": "bot", "command": '"'}]},
            'app_stack_extra_services[0].command: `"`: no closing quotation',
        ),
        ({"app_stack_environment": {"A B": "x"}}, "app_stack_environment.A B: is no name of a variable"),
        ({"app_stack_environment": {"A": ["x"]}}, "app_stack_environment.A: is a list; set it to text"),
        ({"app_stack_environment": {"KEY": SECRET}}, "app_stack_environment.KEY: holds a single quote"),
        (
            {"app_stack_environment": {"KEY": "a\nb"}},
            "app_stack_environment.KEY: holds a single quote, a line",
        ),
    ],
)
def test_text_that_breaks_something_is_refused_alone(change: dict[str, Any], expected: str) -> None:
    [refusal] = refusals(SOUND | change)

    assert expected in refusal
    assert SECRET not in refusal


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("a\nb", "x: a\\nb; y"),
        ("\u202egnp.exe", "x: \\u202egnp.exe; y"),
        ("음악", "x: 음악; y"),
        ("x" * 700, f"x: {'x' * 600}...; y"),
    ],
)
def test_a_refusal_is_one_line_whatever_it_shows(found: str, shown: str) -> None:
    assert str(Problem("x", found, "y")) == shown
