"""What the survey makes of a host's files and of the Docker engine's answers.

Recorded on Debian 12 with docker.io 20.10.24 and shortened to the fields that are read; what Docker 29 says
of its containerd image store follows the Engine API's documentation.
"""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils import survey_docker, survey_parse, survey_probe

DEBIAN = """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
"""
UBUNTU = """PRETTY_NAME="Ubuntu 24.04.1 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
MEMINFO = """MemTotal:       24684096 kB
MemFree:        19036660 kB
MemAvailable:   24122780 kB
SwapTotal:             0 kB
HugePages_Total:       0
"""
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1574 1
   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9182 1
   2: 0100007F:1F40 0100007F:C3A2 01 00000000:00000000 00:00000000 00000000     0        0 9190 1
"""
ANY_V6 = "0" * 32
TCP6 = f"""  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: {ANY_V6}:0016 {ANY_V6}:0000 0A 00000000:00000000 00:00000000 00000000     0        0 800 1
   1: {"0" * 24}01000000:2382 {ANY_V6}:0000 0A 00000000:00000000 00:00000000 00000000     0        0 801 1
"""
VERSION = {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
INFO = {
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Native Overlay Diff", "true"]],
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "DockerRootDir": "/var/lib/docker",
    "HttpProxy": "",
    "HttpsProxy": "http://proxy.example:3128",
    "RegistryConfig": {"Mirrors": ["https://mirror.example/"]},
}
CONTAINERS: list[dict[str, Any]] = [
    {
        "Names": ["/app-backend-1"],
        "Image": "soundcheck/app:0123456789ab",
        "State": "running",
        "Ports": [
            {"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": 8000, "Type": "tcp"},
            {"PrivatePort": 9000, "Type": "tcp"},
        ],
        "Labels": {"com.docker.compose.project": "app", "com.docker.compose.service": "backend"},
    },
    {
        "Names": ["/app-backend-2"],
        "Image": "soundcheck/app:0123456789ab",
        "State": "exited",
        "Ports": [],
        "Labels": {"com.docker.compose.project": "app", "com.docker.compose.service": "backend"},
    },
    {
        "Names": ["/app-migrate-run-1"],
        "Image": "soundcheck/app:0123456789ab",
        "State": "running",
        "Ports": [],
        "Labels": {
            "com.docker.compose.project": "app",
            "com.docker.compose.service": "migrate",
            "com.docker.compose.oneoff": "True",
        },
    },
    {
        "Names": ["/stray"],
        "Image": "nginx",
        "State": "running",
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
        ],
        "Labels": None,
    },
]
IMAGES: list[dict[str, Any]] = [
    {"RepoTags": ["rabbitmq:4.1.4", "soundcheck/app:0123456789ab"], "RepoDigests": ["rabbitmq@sha256:aa"]},
    {"RepoTags": ["ghcr.io/google/cadvisor:v0.56.2"], "RepoDigests": None},
    {"RepoTags": None, "RepoDigests": ["grafana/alloy@sha256:bb"]},
    {"RepoTags": ["nginx:latest"], "RepoDigests": []},
]


def test_os_release() -> None:
    debian = survey_parse.os_release(DEBIAN)
    assert (debian["id"], debian["version_id"], debian["codename"]) == ("debian", "12", "bookworm")
    assert debian["pretty_name"] == "Debian GNU/Linux 12 (bookworm)"
    ubuntu = survey_parse.os_release(UBUNTU)
    assert (ubuntu["id"], ubuntu["version_id"], ubuntu["codename"]) == ("ubuntu", "24.04", "noble")
    assert survey_parse.os_release("")["id"] == ""


def test_meminfo() -> None:
    expected = {"total": 24684096 * 1024, "available": 24122780 * 1024, "swap": 0}
    assert survey_parse.meminfo(MEMINFO) == expected


def test_listening_sockets_and_no_others() -> None:
    assert survey_parse.listeners(TCP) == [("0.0.0.0", 2024, "1574"), ("127.0.0.1", 8000, "9182")]
    assert survey_parse.listeners(TCP6) == [("::", 22, "800"), ("::1", 9090, "801")]
    assert survey_parse.listeners("") == []


def test_docker_engine() -> None:
    engine = survey_parse.docker_engine(VERSION, INFO)
    assert engine == {
        "server_version": "20.10.24+dfsg1",
        "api_version": "1.41",
        "api_version_minimum": "1.12",
        "storage_driver": "overlay2",
        "containerd_image_store": False,
        "cgroup_driver": "cgroupfs",
        "cgroup_version": "1",
        "data_root": "/var/lib/docker",
        "proxies": {"https": "http://proxy.example:3128"},
        "registry_mirrors": ["https://mirror.example/"],
    }


def test_the_containerd_image_store_is_recognised() -> None:
    """T14: the default of Docker 29."""
    info = {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    assert survey_parse.docker_engine({}, info)["containerd_image_store"] is True


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Docker version 28.2.2, build e6534b4\n", "28.2.2"),
        ("Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24+dfsg1"),
        ("2.26.1-4\n", "2.26.1-4"),
        ("v2.20\n", "2.20"),
        ("", ""),
    ],
)
def test_versions_of_commands(output: str, version: str) -> None:
    assert survey_parse.cli_version(output) == version


def test_projects_count_their_services_and_leave_jobs_out() -> None:
    assert survey_parse.compose_projects(CONTAINERS) == {
        "app": {"backend": {"image": "soundcheck/app:0123456789ab", "containers": 2, "running": 1}}
    }


def test_published_ports_name_the_service_behind_them() -> None:
    published = survey_parse.published_ports(CONTAINERS)
    found = [(entry["port"], entry["address"], entry["container"], entry["project"]) for entry in published]
    assert found == [
        (8000, "127.0.0.1", "app-backend-1", "app"),
        (8080, "0.0.0.0", "stray", ""),
        (8080, "::", "stray", ""),
    ]


def test_images_are_found_under_every_spelling() -> None:
    references = [
        "rabbitmq:4.1.4",
        "docker.io/library/rabbitmq:4.1.4",
        "rabbitmq:4.1.4@sha256:aa",
        "docker.io/grafana/alloy@sha256:bb",
        "ghcr.io/google/cadvisor:v0.56.2",
        "nginx",
        "soundcheck/app:0123456789ab",
    ]
    absent = ["rabbitmq:4.1.5", "rabbitmq@sha256:bb", "cadvisor:v0.56.2", "registry.example:5000/nginx"]
    assert survey_parse.images_present(references + absent, IMAGES) == references


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("rabbitmq:4", "registry-1.docker.io"),
        ("grafana/alloy:v1", "registry-1.docker.io"),
        ("docker.io/grafana/alloy:v1", "registry-1.docker.io"),
        ("ghcr.io/google/cadvisor:v0.56.2", "ghcr.io"),
        ("registry.example:5000/app:1", "registry.example:5000"),
        ("localhost/app:1", "localhost"),
    ],
)
def test_registry_of_a_reference(reference: str, registry: str) -> None:
    assert survey_parse.registry_of(reference) == registry


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers as the Engine API does."""

    answers: dict[str, Any] = {  # noqa: RUF012
        "/version": VERSION,
        "/info": INFO,
        "/images/json": IMAGES,
        "/containers/json?all=1": CONTAINERS,
        "/networks": [{"Name": "telemetry", "Driver": "bridge"}, {"Name": "bridge", "Driver": "bridge"}],
    }

    def do_GET(self) -> None:
        body = json.dumps(self.answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(401 if self.path == "/v2/" else 503)
        self.end_headers()

    def address_string(self) -> str:
        return "test"

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(path, Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def test_an_engine_that_answers(engine: str) -> None:
    found = survey_docker.survey(["rabbitmq:4.1.4", "rabbitmq:5"], engine)
    assert found["docker"]["reachable"] is True
    assert found["docker"]["server_version"] == "20.10.24+dfsg1"
    assert found["images_present"] == ["rabbitmq:4.1.4"]
    assert list(found["projects"]) == ["app"]
    assert found["networks"] == ["bridge", "telemetry"]


def test_a_silent_engine_is_told_with_its_reason(tmp_path: Path) -> None:
    """Docker down"""
    missing = survey_docker.survey([], str(tmp_path / "docker.sock"))
    assert missing["docker"]["reachable"] is False
    assert missing["docker"]["error"].endswith("docker.sock does not exist")
    (tmp_path / "file.sock").write_text("")
    refused = survey_docker.survey([], str(tmp_path / "file.sock"))
    assert "refused" in refused["docker"]["error"]
    assert refused["images_present"] == refused["networks"] == []


def test_probes_tell_an_answer_from_silence() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        greeting, gateway = survey_probe.probe([f"{base}/v2/", f"{base}/gateway"], {}, 5)
        server.shutdown()
    silent, malformed = survey_probe.probe([f"{base}/v2/", "no-scheme"], {}, 5)
    assert (greeting["reachable"], greeting["error"]) == (True, "")
    assert (gateway["reachable"], gateway["error"]) == (False, "HTTP status 503")
    assert silent["reachable"] is False
    assert "refused" in silent["error"]
    assert malformed["reachable"] is False
    assert survey_probe.probe([], {}, 5) == []
