"""The proxy as an inventory describes it: its service, the backend behind it, its configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import ROOT, Rendering

DOMAIN = "music.localhost"
CADDY = Path(sys.executable).parent / "caddy"
LABELS = {"traefik.enable": "true", "traefik.http.middlewares.in.basicauth.users": "me:$apr1$x"}


def compose(**settings: Any) -> dict[str, Any]:
    text = Rendering(settings=settings).project("app")["docker-compose.prod.yml"]
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def caddyfile(**settings: Any) -> str:
    return Rendering(settings=settings).template("app/proxy/Caddyfile.j2")


def published(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    ports = [(port.get("host_ip", "any"), port["published"], port["target"]) for port in service["ports"]]
    return [(address, outside, str(inside)) for address, outside, inside in ports]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [("127.0.0.1", "8000", "8000"), ("127.0.0.1", "8080", "80")]),
        (
            {"app_domain": DOMAIN, "app_stack_proxy_http_port": 80},
            [("127.0.0.1", "8000", "8000"), ("any", "80", "80"), ("any", "443", "443")],
        ),
        (
            {"app_domain": DOMAIN, "app_stack_proxy_address": "::1", "app_stack_proxy_https_port": 8443},
            [("127.0.0.1", "8000", "8000"), ("::1", "8080", "80"), ("::1", "8443", "443")],
        ),
        (
            {"app_stack_proxy_address": "10.0.0.5", "app_stack_backend_port": 8001},
            [("127.0.0.1", "8001", "8000"), ("10.0.0.5", "8080", "80")],
        ),
    ],
    ids=["plain", "domain", "one address", "ports"],
)
def test_plain_http_stays_on_loopback_and_a_domain_is_for_everyone(
    settings: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """T12."""
    assert published(compose(**settings)["services"]["proxy"]) == expected


def test_http3_comes_with_its_port_and_with_tls() -> None:
    """A client that is told of HTTP/3 and cannot reach it waits for nothing."""
    with_tls = {"app_domain": DOMAIN, "app_stack_proxy_http3": True}
    offered = compose(**with_tls)["services"]["proxy"]["ports"]

    assert [port["target"] for port in offered if port.get("protocol") == "udp"] == [443]
    assert "protocols h1 h2 h3\n" in caddyfile(**with_tls)
    assert "protocols h1 h2\n" in caddyfile(app_domain=DOMAIN)
    assert not [
        p for p in compose(app_stack_proxy_http3=True)["services"]["proxy"]["ports"] if "protocol" in p
    ]


@pytest.mark.parametrize("proxy", ["caddy", "external"])
def test_nothing_but_the_proxy_is_published_to_the_public(proxy: str) -> None:
    """T12; two containers of the backend could not publish one port, either."""
    services = compose(proxy=proxy, app_domain=DOMAIN, app_stack_flower_enabled=True)["services"]

    assert ("proxy" in services) is (proxy == "caddy")
    assert "ports" not in services["backend"]
    for name, service in services.items():
        if name != "proxy":
            assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_proxy_is_hardened_and_bounded() -> None:
    """G1.9, T12."""
    service = compose()["services"]["proxy"]

    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["NET_BIND_SERVICE"])
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    # A reload loses no connection that waits at the old listener.
    assert service["sysctls"] == {"net.ipv4.tcp_migrate_req": 1}
    assert service["deploy"]["resources"]["limits"]["memory"] == "128M"
    assert compose(app_stack_proxy_memory="96M")["services"]["proxy"]["deploy"]["resources"] == {
        "limits": {"memory": "96M", "pids": 1024}
    }


def test_a_replaced_file_is_seen_and_certificates_outlive_the_container() -> None:
    project = compose()

    assert project["services"]["proxy"]["volumes"] == [
        "proxy-data:/data",
        "/opt/soundcheck/app/proxy:/etc/caddy:ro",
    ]
    assert "proxy-data" in project["volumes"]


def test_what_the_rollout_writes_is_not_a_file_of_the_project() -> None:
    """A deploy would put it back, and remove what it does not know."""
    paths = [entry["path"] for entry in Rendering().entries("app")]

    assert [path for path in paths if path.startswith("proxy/")] == [
        "proxy/Caddyfile",
        "proxy/maintenance.html",
    ]


def test_an_own_proxy_finds_the_backend_by_labels_and_network() -> None:
    settings = {"app_stack_backend_labels": LABELS, "app_stack_proxy_network": "traefik"}
    project = compose(proxy="external", **settings)
    backend = project["services"]["backend"]

    assert backend["networks"] == ["default", "telemetry", "public"]
    assert project["networks"]["public"] == {"external": True, "name": "traefik"}
    assert backend["labels"]["traefik.http.middlewares.in.basicauth.users"] == "me:$$apr1$$x"
    assert "soundcheck.config" in backend["labels"]
    assert "proxy-data" not in project["volumes"]
    assert "public" not in compose(proxy="external")["networks"]
    assert not [path for path in Rendering(settings={"proxy": "external"}).project("app") if "proxy/" in path]


def test_image_is_wanted_where_it_runs() -> None:
    defaults = yaml.safe_load((ROOT / "roles/container_images/defaults/main.yml").read_text("utf-8"))
    wanted = {"wanted": defaults["container_images_wanted"], "container_images_with_app": True}

    assert "caddy" in Rendering(settings=wanted).value("wanted")
    assert "caddy" not in Rendering(settings={**wanted, "proxy": "external"}).value("wanted")


@pytest.mark.parametrize(
    ("settings", "hosts", "tls"),
    [
        ({}, [], False),
        (
            {"app_domain": DOMAIN, "app_stack_allowed_hosts": ["www." + DOMAIN, DOMAIN]},
            [DOMAIN, "www." + DOMAIN],
            True,
        ),
        ({"app_domain": DOMAIN, "proxy": "external"}, [DOMAIN], False),
    ],
    ids=["plain", "domain", "external"],
)
def test_django_knows_its_names_and_who_ends_tls(
    settings: dict[str, Any], hosts: list[str], tls: bool
) -> None:
    files = Rendering(settings=settings).project("app")
    told = json.loads(files["soundcheck/settings.json"])

    assert told["allowed_hosts"] == ["backend", "proxy", "localhost", "127.0.0.1", *hosts]
    assert told["tls_before"] is tls
    assert f"ALLOWED_HOSTS='{','.join(hosts)}'" in files[".env.production"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "app_domain": DOMAIN,
            "app_stack_proxy_acme_email": "ops@example.org",
            "app_stack_proxy_http3": True,
        },
        {"app_stack_proxy_refused_paths": [], "app_stack_proxy_trusted_networks": ["10.0.0.0/8", "fd00::1"]},
    ],
    ids=["plain", "domain", "behind a load balancer"],
)
def test_caddy_accepts_its_configuration_and_finds_it_tidy(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "Caddyfile"
    path.write_text(caddyfile(**settings), encoding="utf-8")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    for command in (["validate", "--adapter", "caddyfile", "--config"], ["fmt", "--diff"]):
        done = subprocess.run(
            [str(CADDY), *command, str(path)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_of_a_deploy_mounts_the_new_files_and_starts_nothing() -> None:
    (check,) = Rendering().value("app_stack_checks")

    assert "--volume={staging}/proxy:/etc/caddy:ro" in check["argv"]
    assert check["argv"][check["argv"].index("validate") - 1] == "caddy"
    assert Rendering(settings={"proxy": "external"}).value("app_stack_checks") == []


@pytest.mark.parametrize(("locale", "words"), [("en", "Back in a moment"), ("ko", "잠시 점검 중입니다")])
def test_the_page_of_a_maintenance_is_in_the_inventorys_language(locale: str, words: str) -> None:
    page = Rendering(settings={"locale": locale}).project("app")["proxy/maintenance.html"]

    assert f'<html lang="{locale}">' in page
    assert f"<h1>{words}</h1>" in page
