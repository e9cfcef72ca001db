"""Refusals of text that would break what it becomes part of: a command, an address, a path, an env file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from ansible.module_utils.preflight_values import Problem, Settings, dicts, integer

_MODULE = (r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "name a module as Python imports it, such as {example}")
_OBJECT = (rf"{_MODULE[0]}(:[A-Za-z_]\w*(\(\))?)?", "name a module and its object, such as {example}")
_FOLDER = (r"(/[\w.@+-]+)+", "write an absolute path without spaces, such as {example}")
_LOGIN = (r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "use letters, digits, `_`, `.` and `-`, such as {example}")

# Variable -> (pattern of the whole text, remedy), example.
_FORMATS: dict[str, tuple[tuple[str, str], str]] = {
    "app_stack_celery_app": (_OBJECT, "config"),
    "app_stack_wsgi_application": (_OBJECT, "config.wsgi:application"),
    "app_stack_settings_module": (_MODULE, "config.settings"),
    "app_stack_directory": (_FOLDER, "/opt/soundcheck/app"),
    "telemetry_directory": (_FOLDER, "/opt/soundcheck/telemetry"),
    "app_stack_database_user": (_LOGIN, "app"),
    "app_stack_database_name": (_LOGIN, "app"),
    "app_stack_rabbitmq_user": (_LOGIN, "app"),
    "app_stack_rabbitmq_vhost": (
        (r"[^\s'\"$\\]+", "use no space, quote, `$` or `\\`, such as {example}"),
        "app",
    ),
    "app_stack_flower_user": (_LOGIN, "flower"),
    "app_stack_health_path": ((r"/[!-~]*", "write a path of the app, such as {example}"), "/metrics"),
    "app_stack_log_max_size": (
        (r"[1-9][0-9]*[kmg]", "write a number with k, m or g, such as {example}"),
        "10m",
    ),
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def formats(settings: Settings) -> Iterator[Problem]:
    for variable, ((pattern, remedy), example) in _FORMATS.items():
        value = settings.get(variable)
        # What cannot be printed is refused by its type already.
        if isinstance(value, str) and value.isprintable() and not re.fullmatch(pattern, value):
            yield Problem(variable, f"`{value}`", remedy.format(example=example))
    port = integer(settings.get("app_stack_database_port", 5432))
    if port is not None and not 1 <= port <= 65535:
        yield Problem("app_stack_database_port", str(port), "set a port from 1 to 65535")
    if settings.get("app_stack_latency_buckets") == []:
        yield Problem("app_stack_latency_buckets", "an empty list", "name at least one bound in seconds")


def commands(settings: Settings) -> Iterator[Problem]:
    """Compose splits them into words, as a shell does."""
    services = dicts(settings.get("app_stack_extra_services"))
    given = {
        f"app_stack_extra_services[{i}].command": entry.get("command") for i, entry in enumerate(services)
    }
    for variable, command in {
        "app_stack_migrate_command": settings.get("app_stack_migrate_command"),
        **given,
    }.items():
        if not isinstance(command, str):
            continue
        try:
            words = shlex.split(command)
        except ValueError as error:
            yield Problem(variable, f"`{command}`: {str(error).lower()}", "close its quotes")
            continue
        if not words:
            yield Problem(variable, "is empty", "name a program")


def environment(settings: Settings) -> Iterator[Problem]:
    """Values may be secrets and are not shown."""
    given = settings.get("app_stack_environment")
    for name, value in (given if isinstance(given, Mapping) else {}).items():
        variable = f"app_stack_environment.{name}"
        if not _VARIABLE.fullmatch(str(name)):
            yield Problem(variable, "is no name of a variable", "use letters, digits and `_`")
        elif isinstance(value, (Mapping, list)):
            yield Problem(variable, f"is a {type(value).__name__}", "set it to text")
        elif "'" in str(value) or not str(value).isprintable():
            found = "holds a single quote, a line break or another control character"
            yield Problem(variable, found, "an environment file cannot hold it: choose another value")


CHECKS = (formats, commands, environment)
