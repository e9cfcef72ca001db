"""Contact points from one definition: what Grafana and Alertmanager are told, and how long a text may be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from plugins.filter import contact_points as filters
from tests.render import ROOT, SECRETS, Rendering

SMTP = {"host": "mail.example.org", "from": "alerts@example.org", "username": "alerts"}
POINTS: dict[str, Any] = {
    "email": {"addresses": ["ops@example.org", "dev@example.org"], "smtp": SMTP},
    "slack": None,
    "discord": {"resolved": False},
    "telegram": {"chat_id": -100200300, "severities": ["critical"]},
}
KINDS = ("email", "slack", "discord", "telegram")
# Characters that each service takes: what its documentation says of the field that the message stands in.
DOCUMENTED = {
    ("alertmanager", "telegram"): 4096,
    ("grafana", "telegram"): 4096,
    ("alertmanager", "discord"): 4096,
    ("grafana", "discord"): 2000,
    ("alertmanager", "slack"): 40000,
    ("grafana", "slack"): 40000,
}


def rendering(**settings: Any) -> Rendering:
    return Rendering(settings={"contact_points": POINTS, **settings})


def grafana(**settings: Any) -> dict[str, dict[str, Any]]:
    return {entry["type"]: entry for entry in rendering(**settings).value("contact_points_grafana")}


def alertmanager(**settings: Any) -> dict[str, Any]:
    found = yaml.safe_load(rendering(**settings).template("telemetry/alertmanager/alertmanager.yml.j2"))
    assert isinstance(found, dict)
    return found


def receivers(**settings: Any) -> dict[str, dict[str, Any]]:
    """Kind to the one configuration of its receiver."""
    found = {}
    for receiver in alertmanager(**settings)["receivers"]:
        for key, configs in receiver.items():
            if key.endswith("_configs"):
                [found[key.removesuffix("_configs")]] = configs
    return found


def mail_through(smtp: dict[str, Any]) -> dict[str, Any]:
    return {**POINTS, "email": {**POINTS["email"], "smtp": smtp}}


def test_only_configured_contact_points_exist() -> None:
    """G4"""
    only: dict[str, Any] = {"contact_points": {"slack": {}}}

    assert list(grafana(**only)) == ["slack"]
    assert list(receivers(**only)) == ["slack"]
    assert [entry["path"] for entry in rendering(**only).value("contact_points_alertmanager_files")] == [
        "alertmanager/secrets/slack-webhook-url"
    ]


def test_without_contact_points_nothing_is_told_to_anybody() -> None:
    none: dict[str, Any] = {"contact_points": {}}

    assert rendering(**none).value("contact_points_grafana") == []
    assert rendering(**none).value("contact_points_policy") == {}
    assert rendering(**none).value("contact_points_alertmanager_files") == []
    config = alertmanager(**none)
    assert [receiver["name"] for receiver in config["receivers"]] == [config["route"]["receiver"]]
    assert config["route"]["routes"] == []


def test_grafana_gets_the_field_names_of_its_integrations() -> None:
    """Grafana's own names, of the package `receivers` of grafana/alerting."""
    found = grafana()

    assert {(e["uid"], e["name"]) for e in found.values()} == {(f"soundcheck-{k}",) * 2 for k in KINDS}
    fields = {kind: set(entry["settings"]) for kind, entry in found.items()}
    assert fields == {
        "email": {"addresses", "singleEmail", "subject", "message"},
        "slack": {"url", "username", "title", "text"},
        "discord": {"url", "use_discord_username", "title", "message"},
        "telegram": {"bottoken", "chatid", "message", "parse_mode", "disable_web_page_preview"},
    }
    assert found["email"]["settings"]["addresses"] == "ops@example.org;dev@example.org"
    assert found["slack"]["settings"]["url"] == SECRETS["vault_slack_webhook_url"]
    assert found["discord"]["settings"]["url"] == SECRETS["vault_discord_webhook_url"]
    assert found["telegram"]["settings"]["bottoken"] == SECRETS["vault_telegram_bot_token"]
    # Grafana refuses a number.
    assert found["telegram"]["settings"]["chatid"] == "-100200300"
    assert [kind for kind in KINDS if found[kind]["disableResolveMessage"]] == ["discord"]


def test_grafanas_policy_routes_each_severity_to_those_that_take_it() -> None:
    policy = rendering().value("contact_points_policy")
    names = {f"soundcheck-{kind}" for kind in KINDS}
    routes = {
        severity: {r["receiver"] for r in policy["routes"] if r["object_matchers"][0][2] == severity}
        for severity in ("critical", "warning")
    }

    # Of whatever environment: another inventory's alerts in the same folder take the same ways.
    assert {len(route["object_matchers"]) for route in policy["routes"]} == {1}
    assert routes == {"critical": names, "warning": names - {"soundcheck-telegram"}}
    assert all(route["continue"] for route in policy["routes"])
    assert {r["repeat_interval"] for r in policy["routes"] if r["object_matchers"][0][2] == "critical"} == {
        "1h"
    }
    assert policy["receiver"] in names
    assert policy["group_by"] == ["alertname", "environment", "host"]
    assert (policy["group_wait"], policy["group_interval"]) == ("30s", "5m")


def test_alertmanagers_routes_lose_no_severity() -> None:
    """An alert without the label, or with another value, counts as a warning."""
    [tests, *routes] = alertmanager()["route"]["routes"]

    assert tests["matchers"] == ['soundcheck_test!=""']
    assert [route["receiver"] for route in tests["routes"]] == [f"soundcheck-{kind}" for kind in KINDS]
    assert {matcher for route in routes for matcher in route["matchers"]} == {
        'severity="critical"',
        'severity!="critical"',
    }
    assert len(routes) == 4 + 3
    assert all(route["continue"] for route in routes)


def test_alertmanagers_configuration_reads_every_secret_from_a_file() -> None:
    text = json.dumps(alertmanager())
    files = {entry["path"]: entry for entry in rendering().value("contact_points_alertmanager_files")}

    assert not [name for name, value in SECRETS.items() if value in text]
    assert {path: entry["content"] for path, entry in files.items()} == {
        "alertmanager/secrets/smtp-password": SECRETS["vault_smtp_password"],
        "alertmanager/secrets/slack-webhook-url": SECRETS["vault_slack_webhook_url"],
        "alertmanager/secrets/discord-webhook-url": SECRETS["vault_discord_webhook_url"],
        "alertmanager/secrets/telegram-bot-token": SECRETS["vault_telegram_bot_token"],
    }
    assert {(entry["mode"], entry["secret"]) for entry in files.values()} == {("0400", True)}
    for path in files:
        assert f"/etc/{path}" in text
    assert {kind: config["send_resolved"] for kind, config in receivers().items()} == {
        **dict.fromkeys(KINDS, True),
        "discord": False,
    }


@pytest.mark.parametrize(
    ("smtp", "expected"),
    [
        ({}, {"smarthost": "mail.example.org:587", "require_tls": True}),
        ({"port": 25, "tls": False}, {"smarthost": "mail.example.org:25", "require_tls": False}),
        # TLS from the first byte: Alertmanager must not ask for STARTTLS on top.
        ({"port": 465}, {"smarthost": "mail.example.org:465", "require_tls": False}),
    ],
)
def test_mail_server(smtp: dict[str, Any], expected: dict[str, Any]) -> None:
    email = receivers(contact_points=mail_through({**SMTP, **smtp}))["email"]

    assert {key: email[key] for key in expected} == expected
    assert email["to"] == "ops@example.org, dev@example.org"


def test_a_mail_server_without_a_user_needs_no_password() -> None:
    smtp = {"host": "localhost", "from": "alerts@example.org"}

    assert "auth_password_file" not in receivers(contact_points=mail_through(smtp))["email"]
    paths = [
        e["path"]
        for e in rendering(contact_points=mail_through(smtp)).value("contact_points_alertmanager_files")
    ]
    assert "alertmanager/secrets/smtp-password" not in paths


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_every_channel_tells_the_same(locale: str) -> None:
    """Alert, severity, texts, runbook, host, environment and a link, in the language chosen."""
    found = grafana(locale=locale)
    settings = {kind: entry["settings"] for kind, entry in found.items()}
    texts = {
        "email": settings["email"]["subject"] + settings["email"]["message"],
        "slack": settings["slack"]["title"] + settings["slack"]["text"],
        "discord": settings["discord"]["title"] + settings["discord"]["message"],
        "telegram": settings["telegram"]["message"],
    }
    words = {"en": "What to do: ", "ko": "조치: "}
    for kind, text in texts.items():
        for part in ("alertname", "severity", "host", "environment", "summary", "description", "runbook"):
            assert f".{part} " in text, (kind, part)
        assert "PanelURL" in text, kind
        assert words[locale] in text, kind
    own = {
        kind: receiver.get("text") or receiver["message"]
        for kind, receiver in receivers(locale=locale).items()
    }
    for kind, text in own.items():
        assert words[locale] in text, kind
        assert "{{ $.ExternalURL }}" in text, kind


@pytest.mark.parametrize(("service", "kind"), DOCUMENTED)
def test_the_longest_message_fits_what_the_service_takes(service: str, kind: str) -> None:
    """Every part as long as it may become, times the alerts that are shown, and the title."""
    words = rendering().value("_contact_points_words")["ko"]
    body = filters._body(kind, service, words)
    [shown] = {int(number) for number in re.findall(r"lt \$index (\d+)", body)}
    alert = body.split("{{ end }}", 1)[1].rsplit("{{ end }}{{ end }}", 1)[0]
    longest = re.sub(r'\{\{ printf "%\.(\d+)s"[^}]*\}\}', lambda found: "x" * int(found[1]), alert)
    longest = re.sub(r"\{\{ \$alert\.\w+At[^}]*\}\}", "2026-11-24 17:00:00 UTC", longest)
    # Grafana's link to a panel: host, uid of 40 characters, times, organisation and panel.
    longest = re.sub(r"\{\{ (or )?\$[^}]*URL[^}]*\}\}", "x" * 160, longest)
    longest = re.sub(r"\{\{[^}]*\}\}", "", longest)

    assert shown >= 1
    assert len(longest) <= filters.ALERT_LENGTH
    title = 200 if kind == "telegram" else 0
    assert shown * (len(longest) + 2) + title + 60 <= DOCUMENTED[service, kind]


def test_slack_reads_no_markup_in_an_alert() -> None:
    text = receivers()["slack"]["text"]

    assert text.count('reReplaceAll "<" "&lt;"') == len(re.findall("printf", text))
    assert "reReplaceAll" not in receivers()["telegram"]["message"]


def test_telegram_gets_text_without_markup() -> None:
    assert receivers()["telegram"]["parse_mode"] == ""
    assert grafana()["telegram"]["settings"]["parse_mode"] == "None"


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({"email": None}, "contact_points.email: addresses was expected"),
        ({"telegram": {"severities": ["critical"]}}, "contact_points.telegram: chat_id was expected"),
    ],
)
def test_a_point_without_its_address_is_an_error(points: dict[str, Any], expected: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(expected)):
        filters.contact_points_policy(points, {})


@pytest.mark.parametrize(
    ("severities", "routed"),
    [(None, {"critical", "warning"}), (["warning"], {"warning"}), ([], set())],
)
def test_severities_of_a_point(severities: list[str] | None, routed: set[str]) -> None:
    points = {"slack": {"severities": severities}}
    routes = rendering(contact_points=points).value("contact_points_policy")["routes"]
    assert {route["object_matchers"][-1][2] for route in routes} == routed


def test_an_unknown_kind_is_an_error_that_names_it() -> None:
    expected = r"contact_points\.slak: one of email, slack, discord, telegram was expected"
    with pytest.raises(AnsibleFilterError, match=expected):
        filters.contact_points_policy({"slak": {}}, {})


@pytest.mark.parametrize("smtp", [None, {}, {"host": "mail.example.org"}])
def test_mail_without_a_server_is_an_error_of_alertmanager_alone(smtp: dict[str, Any] | None) -> None:
    points = {"email": {"addresses": ["ops@example.org"], "smtp": smtp}}
    words = rendering().value("_contact_points_words")["en"]
    timing = rendering().value("_contact_points_timing")

    assert len(filters.contact_points_grafana(points, {}, words)) == 1
    with pytest.raises(AnsibleFilterError, match=r"contact_points\.email\.smtp: host and from"):
        filters.contact_points_alertmanager(points, timing, words, "/secrets")


def test_both_languages_have_the_same_words() -> None:
    variables = yaml.safe_load((ROOT / "roles/contact_points/vars/main.yml").read_text(encoding="utf-8"))

    for name in ("_contact_points_words", "_contact_points_test_alerts"):
        assert set(variables[name]["en"]) == set(variables[name]["ko"])
