"""Ask the Docker engine of this host through its socket: no client and no process per question."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.survey_parse import (
    cli_version,
    compose_projects,
    docker_engine,
    images_present,
    published_ports,
)

SOCKET = "/var/run/docker.sock"
TIMEOUT_SECONDS = 15
# What ships dockerd, by the file list that dpkg keeps of an installed package.
PACKAGES = ("docker-ce", "docker.io", "moby-engine")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def survey(references: list[str], path: str = SOCKET) -> dict[str, Any]:
    """The keys `docker`, `images_present`, `projects`, `published` and `networks` of the survey."""
    docker: dict[str, Any] = {
        "installed": shutil.which("dockerd", path=PATH) is not None or os.path.exists("/snap/bin/docker"),
        "package": _package(),
        "reachable": False,
        "error": "",
        "unit_state": "",
        **docker_engine({}, {}),
    }
    images: list[dict[str, Any]] = []
    containers: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    # The two programs take longer to start than the engine to answer, so all are asked at the same time.
    with ThreadPoolExecutor(max_workers=2) as pool:
        client = pool.submit(_command, "docker", "--version")
        compose = pool.submit(_command, "docker", "compose", "version", "--short")
        try:
            docker.update(docker_engine(_get(path, "/version"), _get(path, "/info")), reachable=True)
            images = _get(path, "/images/json")
            containers = _get(path, "/containers/json?all=1")
            networks = _get(path, "/networks")
        except FileNotFoundError:
            docker["error"] = f"{path} does not exist"
        except (OSError, http.client.HTTPException, ValueError) as error:
            docker["error"] = f"{path}: {error}"
    docker.update(client_version=client.result(), compose_version=compose.result())
    if not docker["reachable"] and docker["installed"] and shutil.which("systemctl", path=PATH):
        docker["unit_state"] = _run("systemctl", "is-active", "docker.service").strip()
    return {
        "docker": docker,
        "images_present": images_present(references, images),
        "projects": compose_projects(containers),
        "published": published_ports(containers),
        "networks": sorted(network["Name"] for network in networks),
    }


def _get(path: str, resource: str) -> Any:
    """One answer of the Engine API; without a version in the path it is the engine's own."""
    connection = _SocketConnection(path)
    try:
        connection.request("GET", resource)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{resource} answered {response.status}: {body[:200].decode(errors='replace')}")
    return json.loads(body)


def _package() -> str:
    for package in PACKAGES:
        if os.path.exists(f"/var/lib/dpkg/info/{package}.list"):
            return package
    return "snap" if os.path.exists("/snap/bin/docker") else ""


def _command(*command: str) -> str:
    return cli_version(_run(*command))


def _run(*command: str) -> str:
    """Standard output of a command, empty when there is no such command or it fails to answer."""
    executable = shutil.which(command[0], path=PATH)
    if executable is None:
        return ""
    try:
        done = subprocess.run(
            [executable, *command[1:]], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # `systemctl is-active` prints its answer with a status other than 0.
    return done.stdout if done.returncode == 0 or command[0] == "systemctl" else ""
