"""Refusals about contact points: half their settings, addresses that cannot be, placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.preflight_settings import VAULT_FILE, absent_secret
from ansible.module_utils.preflight_values import Problem, Settings, integer, truth

SEVERITIES = ("critical", "warning")
NEEDED = {"email": "addresses", "telegram": "chat_id"}
MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
# `<number of the bot>:<35 characters>`, as BotFather hands it out.
TELEGRAM_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{30,}")
SLACK_PATH = re.compile(r"/services/[^/]+/[^/]+/[^/]+")
DISCORD_PATH = re.compile(r"/api(/v[0-9]+)?/webhooks/[0-9]+/[\w-]+")
# What the services' own examples put where a secret belongs.
EXAMPLE = re.compile(r"x{6,}|<|\.\.\.|//example\.|\.example\b|example\.(com|org|net)", re.IGNORECASE)
# TLS from the first byte, whatever `tls` says.
TLS_PORT = 465
LOCAL = {"localhost", "127.0.0.1", "::1"}
DURATION = re.compile(r"([1-9][0-9]*(ms|s|m|h|d|w))+")
DURATIONS = (
    "contact_points_group_wait",
    "contact_points_group_interval",
    "contact_points_repeat_interval.critical",
    "contact_points_repeat_interval.warning",
)


def points(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """The configured contact points; what is of another type is the business of the argument specs."""
    given = settings.get("contact_points")
    if not isinstance(given, Mapping):
        return {}
    return {
        kind: point if isinstance(point, Mapping) else {}
        for kind, point in given.items()
        if point is None or isinstance(point, Mapping)
    }


def taken(point: Mapping[str, Any]) -> Sequence[str]:
    """The severities that a contact point takes."""
    given = point.get("severities")
    return given if isinstance(given, list) else SEVERITIES


def empty(settings: Settings) -> Iterator[Problem]:
    """`slack:` alone is a contact point, but nobody can be told by these without their keys."""
    given = settings.get("contact_points")
    for kind, key in NEEDED.items():
        if isinstance(given, Mapping) and kind in given and given[kind] is None:
            yield Problem(f"contact_points.{kind}", "is empty", f"set its {key}")


def email(settings: Settings) -> Iterator[Problem]:
    """Addresses and, where this project's own Alertmanager sends, the mail server."""
    point = points(settings).get("email")
    if point is None:
        return
    addresses = point.get("addresses")
    if addresses == []:
        yield Problem("contact_points.email.addresses", "an empty list", "name who gets the mail")
    for index, address in enumerate(addresses if isinstance(addresses, list) else []):
        yield from _mail_address(f"contact_points.email.addresses[{index}]", address)
    if settings.get("metrics_destination") != "embedded":
        return
    smtp = point.get("smtp")
    if not smtp:
        remedy = "set its host and from: the embedded Alertmanager sends mail through it"
        yield Problem("contact_points.email.smtp", "is not set", remedy)
        return
    if not isinstance(smtp, Mapping):
        return
    if smtp.get("from") is not None:
        yield from _mail_address("contact_points.email.smtp.from", smtp["from"])
    if smtp.get("host") is not None and not re.fullmatch(r"[A-Za-z0-9.:-]+", str(smtp["host"])):
        yield Problem(
            "contact_points.email.smtp.host", f"`{smtp['host']}`", "set the name of the mail server"
        )
    port = integer(smtp.get("port", 587))
    if port is not None and not 1 <= port <= 65535:
        yield Problem("contact_points.email.smtp.port", str(port), "set a port from 1 to 65535")
    encrypted = truth(smtp.get("tls", True))
    if not encrypted and truth(settings.get("preflight_production")):
        yield Problem(
            "contact_points.email.smtp.tls", "false lets mail go unencrypted", "remove it, or set it to true"
        )
    elif not encrypted and port != TLS_PORT and smtp.get("username") and smtp.get("host") not in LOCAL:
        came = "false, and Alertmanager gives a password unencrypted to localhost alone: no mail would leave"
        yield Problem("contact_points.email.smtp.tls", came, "remove it, or the username")
    if smtp.get("username") and (problem := absent_secret(settings, "vault_smtp_password")):
        yield problem


def slack(settings: Settings) -> Iterator[Problem]:
    if "slack" in points(settings):
        yield from _webhook(settings, "vault_slack_webhook_url", "hooks.slack.com", SLACK_PATH)


def discord(settings: Settings) -> Iterator[Problem]:
    if "discord" in points(settings):
        yield from _webhook(settings, "vault_discord_webhook_url", "", DISCORD_PATH)


def telegram(settings: Settings) -> Iterator[Problem]:
    point = points(settings).get("telegram")
    if point is None:
        return
    if integer(point.get("chat_id")) == 0:
        remedy = "set the number of the chat, which getUpdates of the bot tells after a message to it"
        yield Problem("contact_points.telegram.chat_id", "0 is no chat", remedy)
    api = point.get("api_url")
    if api is not None and not (
        urlsplit(str(api)).scheme in {"http", "https"} and urlsplit(str(api)).hostname
    ):
        yield Problem("contact_points.telegram.api_url", f"`{api}`", "write it as https://host")
    variable = "vault_telegram_bot_token"
    if (problem := absent_secret(settings, variable)) is not None:
        yield problem
    elif not TELEGRAM_TOKEN.fullmatch(str(settings[variable])):
        remedy = f"set what BotFather gave, <number>:<35 characters>, in {VAULT_FILE}"
        yield Problem(variable, "is no token of a Telegram bot", remedy)


def durations(settings: Settings) -> Iterator[Problem]:
    for path in DURATIONS:
        name, _, key = path.partition(".")
        value = settings.get(name)
        if key:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and not DURATION.fullmatch(str(value)):
            yield Problem(path, f"`{value}`", "write a duration such as 30s, 5m or 12h")


def unreached(settings: Settings) -> Iterator[Problem]:
    """Severities whose alerts are told to nobody: to be known, not to be refused."""
    given = points(settings)
    if not given:
        yield Problem("contact_points", "is not set", "alerts reach nobody: set contact_points")
        return
    for severity in SEVERITIES:
        if not any(severity in taken(point) for point in given.values()):
            remedy = f"{severity} alerts reach nobody: add {severity} to the severities of one"
            yield Problem("contact_points", f"none takes severity {severity}", remedy)


def _mail_address(variable: str, address: object) -> Iterator[Problem]:
    if isinstance(address, str) and not MAIL_ADDRESS.fullmatch(address):
        yield Problem(variable, f"`{address}`", "write one address, such as ops@your-domain")


def _webhook(
    settings: Settings, variable: str, only_on_host: str, path: re.Pattern[str]
) -> Iterator[Problem]:
    """A webhook's address is a secret: whoever has it can post. Its value never becomes part of a message.

    With `only_on_host` the path is known for that host alone; services that imitate it have others.
    """
    if (problem := absent_secret(settings, variable)) is not None:
        yield problem
        return
    value = str(settings[variable]).strip()
    if EXAMPLE.search(value):
        yield Problem(variable, "is still a placeholder", f"set a real one in {VAULT_FILE}")
        return
    parts = urlsplit(value)
    schemes = {"https"} if truth(settings.get("preflight_production")) else {"http", "https"}
    known_path = path.fullmatch(parts.path) if only_on_host in ("", parts.hostname) else len(parts.path) > 1
    if parts.scheme not in schemes or not parts.hostname or not known_path:
        remedy = f"set the https address that the service showed when the webhook was made, in {VAULT_FILE}"
        yield Problem(variable, "is no address of a webhook", remedy)


CHECKS = (empty, email, slack, discord, telegram, durations)
