"""What the tests do with the server: run commands, read containers and metrics, run playbooks against it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import testinfra
import yaml

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "inventories" / "molecule"
# How this machine reaches the server, which `molecule create` finds out.
CONNECTION = INVENTORY / "host_vars" / "soundcheck-server.yml"
PROJECTS = ("app", "telemetry")
# A sample of an exposition: name, labels, value.
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Found = TypeVar("Found")


@dataclass
class Sample:
    """One line of an exposition."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str) -> list[Sample]:
    matches = [SAMPLE.match(line) for line in text.splitlines()]
    return [
        Sample(match[1], dict(LABEL.findall(match[2] or "")), float(match[3])) for match in matches if match
    ]


def eventually(ask: Callable[[], Found], wanted: Callable[[Found], bool], seconds: float) -> Found:
    """The answer as soon as it is the wanted one, and at the latest the last one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if wanted(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(1)


@dataclass
class Playbook:
    """A finished run."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        [found] = re.findall(r"^soundcheck-server .*changed=(\d+)", self.output, re.M)
        return int(found)


def playbook(name: str, *arguments: str) -> Playbook:
    # Molecule asks for colours, which would stand between the words that tests look for.
    inherited = {name: text for name, text in os.environ.items() if not name.endswith("FORCE_COLOR")}
    environment = {**inherited, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        ["ansible-playbook", "-i", str(INVENTORY), name, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return Playbook(done.returncode, done.stdout)


def connected() -> Any:
    connection = yaml.safe_load(CONNECTION.read_text(encoding="utf-8"))
    return testinfra.get_host(
        f"ssh://root@{connection['ansible_host']}",
        ssh_identity_file=connection["ansible_ssh_private_key_file"],
        ssh_extra_args=connection["ansible_ssh_common_args"],
        # The master of a shared connection outlives the tests by so many seconds.
        controlpersist=30,
    )


class Server:
    """Asks through ssh, as root."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def run(self, command: str) -> str:
        """Standard output of a command that has to succeed."""
        done = self.host.run(command)
        assert done.rc == 0, f"{command}\nended with {done.rc}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def compose(self, project: str, arguments: str) -> str:
        directory = f"/opt/soundcheck/{project}"
        return self.run(f"cd {directory} && docker compose -f docker-compose.prod.yml {arguments}")

    def django(self, code: str) -> str:
        """Output of Python inside the app: in a worker, for the backend's metrics count all its processes."""
        return self.compose(
            "app", f"exec -T celery python manage.py shell -v 0 -c {shlex.quote(code)}"
        ).strip()

    def containers(self) -> dict[str, dict[str, Any]]:
        """Compose service to what the engine says of its one container."""
        found = json.loads(self.run("docker inspect $(docker ps -aq)"))
        services = {entry["Config"]["Labels"]["com.docker.compose.service"]: entry for entry in found}
        assert len(services) == len(found), "a service has more than one container"
        return services

    def identities(self) -> dict[str, tuple[str, str]]:
        """Service to container and start: what differs after a restart or a replacement."""
        return {
            service: (entry["Id"], entry["State"]["StartedAt"])
            for service, entry in self.containers().items()
        }

    def healthy(self, service: str) -> bool:
        state = self.containers()[service]["State"]
        return bool(state["Running"]) and state.get("Health", {}).get("Status", "healthy") == "healthy"

    def get(self, url: str) -> str:
        return self.run(f"curl --silent --show-error --fail --max-time 20 '{url}'")

    def post(self, path: str, body: str = "{}") -> dict[str, Any]:
        url = f"http://127.0.0.1:8000{path}"
        answer: dict[str, Any] = json.loads(
            self.run(f"curl --silent --show-error --fail --max-time 20 --data {shlex.quote(body)} '{url}'")
        )
        return answer

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Ask the backend, `at` a Unix time or now; its own client reads the password from a file."""
        options = "-o json --http.config.file=/etc/prometheus/healthcheck.yml"
        if at is not None:
            options += f" --time={at:.3f}"
        command = f"promtool query instant {options} http://127.0.0.1:9090 {shlex.quote(expression)}"
        answer = json.loads(self.compose("telemetry", f"exec -T metrics-backend {command}"))
        return [
            Sample(entry["metric"].pop("__name__", ""), entry["metric"], float(entry["value"][1]))
            for entry in answer
        ]

    def files(self, directory: str) -> dict[str, tuple[int, bytes]]:
        """Path to mode and content of every file below a directory."""
        archive = base64.b64decode(self.run(f"tar -C {directory} -c . | base64"))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return {
                member.name.removeprefix("./"): (member.mode, tar.extractfile(member).read())  # type: ignore[union-attr]
                for member in tar.getmembers()
                if member.isfile()
            }
