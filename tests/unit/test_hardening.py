"""T12: what a container may do on its host, for every service of both projects.

Each rule holds for every service, one that is added tomorrow included. What a service needs beyond the rules
stands in WAIVERS with the reason; a waiver that no service needs any more fails as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from tests.render import Rendering
from tests.unit.test_render_telemetry import COMBINATIONS, COMPOSE_FILE, compose, settings

# Only what serves the public may be asked from anywhere.
PUBLIC = {"proxy"}
SOCKETS = [PurePosixPath(path) for path in ("/run/docker.sock", "/var/run/docker.sock")]
NAMESPACES = ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup")

IMAGE_USER = "runs as the user of its image: a uid of ours might not read the app's own files"
WAIVERS = {
    **{
        (service, "user of the image"): IMAGE_USER
        for service in ("backend", "celery", "celery-ai", "celery-beat", "traffic", "check", "migrate")
    },
    ("proxy", "user of the image"): "listens at ports below 1024; has none of root's other capabilities",
    ("proxy", "capability NET_BIND_SERVICE"): "its program carries it and does not start without",
    ("cadvisor", "root"): "reads the cgroups and /proc of all containers; has none of root's capabilities",
    ("cadvisor", "socket within /"): "asks Docker for names and labels of containers; read-only",
    ("cadvisor", "device /dev/kmsg"): "reads there which containers the kernel killed for their memory",
    ("cadvisor", "capability SYSLOG"): "the kernel lets nobody read its log without it",
    ("node-exporter", "socket within /"): "measures every disk of the host; read-only, and nobody's user",
    ("grafana-agent", "capability NET_BIND_SERVICE"): "its program carries it and does not start without",
}


@cache
def app_files(database: str) -> dict[str, str]:
    wanted = settings("prometheus_agent", database, "embedded") | {"app_stack_flower_enabled": True}
    return Rendering(settings=wanted).project("app")


def services(collector: str, database: str, destination: str) -> dict[str, dict[str, Any]]:
    app: dict[str, dict[str, Any]] = yaml.safe_load(app_files(database)[COMPOSE_FILE])["services"]
    return app | compose(collector, database, destination)["services"]


def findings(name: str, service: dict[str, Any]) -> Iterator[str]:
    """What a service may do beyond the rules, each in the words of WAIVERS."""
    if service.get("privileged"):
        yield "privileged"
    if service.get("cap_drop") != ["ALL"]:
        yield "capabilities of Docker's default"
    for capability in service.get("cap_add", []):
        yield f"capability {capability}"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "new privileges"
    if service.get("read_only") is not True:
        yield "writable root file system"
    user = str(service.get("user", "")).partition(":")[0]
    if user in {"0", "root"}:
        yield "root"
    elif not user.isdigit():
        yield "user of the image"
    for namespace in NAMESPACES:
        if namespace in service:
            yield f"{namespace} of the host"
    for device in service.get("devices", []):
        yield f"device {device.partition(':')[0]}"
    yield from mounts(service)
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    for limit in {"memory", "pids"} - set(limits):
        yield f"no limit of {limit}"
    if "env_file" in service:
        yield "secrets in docker inspect"
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:") and name not in PUBLIC:
            yield f"public port {port}"
    if service.get("logging", {}).get("options") != {"max-size": "10m", "max-file": "3"}:
        yield "logs without end"


def mounts(service: dict[str, Any]) -> Iterator[str]:
    for mount in service.get("volumes", []):
        source, _, target = mount.partition(":")
        if not source.startswith("/"):
            continue
        if not target.endswith(":ro"):
            yield f"writes to {source} of the host"
        if any(PurePosixPath(source) in (socket, *socket.parents) for socket in SOCKETS):
            yield f"socket within {source}"


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_no_service_may_do_more_than_is_waived(combination: tuple[str, str, str]) -> None:
    found = {
        (name, finding)
        for name, service in services(*combination).items()
        for finding in findings(name, service)
    }

    assert sorted(found - set(WAIVERS)) == []


def test_every_waiver_is_needed() -> None:
    needed = {
        (name, finding)
        for combination in COMBINATIONS
        for name, service in services(*combination).items()
        for finding in findings(name, service)
    }

    assert sorted(set(WAIVERS) - needed) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"privileged": True}, "privileged"),
        ({"cap_drop": ["NET_RAW"]}, "capabilities of Docker's default"),
        ({"cap_add": ["SYS_ADMIN"]}, "capability SYS_ADMIN"),
        ({"security_opt": ["no-new-privileges:true", "seccomp=unconfined"]}, "new privileges"),
        ({"read_only": False}, "writable root file system"),
        ({"user": "0:0"}, "root"),
        ({"user": "root"}, "root"),
        ({"user": None}, "user of the image"),
        ({"network_mode": "host"}, "network_mode of the host"),
        ({"pid": "host"}, "pid of the host"),
        ({"devices": ["/dev/sda:/dev/sda"]}, "device /dev/sda"),
        ({"volumes": ["/run/docker.sock:/run/docker.sock:ro"]}, "socket within /run/docker.sock"),
        ({"volumes": ["/run:/run:ro"]}, "socket within /run"),
        ({"volumes": ["/opt/soundcheck:/data"]}, "writes to /opt/soundcheck of the host"),
        ({"deploy": {"resources": {"limits": {"pids": 1}}}}, "no limit of memory"),
        ({"deploy": {"resources": {"limits": {"memory": "1M"}}}}, "no limit of pids"),
        ({"env_file": "./.env"}, "secrets in docker inspect"),
        ({"ports": ["9090:9090"]}, "public port 9090:9090"),
        ({"ports": ["0.0.0.0:9090:9090"]}, "public port 0.0.0.0:9090:9090"),
        ({"logging": {"driver": "json-file"}}, "logs without end"),
    ],
)
def test_a_rule_finds_what_it_forbids(change: dict[str, Any], finding: str) -> None:
    sound = services(*COMBINATIONS[0])["postgres-exporter"]

    assert list(findings("postgres-exporter", sound)) == []
    assert list(findings("postgres-exporter", sound | change)) == [finding]
