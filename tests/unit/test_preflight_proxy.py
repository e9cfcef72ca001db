"""Refusals about what the public reaches: each bad value by itself, before anything changes."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils import preflight_proxy, preflight_rules, survey_probe
from tests.unit.test_preflight_rules import changed, listener, refusals, sound_settings, sound_survey

DOMAIN = "music.soundcheck.dev"


def settings(**changes: Any) -> dict[str, Any]:
    public = {
        "proxy": "caddy",
        "app_domain": DOMAIN,
        "app_stack_proxy_address": "",
        "app_stack_proxy_http_port": 80,
        "app_stack_proxy_https_port": 443,
        "app_stack_proxy_refused_paths": ["/metrics", "/admin/*"],
        "app_stack_proxy_trusted_networks": [],
        "app_stack_proxy_body_limit": "100M",
        "app_stack_proxy_try_seconds": 10,
        "app_stack_proxy_memory": "128M",
    }
    return {**sound_settings(), **public, **changes}


def survey(*addresses: str, error: str = "") -> dict[str, Any]:
    resolved = {DOMAIN: {"addresses": list(addresses or ["203.0.113.10"]), "error": error}}
    return {**sound_survey(), "resolved": resolved}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"app_domain": "", "app_stack_proxy_address": "127.0.0.1"},
        {"app_domain": "", "app_stack_proxy_address": "::1"},
        {"app_domain": "music.localhost"},
        # A load balancer ends TLS before it.
        {"app_domain": "", "app_stack_proxy_trusted_networks": ["10.0.0.0/8", "fd00::1"]},
        {"app_domain": "", "preflight_production": False},
        {"proxy": "external", "app_domain": "elsewhere.soundcheck.dev"},
    ],
    ids=str,
)
def test_what_works_is_let_through(changes: dict[str, Any]) -> None:
    assert refusals(settings(**changes), survey()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"app_domain": f"https://{DOMAIN}"},
            f"app_domain: `https://{DOMAIN}` has a scheme; set the name alone",
        ),
        ({"app_domain": f"{DOMAIN}:8443"}, f"app_domain: `{DOMAIN}:8443` has a port; set the name alone"),
        ({"app_domain": f"{DOMAIN}/app"}, f"app_domain: `{DOMAIN}/app` holds more than a name"),
        ({"app_domain": "203.0.113.10"}, "app_domain: `203.0.113.10` is an address, and no name to certify"),
        ({"app_domain": "2001:db8::1"}, "app_domain: `2001:db8::1` is an address"),
        ({"app_domain": "music"}, "app_domain: `music` is not a domain name"),
        ({"app_domain": "Music.Soundcheck.dev"}, "app_domain: `Music.Soundcheck.dev` is not a domain name"),
        ({"app_domain": "my_app.soundcheck.dev"}, "app_domain: `my_app.soundcheck.dev` is not a domain name"),
        ({"app_domain": "a..soundcheck.dev"}, "app_domain: `a..soundcheck.dev` is not a domain name"),
        ({"app_domain": f"{DOMAIN} {{"}, f"app_domain: `{DOMAIN} {{` is not a domain name"),
        (
            {"app_domain": "music.example.net"},
            "app_domain: `music.example.net` is an example; set the domain",
        ),
        ({"app_stack_proxy_address": "eth0"}, "app_stack_proxy_address: `eth0` is not an IP address"),
        (
            {"app_domain": "", "app_stack_proxy_address": "0.0.0.0"},
            "app_stack_proxy_address: `0.0.0.0` takes the public's requests without TLS; set app_domain",
        ),
        (
            {"app_domain": ""},
            "app_stack_proxy_address: `` takes the public's requests without TLS; set app_domain",
        ),
        (
            {"app_stack_proxy_refused_paths": ["/metrics", "admin/*"]},
            "app_stack_proxy_refused_paths: `admin/*`; write a path that begins with /",
        ),
        ({"app_stack_proxy_refused_paths": ["/a b"]}, "app_stack_proxy_refused_paths: `/a b`"),
        ({"app_stack_proxy_refused_paths": ["/{path}"]}, "app_stack_proxy_refused_paths: `/{path}`"),
        (
            {"app_stack_proxy_trusted_networks": ["10.0.0.0/33"]},
            "app_stack_proxy_trusted_networks: `10.0.0.0/33`; write addresses as 10.0.0.0/8",
        ),
        (
            {"app_stack_proxy_body_limit": "100MB"},
            "app_stack_proxy_body_limit: `100MB`; write a whole number",
        ),
        ({"app_stack_proxy_try_seconds": 0}, "app_stack_proxy_try_seconds: 0; set it to 1 or more"),
        ({"app_stack_proxy_memory": "lots"}, "app_stack_proxy_memory: `lots`; write a whole number"),
        (
            {"app_stack_proxy_http_port": 8000},
            "app_stack_proxy_http_port: 8000 is also app_stack_backend_port; give each service its own",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_value_is_refused_alone(changes: dict[str, Any], expected: str) -> None:
    (problem,) = refusals(settings(**changes), survey())
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {"addresses": [], "error": "Name or service not known"},
            f"app_domain: `{DOMAIN}` has no DNS: Name or service not known; let its A or AAAA record",
        ),
        ({"addresses": [], "error": ""}, f"app_domain: `{DOMAIN}` has no DNS: no address"),
        (
            {"addresses": ["127.0.1.1", "::1"], "error": ""},
            f"app_domain: `{DOMAIN}` is 127.0.1.1 in the eyes of the server, which",
        ),
    ],
    ids=["unknown", "empty", "from /etc/hosts"],
)
def test_a_domain_without_dns_is_refused_where_its_certificate_is_wanted(
    answer: dict[str, Any], expected: str
) -> None:
    found = {**sound_survey(), "resolved": {DOMAIN: answer}}

    (problem,) = refusals(settings(), found)

    assert problem.startswith(expected)
    assert refusals(settings(proxy="external"), found) == []


@pytest.mark.parametrize(("port", "name"), [(80, "http"), (443, "https")])
def test_a_public_port_that_another_holds_is_refused(port: int, name: str) -> None:
    holder = listener(port, process="apache2", pid=512)
    taken = changed(survey(), {"listening/0": holder})

    (problem,) = refusals(settings(), taken)

    assert problem.startswith(f"app_stack_proxy_{name}_port: {port} is taken by apache2 (pid 512)")
    assert refusals(settings(proxy="external"), taken) == []
    ours = changed(survey(), {"listening/0": {**holder, "project": "app", "service": "proxy"}})
    assert refusals(settings(), ours) == []


def test_a_network_of_an_own_proxy_has_to_be_there() -> None:
    joined = settings(proxy="external", app_stack_proxy_network="traefik")

    (problem,) = refusals(joined, {**survey(), "networks": ["bridge"]})

    assert problem.startswith(
        "app_stack_proxy_network: the server has no Docker network `traefik`; start your proxy"
    )
    assert refusals(joined, {**survey(), "networks": ["bridge", "traefik"]}) == []


def test_https_is_no_port_of_plain_http() -> None:
    plain = settings(app_domain="", app_stack_proxy_address="127.0.0.1")
    taken = changed(survey(), {"listening/0": listener(443, process="apache2", pid=512)})
    assert refusals(plain, taken) == []


def test_an_own_proxy_is_told_what_rests_on_it() -> None:
    (warning,) = preflight_rules.warnings(settings(proxy="external"), survey())

    assert str(warning).startswith(
        "proxy: external: TLS, the refusal of /metrics and the admin, health checks"
    )
    assert preflight_rules.warnings(settings(), survey()) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, [DOMAIN]),
        ({"app_domain": ""}, []),
        ({"app_domain": None}, []),
        ({"app_domain": "music.localhost"}, []),
        ({"app_domain": f"https://{DOMAIN}"}, []),
        ({"proxy": "external"}, []),
    ],
    ids=str,
)
def test_the_host_is_asked_for_names_that_need_dns(changes: dict[str, Any], names: list[str]) -> None:
    assert preflight_proxy.asked_names(settings(**changes)) == names


def test_a_name_is_resolved_or_its_failure_told() -> None:
    assert "127.0.0.1" in survey_probe.resolve("localhost")["addresses"]
    unknown = survey_probe.resolve("no-such-name.invalid")
    assert unknown["addresses"] == []
    assert unknown["error"]
    assert survey_probe.resolve("a" * 70 + ".example")["error"]
