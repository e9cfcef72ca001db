"""The Docker engine as a deploy uses it: compose commands, a project's containers, waiting for them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from ansible.module_utils.compose_state import PROJECT_LABEL, Container, explanation, parse, verdict

LOG_LINES = 15
Run = Callable[..., tuple[int, str, str]]


class DeployFailed(Exception):
    """Why a step of a deploy did not succeed, as the operator reads it."""


@dataclass(frozen=True)
class Engine:
    """One compose project on this host. `run` is AnsibleModule.run_command."""

    run: Run
    name: str
    directory: str
    compose_file: str

    def docker(self, *arguments: str, cwd: str | None = None) -> tuple[int, str, str]:
        environment = {"COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain"}
        return self.run(["docker", *arguments], cwd=cwd, environ_update=environment)

    def compose(self, *arguments: str) -> tuple[int, str, str]:
        path = os.path.join(self.directory, self.compose_file)
        return self.docker("compose", "-p", self.name, "-f", path, *arguments, cwd=self.directory)

    def answers(self) -> bool:
        """Whether there is an engine with Compose at all."""
        try:
            return self.docker("compose", "ls", "-q")[0] == 0
        except OSError:
            return False

    def containers(self, services: Iterable[str] | None = None) -> list[Container]:
        """The project's containers, or those of some services; one-off containers are left out."""
        label = f"label={PROJECT_LABEL}={self.name}"
        code, out, err = self.docker("ps", "-aq", "--no-trunc", "--filter", label)
        if code != 0:
            raise DeployFailed(f"Docker does not answer on this host: {err.strip()}")
        if not out.split():
            return []
        # A container may be gone between the two calls; inspect then prints the others and exits with 1.
        _code, inspected, _err = self.docker("inspect", *out.split())
        wanted = None if services is None else set(services)
        return [entry for entry in parse(json.loads(inspected)) if wanted is None or entry.service in wanted]

    def up(self, services: Sequence[str], *options: str) -> None:
        """Start or recreate these services and no other."""
        self._up(["--no-deps", *options, *services], services)

    def up_all(self) -> None:
        """Start or recreate whatever differs from the files, in the order of its dependencies."""
        self._up(["--remove-orphans"], None)

    def _up(self, arguments: Sequence[str], services: Iterable[str] | None) -> None:
        code, _out, err = self.compose("up", "-d", *arguments)
        if code != 0:
            # Compose names the container that kept another one waiting; its own words say why it failed.
            last = err.strip().splitlines()[-1:]
            headline = f"docker compose up of project {self.name} failed: {' '.join(last)}"
            raise DeployFailed(self.failure(headline, self.containers(services)))

    def remove(self, containers: Sequence[Container]) -> None:
        """Stop containers, all at once and each within its own grace period, and remove them."""
        identities = [entry.identity for entry in containers]
        if identities:
            self.docker("stop", *identities)
            self.docker("rm", "--force", "--volumes", *identities)

    def wait(
        self, ask: Callable[[], list[Container]], timeout: float, known: list[Container] | None = None
    ) -> list[Container]:
        """Poll until every container is up; one that failed twice in a row ends the wait.

        `known`: what `ask` answered just now, instead of the first question.
        """
        deadline = time.monotonic() + timeout
        failed_before: set[str] = set()
        while True:
            containers = [self.asked(entry) for entry in (ask() if known is None else known)]
            known = None
            verdicts = {entry.identity: verdict(entry, age(entry)) for entry in containers}
            failed = {identity for identity, word in verdicts.items() if word == "failed"}
            if all(word == "up" for word in verdicts.values()):
                return containers
            if failed & failed_before or time.monotonic() > deadline:
                raise DeployFailed(self.failure(f"project {self.name} did not come up", containers))
            failed_before = failed
            time.sleep(1.0)

    def asked(self, container: Container) -> Container:
        """With its health as of now: Docker asks for the first time a whole interval after the start."""
        if container.status != "running" or container.health != "starting" or not container.health_command:
            return container
        code, out, err = self.docker("exec", container.identity, *container.health_command)
        said = (out + err).strip()
        return replace(container, health="healthy" if code == 0 else "starting", health_output=said)

    def failure(self, headline: str, containers: Iterable[Container]) -> str:
        """The headline, and of each container that is not well what is wrong and its last words."""
        parts = [headline]
        for container in containers:
            if verdict(container, age(container)) != "up":
                parts.append(explanation(container))
                parts.extend(f"    {line}" for line in self.last_lines(container))
        return "\n".join(parts)

    def last_lines(self, container: Container) -> list[str]:
        _code, out, err = self.docker("logs", "--tail", str(LOG_LINES), container.identity)
        return (out + err).splitlines()[-LOG_LINES:]


def age(container: Container) -> float:
    """Seconds since a container was started; Docker prints nanoseconds, which datetime does not read."""
    try:
        started = datetime.strptime(container.started_at[:19], "%Y-%m-%dT%H:%M:%S").replace(
            tzinfo=timezone.utc
        )
    except ValueError:
        return 0.0
    return (datetime.now(timezone.utc) - started).total_seconds()
