"""A change of the app deployed in three ways under the load of molecule/faults: what fails, and how long."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

LOAD = Path(__file__).resolve().parents[1] / "molecule" / "faults" / "load.py"
FOLDER = "/run/soundcheck-bench"
COMPOSE = "docker compose -p app -f docker-compose.prod.yml"
# A load whose measurement does not live to end it ends by itself.
BOUND = 600
SETTLED = 240
WAYS = {
    "deploy": "`ansible-playbook playbooks/deploy_app.yml`",
    "up": "`docker compose up -d`",
    "down_up": "`docker compose down`, `up -d` (the guide's, its `pull` left out)",
}


class Host(Protocol):
    """What is needed of bench.Host."""

    def run(self, command: str, stdin: str = "") -> str: ...

    def play(self, playbook: str, *arguments: str) -> str: ...


class Redeploys:
    """Measures on one host; ends with what the inventory says."""

    def __init__(self, host: Host, directory: str) -> None:
        self.host = host
        self.directory = directory

    def app(self, command: str) -> str:
        return self.host.run(f"cd {self.directory} && {command}")

    def measure(self) -> dict[str, Any]:
        changed = f"{COMPOSE} -f {FOLDER}/changed.yml"
        down_up = f"{changed} down && {self.first_upstream()} && {changed} up -d"
        release = json.dumps({"app_stack_environment": {"RELEASE": f"{time.time():.0f}"}})
        self.copy(f"{FOLDER}/load.py", LOAD.read_text(encoding="utf-8"))
        try:
            return {
                "deploy": self.under_load(lambda: self.host.play("playbooks/deploy_app.yml", "-e", release)),
                "up": self.under_load(lambda: self.app(f"{changed} up -d"), self.changed("up")),
                "down_up": self.under_load(lambda: self.app(down_up), self.changed("down-up")),
            }
        finally:
            self.host.play("playbooks/deploy_app.yml")
            self.host.run(f"rm -r {FOLDER}")

    def changed(self, name: str) -> str:
        """A compose file that gives each process of the app another environment, as a new version would."""
        services = json.loads(self.app(f"{COMPOSE} config --format json"))["services"]
        image = services["backend"]["image"]
        app = [service for service, entry in services.items() if entry["image"] == image]
        return json.dumps({"services": {service: {"environment": {"RELEASE": name}} for service in app}})

    def first_upstream(self) -> str:
        """After `down` Compose counts from one again, which the proxy of a hand-made deploy would know."""
        return "echo 'to app-backend-1:8000' > proxy/upstreams/backend.caddy"

    def copy(self, path: str, content: str) -> None:
        encoded = base64.b64encode(content.encode()).decode()
        self.host.run(f"mkdir -p {FOLDER} && base64 -d > {path}", encoded)

    def under_load(self, change: Callable[[], object], overlay: str = "") -> dict[str, float]:
        if overlay:
            self.copy(f"{FOLDER}/changed.yml", overlay)
        url = f"http://{self.app(f'{COMPOSE} port proxy 80').strip()}"
        limits = f"--collect --unit=soundcheck-bench --property=RuntimeMaxSec={BOUND}"
        run = f"run --url {url} --label bench --output {FOLDER}/answers --seconds {BOUND}"
        self.host.run(f"systemd-run --quiet {limits} python3 {FOLDER}/load.py {run}")
        try:
            time.sleep(3)
            began = time.monotonic()
            change()
            took = time.monotonic() - began
            self.settle()
            time.sleep(3)
        finally:
            self.host.run("systemctl stop soundcheck-bench")
        found = json.loads(self.host.run(f"python3 {FOLDER}/load.py summary {FOLDER}/answers"))
        kept = {key: found[key] for key in ("requests", "failed", "longest_gap", "p95")}
        return {**kept, "seconds": round(took, 1)}

    def settle(self) -> None:
        """Compose returns when containers run; the measurement goes on until they are well."""
        deadline = time.monotonic() + SETTLED
        while time.monotonic() < deadline:
            states = self.host.run(
                "docker ps -a --filter label=com.docker.compose.project=app --format '{{.Status}}'"
            )
            if not any(word in states for word in ("starting", "unhealthy", "Created", "Restarting")):
                return
            time.sleep(1)


def markdown(found: dict[str, Any]) -> list[str]:
    lines = [
        "| redeploy under 50 requests and 5 tasks a second"
        " | requests | failed | longest gap, s | p95, s | took, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for way, text in WAYS.items():
        row = found[way]
        cells = [row["requests"], row["failed"], row["longest_gap"], row["p95"], row["seconds"]]
        lines.append(f"| {text} | {' | '.join(str(cell) for cell in cells)} |")
    return [*lines, ""]
