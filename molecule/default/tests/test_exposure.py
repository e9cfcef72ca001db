"""T12: nothing but ssh can be reached from outside, and no secret lies where others read.

Without a domain the proxy, too, is on loopback.
"""

from __future__ import annotations

import json
import shlex
import socket
from concurrent.futures import ThreadPoolExecutor

from server import PROJECTS, Server, playbook

PUBLISHED = {80, 8000, 15692, 9090, 9093, 9095}
LEAK = "leaked-if-you-can-read-this-0123456789"
CHANGED = (
    *("vault_django_secret_key", "vault_database_password", "vault_rabbitmq_password"),
    *("vault_metrics_write_password", "vault_metrics_read_password"),
)
# Users of the containers that read a file of their own; the app's are given the group instead.
READERS = {0, 999, 65534}
APP_GROUP = 59771
# Prints those of its arguments, address:port, that take a connection.
KNOCK = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def taken(target):
    address, _, port = target.rpartition(":")
    try:
        socket.create_connection((address, int(port)), 2).close()
    except OSError:
        return False
    return True
with ThreadPoolExecutor(50) as pool:
    for target, open in zip(sys.argv[1:], pool.map(taken, sys.argv[1:])):
        if open:
            print(target)
"""


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
        for path in ("/healthz", "/metrics", "/metrics/", "/admin/", "/flower/", "/soundcheck/ready")
    }

    assert statuses.pop("/healthz") == "200"
    assert set(statuses.values()) == {"404"}


def doors(server: Server, namespace: str = "") -> set[int]:
    """The ports that take connections from other hosts, of the server or of a container's network."""
    lines = server.run(f"{namespace} ss -Hltn").splitlines()
    local = [line.split()[3].rpartition(":") for line in lines]
    return {int(port) for address, _, port in local if not address.startswith(("127.", "[::1]"))}


def container_doors(server: Server) -> list[str]:
    """address:port of everything that listens in a container, on each of its networks."""
    return [
        f"{network['IPAddress']}:{port}"
        for entry in server.containers().values()
        for port in doors(server, f"nsenter --target {entry['State']['Pid']} --net")
        for network in entry["NetworkSettings"]["Networks"].values()
    ]


def knock(server: Server, network: str, targets: list[str]) -> list[str]:
    """Those that take a connection from a container on that network."""
    image = server.containers()["backend"]["Config"]["Image"]
    command = ["docker", "run", "--rm", f"--network={network}", "--entrypoint=python", image, "-c", KNOCK]
    return server.run(shlex.join([*command, *targets])).split()


def test_another_host_reaches_nothing_but_ssh(server: Server) -> None:
    """From this machine, to the server's address: whatever listens there or in one of its containers."""
    address = server.run("ip -4 -o address show dev eth0").split()[3].partition("/")[0]
    inside = {int(target.rpartition(":")[2]) for target in container_doors(server)}
    ports = sorted(doors(server) | inside | PUBLISHED)

    def taken(port: int) -> bool:
        try:
            socket.create_connection((address, port), 2).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        reached = {port for port, open_ in zip(ports, pool.map(taken, ports), strict=True) if open_}

    # Exporters, management and collector were knocked at.
    assert {5672, 8080, 9100, 9187, 9808, 15692} <= set(ports)
    assert reached == {22}


def test_another_container_reaches_no_exporter(server: Server) -> None:
    """One that somebody else starts on this server, on Docker's default network."""
    gateway = server.run("docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}'").strip()
    containers = container_doors(server)
    published = [f"{gateway}:{port}" for port in sorted(PUBLISHED)]

    assert knock(server, "bridge", [*containers, *published]) == []
    # The same knocking on the network of the collector is heard.
    assert knock(server, "telemetry", containers) != []


def test_files_with_secrets_are_their_readers_alone(server: Server, secrets: dict[str, str]) -> None:
    files = server.files("/opt/soundcheck")
    listed = server.run("find /opt/soundcheck -type f -printf '%P %m %U %G\\n'").splitlines()
    access = {
        path: (int(mode, 8), int(user), int(group)) for path, mode, user, group in map(str.split, listed)
    }
    with_secrets = {path for path, (_, content) in files.items() if leaks(content.decode(), secrets)}

    assert "app/.env.production" in with_secrets
    for path in with_secrets:
        mode, user, group = access[path]
        if group == APP_GROUP:
            assert (mode, user) == (0o440, 0), path
        else:
            assert mode in {0o400, 0o600}, path
            assert user in READERS, path
    # Nobody who logs in to the server has the group.
    assert (
        server.run(f"awk -F: '$3 == {APP_GROUP}' /etc/group; awk -F: '$4 == {APP_GROUP}' /etc/passwd") == ""
    )


def test_compose_files_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    files = server.files("/opt/soundcheck")

    for project in PROJECTS:
        _mode, content = files[f"{project}/docker-compose.prod.yml"]
        assert leaks(content.decode(), secrets) == []


def test_docker_inspect_tells_no_secret(server: Server, secrets: dict[str, str]) -> None:
    """Neither as an argument or label nor in the environment, which everyone in the group docker can read."""
    assert leaks(json.dumps(server.containers()), secrets) == []
    assert leaks(server.run("docker image inspect $(docker image ls -q)"), secrets) == []


def test_the_app_has_its_secrets_nevertheless(server: Server, secrets: dict[str, str]) -> None:
    shown = server.compose("app", "exec -T backend cat /proc/1/environ")

    assert {"django_secret_key", "database_password", "rabbitmq_password"} <= set(leaks(shown, secrets))


def test_command_lines_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    """Those of the services, and those that come and go while a deploy runs and asks for its metrics."""
    # Where nothing is to be started, a deploy does not call Compose.
    server.compose("telemetry", "stop node-exporter")
    server.run("touch /run/watching")
    watch = "while [ -e /run/watching ]; do cat /proc/[0-9]*/cmdline; sleep 0.1; done"
    server.run(f"nohup timeout 600 sh -c '{watch}' >/run/watched 2>/dev/null </dev/null &")
    try:
        again = playbook("deploy.yml")
    finally:
        server.run("rm /run/watching")
    watched = server.run("tr '\\0' ' ' </run/watched; rm /run/watched")

    assert again.status == 0, again.output
    assert "docker compose" in watched
    assert "soundcheck_canary" in watched
    assert leaks(watched, secrets) == []


def test_logs_hold_no_secret(server: Server, secrets: dict[str, str]) -> None:
    for project in PROJECTS:
        assert leaks(server.compose(project, "logs --no-color 2>&1"), secrets) == []
    assert leaks(server.run("journalctl --no-pager --quiet || true"), secrets) == []


def test_ansible_shows_no_secret_however_talkative(server: Server, secrets: dict[str, str]) -> None:
    """Not even of a file whose new content it would write."""
    foreseen = playbook(
        *("deploy.yml", "--check", "--diff", "-vvv", "--skip-tags=verify"),
        *("-e", "app_release_restart_backing=true"),
        *(word for variable in CHANGED for word in ("-e", f"{variable}={LEAK}")),
    )

    assert foreseen.status == 0, foreseen.output
    assert foreseen.changed > 0
    assert leaks(foreseen.output, {**secrets, "new": LEAK}) == []


def test_what_a_deploy_and_a_verification_leave_behind_holds_no_secret(
    server: Server, secrets: dict[str, str]
) -> None:
    assert leaks(server.run("find /tmp /root -type f -size -1024k -exec cat {} +"), secrets) == []
