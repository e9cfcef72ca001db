"""T12: nothing but ssh can be reached from outside, and no secret lies where others read.

Without a domain the proxy, too, is on loopback.
"""

from __future__ import annotations

import json

from server import PROJECTS, Server, playbook

PUBLISHED = {80, 8000, 15692, 9090, 9093, 9095}
LEAK = "leaked-if-you-can-read-this-0123456789"


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, value in secrets.items() if value in text]


def test_every_port_but_ssh_is_on_loopback(server: Server) -> None:
    listening = [line.split()[3].rpartition(":") for line in server.run("ss -Hltn").splitlines()]
    outside = {int(port) for address, _, port in listening if address not in {"127.0.0.1", "[::1]"}}
    inside = {int(port) for address, _, port in listening if address == "127.0.0.1"}

    assert outside == {22}
    assert inside >= PUBLISHED


def test_docker_publishes_on_loopback_only(server: Server) -> None:
    """Docker's own rules come before a host's firewall, and a socket would not show them."""
    bindings = [
        (binding["HostIp"], int(binding["HostPort"]))
        for entry in server.containers().values()
        for published in (entry["NetworkSettings"]["Ports"] or {}).values()
        for binding in published or []
    ]

    assert {address for address, _ in bindings} == {"127.0.0.1"}
    assert {port for _, port in bindings} == PUBLISHED


def test_the_public_gets_the_app_and_neither_metrics_nor_administration(server: Server) -> None:
    """The proxy's port for the public; the host's own (G7) is asked in test_metrics."""
    statuses = {
        path: server.run(
            f"curl --silent --output /dev/null --write-out '%{{http_code}}' http://127.0.0.1{path}"
        )
        for path in ("/healthz", "/metrics", "/metrics/", "/admin/", "/flower/")
    }

    assert statuses.pop("/healthz") == "200"
    assert set(statuses.values()) == {"404"}


def test_files_with_secrets_are_their_readers_alone(server: Server, secrets: dict[str, str]) -> None:
    files = server.files("/opt/soundcheck")
    with_secrets = {path: mode for path, (mode, content) in files.items() if leaks(content.decode(), secrets)}

    assert "app/.env.production" in with_secrets
    assert {path: oct(mode) for path, mode in with_secrets.items() if mode & 0o077} == {}


def test_compose_files_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    files = server.files("/opt/soundcheck")

    for project in PROJECTS:
        _mode, content = files[f"{project}/docker-compose.prod.yml"]
        assert leaks(content.decode(), secrets) == []


def test_labels_and_command_lines_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    for service, entry in server.containers().items():
        shown = json.dumps([entry["Config"]["Labels"], entry["Path"], entry["Args"]])
        assert leaks(shown, secrets) == [], service
    assert leaks(server.run("ps -eo args"), secrets) == []


def test_logs_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    for project in PROJECTS:
        assert leaks(server.compose(project, "logs --no-color 2>&1"), secrets) == []
    assert leaks(server.run("journalctl --no-pager --quiet || true"), secrets) == []


def test_ansible_shows_no_secret_however_talkative(server: Server, secrets: dict[str, str]) -> None:
    """Not even of a file whose new content it would write."""
    foreseen = playbook(
        *("deploy.yml", "--check", "--diff", "-vvv", "--skip-tags=verify"),
        *("-e", f"vault_django_secret_key={LEAK}"),
        *("-e", f"vault_rabbitmq_password={LEAK}"),
    )

    assert foreseen.status == 0, foreseen.output
    assert foreseen.changed > 0
    assert leaks(foreseen.output, {**secrets, "new": LEAK}) == []


def test_what_a_deploy_and_a_verification_leave_behind_holds_no_secret(
    server: Server, secrets: dict[str, str]
) -> None:
    assert leaks(server.run("find /tmp /root -type f -size -1024k -exec cat {} +"), secrets) == []
