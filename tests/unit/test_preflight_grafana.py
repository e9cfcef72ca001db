"""What preflight refuses about Grafana, and that the token is in no message."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils import preflight_grafana, preflight_rules
from tests.unit.test_preflight_rules import sound_settings, sound_survey

TOKEN = "glsa_canaryOfAServiceAccount_00000000"


def refusals(**changes: Any) -> list[str]:
    settings = sound_settings() | {
        "grafana_url": "https://music.grafana.net",
        "vault_grafana_token": TOKEN,
        "grafana_provisioning_enabled": True,
        "grafana_provisioning_delivery": "api",
        "grafana_provisioning_folder_uid": "soundcheck",
        "grafana_provisioning_folder_title": "Soundcheck",
        "grafana_provisioning_host": "music-1",
        "groups": {"all": ["music-1", "music-2"]},
    }
    settings |= changes
    settings = {name: value for name, value in settings.items() if value is not None}
    found = [str(problem) for problem in preflight_rules.problems(settings, sound_survey())]
    assert "canary" not in "".join(found)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"grafana_url": "https://music.grafana.net/"},
        {"grafana_url": "http://127.0.0.1:3000"},
        {"grafana_url": "http://localhost:3000"},
        {"grafana_url": "http://grafana.internal:3000", "preflight_production": False},
        {"grafana_url": None, "vault_grafana_token": None, "grafana_provisioning_enabled": False},
        {"grafana_url": "", "vault_grafana_token": None, "grafana_provisioning_delivery": "files"},
        {"grafana_provisioning_delivery": "files", "grafana_provisioning_host": "music-2"},
        {"grafana_provisioning_delivery": "api", "grafana_provisioning_host": "elsewhere"},
        {"grafana_silence_minutes": 0},
        {"grafana_silence_minutes": "240"},
    ],
)
def test_what_is_sound_passes(changes: dict[str, Any]) -> None:
    assert refusals(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"grafana_url": "music.grafana.net"},
            "grafana_url: `music.grafana.net` has no scheme http or https; "
            "set scheme and host alone, such as https://example.grafana.net",
        ),
        ({"grafana_url": "ftp://music.grafana.net"}, "has no scheme http or https"),
        ({"grafana_url": "https://"}, "has no scheme http or https"),
        (
            {"grafana_url": "https://music.grafana.net/d/abc?orgId=1"},
            "goes on with `/d/abc?orgId=1` after the host",
        ),
        ({"grafana_url": "https://music.grafana.net/api"}, "goes on with `/api` after the host"),
        ({"grafana_url": "https://admin:canary@music.grafana.net"}, "holds a user name or password"),
        ({"grafana_url": "https://grafana.example.com"}, "is an example; set the address of your Grafana"),
        ({"grafana_url": "http://music.grafana.net"}, "sends the token without TLS; use https"),
        ({"grafana_url": ""}, "is not set although grafana_provisioning_enabled is true"),
        ({"vault_grafana_token": None}, "vault_grafana_token: is not set although grafana_url is; set it in"),
        ({"vault_grafana_token": " "}, "vault_grafana_token: is empty; set it in the vault file"),
        ({"vault_grafana_token": "changeme"}, "vault_grafana_token: is still a placeholder"),
        (
            {"vault_grafana_token": "glc_canary"},
            "vault_grafana_token: is an access policy token of Grafana Cloud (glc_...), which",
        ),
        (
            {"vault_grafana_token": "eyJrIjoicanary"},
            "is no token of a service account, which begins with glsa_",
        ),
        (
            {"grafana_provisioning_folder_uid": "sound check"},
            "grafana_provisioning_folder_uid: `sound check`",
        ),
        (
            {"grafana_provisioning_folder_title": "a/b"},
            "grafana_provisioning_folder_title: `a/b`; set a title",
        ),
        (
            {"grafana_provisioning_delivery": "files", "grafana_provisioning_host": "elsewhere"},
            "grafana_provisioning_host: `elsewhere` is no host of the inventory; "
            "set it to one of music-1, music-2",
        ),
        ({"grafana_silence_minutes": 241}, "grafana_silence_minutes: 241; set it from 0, for none, to 240"),
        ({"grafana_silence_minutes": -1}, "grafana_silence_minutes: -1"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], expected: str) -> None:
    (problem,) = refusals(**changes)
    assert expected in problem


def test_values_of_another_type_are_the_business_of_the_argument_specs() -> None:
    settings = {"grafana_url": 5, "grafana_provisioning_folder_uid": [], "grafana_silence_minutes": "soon"}
    checks = (preflight_grafana.address, preflight_grafana.folder, preflight_grafana.silence)
    assert [problem for check in checks for problem in check(settings)] == []
