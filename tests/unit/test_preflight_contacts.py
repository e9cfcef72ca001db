"""Every refusal about contact points: a sound deploy with one thing wrong is refused for that thing alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS

from plugins.module_utils import preflight_rules
from plugins.module_utils.preflight_variables import value_problems
from tests.unit.test_preflight_rules import changed, refusals, sound_settings, sound_survey
from tests.unit.test_preflight_variables import options

SLACK = "https://hooks.slack.com/services/T024BE7LD/B0451K5QN/k3EpThisOutOfMessages"
DISCORD = "https://discord.com/api/webhooks/118273645546738291/k3EpThisOutOfMessages"
TOKEN = "7214365809:k3EpThisOutOfMessages-AAFh2l4qWd"
POINTS: dict[str, Any] = {
    "email": {
        "addresses": ["ops@music.test"],
        "smtp": {"host": "mail.music.test", "from": "alerts@music.test", "username": "alerts"},
    },
    "slack": {},
    "discord": {"severities": ["critical"]},
    "telegram": {"chat_id": -1001234567890},
}
SPECS = options("contact_points")


def sound() -> dict[str, Any]:
    """All four contact points, complete."""
    return {
        **sound_settings(),
        "contact_points": changed(POINTS, {}),
        "contact_points_group_wait": "30s",
        "contact_points_group_interval": "5m",
        "contact_points_repeat_interval": {"critical": "1h", "warning": "12h"},
        "metrics_backend_alertmanager_port": 9093,
        "metrics_backend_alertmanager_memory": "128M",
        "vault_slack_webhook_url": SLACK,
        "vault_discord_webhook_url": DISCORD,
        "vault_telegram_bot_token": TOKEN,
        "vault_smtp_password": "k3EpThisOutOfMessages",
    }


REFUSED = [
    # half of a contact point
    ({"vault_slack_webhook_url": None}, "vault_slack_webhook_url: is not set; set it in the vault file"),
    ({"vault_discord_webhook_url": ""}, "vault_discord_webhook_url: is empty"),
    ({"vault_telegram_bot_token": None}, "vault_telegram_bot_token: is not set"),
    ({"vault_smtp_password": None}, "vault_smtp_password: is not set"),
    ({"contact_points/email/smtp": None}, "contact_points.email.smtp: is not set; set its host"),
    # placeholders
    ({"vault_slack_webhook_url": "changeme"}, "vault_slack_webhook_url: is still a placeholder"),
    (
        {"vault_slack_webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX"},
        "vault_slack_webhook_url: is still a placeholder",
    ),
    (
        {"vault_discord_webhook_url": "https://discord.com/api/webhooks/<id>/<token>"},
        "vault_discord_webhook_url: is still a placeholder",
    ),
    ({"vault_telegram_bot_token": "<token>"}, "vault_telegram_bot_token: is still a placeholder"),
    ({"vault_smtp_password": "password"}, "vault_smtp_password: is still a placeholder"),
    # malformed
    ({"contact_points/email/addresses": []}, "contact_points.email.addresses: an empty list"),
    (
        {"contact_points/email/addresses": ["ops@music.test", "ops.music.test"]},
        "contact_points.email.addresses[1]: `ops.music.test`; write one address",
    ),
    (
        {"contact_points/email/addresses": ["a@music.test, b@music.test"]},
        "contact_points.email.addresses[0]: `a@music.test, b@music.test`; write one address",
    ),
    (
        {"contact_points/email/smtp/from": "alerts"},
        "contact_points.email.smtp.from: `alerts`; write one address",
    ),
    ({"contact_points/email/smtp/host": "smtp://mail"}, "contact_points.email.smtp.host: `smtp://mail`"),
    ({"contact_points/email/smtp/port": 0}, "contact_points.email.smtp.port: 0; set a port"),
    (
        {"contact_points/email/smtp/tls": False},
        "contact_points.email.smtp.tls: false lets mail go unencrypted",
    ),
    (
        {"contact_points/email/smtp/tls": False, "preflight_production": False},
        "contact_points.email.smtp.tls: false, and Alertmanager gives a password unencrypted to localhost",
    ),
    (
        {"vault_slack_webhook_url": "hooks.slack.com/services/T1/B1/abc"},
        "vault_slack_webhook_url: is no addr",
    ),
    (
        {"vault_slack_webhook_url": "https://hooks.slack.com/workflows/T1/A1/1/abc"},
        "vault_slack_webhook_url: is no address of a webhook; set the https address",
    ),
    ({"vault_slack_webhook_url": SLACK.replace("https", "http")}, "vault_slack_webhook_url: is no address"),
    ({"vault_discord_webhook_url": f"{DISCORD}/slack"}, "vault_discord_webhook_url: is no address"),
    ({"vault_discord_webhook_url": SLACK}, "vault_discord_webhook_url: is no address"),
    ({"vault_telegram_bot_token": f"bot{TOKEN}"}, "vault_telegram_bot_token: is no token of a Telegram bot"),
    ({"contact_points/telegram/chat_id": 0}, "contact_points.telegram.chat_id: 0 is no chat"),
    (
        {"contact_points/telegram/api_url": "api.telegram.org"},
        "contact_points.telegram.api_url: `api.telegram",
    ),
    ({"contact_points_group_wait": "30"}, "contact_points_group_wait: `30`; write a duration"),
    ({"contact_points_repeat_interval/warning": "0h"}, "contact_points_repeat_interval.warning: `0h`"),
    # the port of the Alertmanager
    ({"metrics_backend_alertmanager_port": 9090}, "metrics_backend_alertmanager_port: 9090 is also"),
]

MALFORMED = [
    (
        {"slak": {}},
        "contact_points.slak: is not a key of contact_points; did you mean slack?; keys are email",
    ),
    ({"slack": {"channel": "#ops"}}, "contact_points.slack.channel: is not a key of contact_points.slack"),
    ({"email": {}}, "contact_points.email.addresses: is missing; set it: Who gets the mail"),
    ({"telegram": {"chat_id": "@ops"}}, "contact_points.telegram.chat_id: `@ops`; set it to a whole number"),
    ({"telegram": {}}, "contact_points.telegram.chat_id: is missing"),
    ({"slack": {"severities": ["fatal"]}}, "contact_points.slack.severities[0]: `fatal` is unknown"),
]


def test_sound_contact_points_are_not_refused() -> None:
    assert refusals(sound(), sound_survey()) == []
    assert not list(
        value_problems("contact_points", SPECS["contact_points"], POINTS, DEFAULT_TYPE_VALIDATORS)
    )


@pytest.mark.parametrize(("changes", "expected"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_wrong_setting_is_refused_alone(changes: dict[str, Any], expected: str) -> None:
    (problem,) = refusals(changed(sound(), changes), sound_survey())
    assert problem.startswith(expected)
    assert "k3EpThisOutOfMessages" not in problem


@pytest.mark.parametrize(("points", "expected"), MALFORMED, ids=lambda value: str(value)[:60])
def test_a_malformed_contact_point_is_refused_by_its_spec(points: dict[str, Any], expected: str) -> None:
    (problem,) = value_problems("contact_points", SPECS["contact_points"], points, DEFAULT_TYPE_VALIDATORS)
    assert str(problem).startswith(expected)


def test_what_is_not_configured_needs_no_secret() -> None:
    settings = {name: value for name, value in sound().items() if not name.startswith("contact_points")}
    settings = {**settings, "contact_points": {}, "vault_slack_webhook_url": "changeme"}
    assert refusals(settings, sound_survey()) == []


def test_a_key_alone_is_a_contact_point() -> None:
    """`slack:` in YAML is null."""
    settings = changed(sound(), {"vault_slack_webhook_url": None})
    settings["contact_points"]["slack"] = None
    (problem,) = refusals(settings, sound_survey())
    assert problem.startswith("vault_slack_webhook_url: is not set")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("email", "contact_points.email: is empty; set its addresses"),
        ("telegram", "contact_points.telegram: is empty; set its chat_id"),
    ],
)
def test_a_key_alone_tells_nobody_by_mail_or_telegram(kind: str, expected: str) -> None:
    settings = {**sound(), "contact_points": {kind: None}, "metrics_destination": "grafana_cloud"}
    settings["grafana_cloud"] = None
    found = [problem for problem in refusals(settings, sound_survey()) if "contact_points" in problem]
    assert found == [expected]


def test_a_service_like_slack_has_its_own_path() -> None:
    settings = changed(sound(), {"vault_slack_webhook_url": "https://chat.music.test/hooks/a1b2c3d4"})
    assert refusals(settings, sound_survey()) == []


@pytest.mark.parametrize(("key", "value"), [("host", "127.0.0.1"), ("username", None), ("port", 465)])
def test_a_stand_in_without_tls_is_permitted_outside_production(key: str, value: object) -> None:
    changes = {
        "preflight_production": False,
        "contact_points/email/smtp/tls": False,
        f"contact_points/email/smtp/{key}": value,
        "vault_slack_webhook_url": SLACK.replace("https://hooks.slack.com", "http://127.0.0.1:8080"),
    }
    assert refusals(changed(sound(), changes), sound_survey()) == []


def test_grafana_has_its_own_mail_server() -> None:
    settings = changed(sound(), {"metrics_destination": "grafana_cloud", "contact_points/email/smtp": None})
    assert [problem for problem in refusals(settings, sound_survey()) if "smtp" in problem] == []


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({}, ["contact_points: is not set; alerts reach nobody: set contact_points"]),
        (
            {"slack": {"severities": ["warning"]}},
            ["contact_points: none takes severity critical; critical alerts reach nobody: add critical"],
        ),
        (
            {"slack": {"severities": ["critical"]}},
            ["contact_points: none takes severity warning; warning alerts reach nobody: add warning"],
        ),
        ({"slack": {"severities": ["critical"]}, "email": {"severities": ["warning"]}}, []),
        ({"slack": None}, []),
        ({"slack": {"severities": []}, "email": {"severities": None}}, []),
        (
            {"slack": {"severities": []}},
            [
                "contact_points: none takes severity critical",
                "contact_points: none takes severity warning",
            ],
        ),
    ],
)
def test_alerts_that_reach_nobody_are_reported(points: dict[str, Any], expected: list[str]) -> None:
    found = [str(w) for w in preflight_rules.warnings({**sound(), "contact_points": points}, sound_survey())]
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))
