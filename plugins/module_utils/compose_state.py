"""What `docker inspect` says of a compose project, judged: which services wait, are well, or have failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
HASH_LABEL = "com.docker.compose.config-hash"
ONE_OFF_LABEL = "com.docker.compose.oneoff"

# A container without a health check counts as up when it has run this long without a restart.
SETTLED_SECONDS = 5.0


@dataclass(frozen=True)
class Container:
    """One container of the project, reduced to what a decision needs."""

    identity: str
    name: str
    service: str
    config_hash: str
    image: str
    """Id of the image."""
    reference: str
    """Name under which the image was asked for."""
    pid: int
    """Of its first process, as the host counts; 0 when it does not run."""
    status: str
    health: str
    started_at: str
    restarts: int
    exit_code: int
    oom_killed: bool
    health_output: str
    health_command: tuple[str, ...]

    @property
    def generation(self) -> tuple[str, str]:
        """Changes when the container is recreated or started again."""
        return self.identity, self.started_at


def parse(inspected: list[dict[str, Any]]) -> list[Container]:
    """Turn `docker inspect` objects into containers; one-off containers (`compose run`) are left out."""
    containers = []
    for entry in inspected:
        labels = entry.get("Config", {}).get("Labels") or {}
        if labels.get(ONE_OFF_LABEL) == "True":
            continue
        state = entry.get("State", {})
        health = state.get("Health") or {}
        log = health.get("Log") or []
        containers.append(
            Container(
                identity=entry.get("Id", ""),
                name=entry.get("Name", "").lstrip("/"),
                service=labels.get(SERVICE_LABEL, ""),
                config_hash=labels.get(HASH_LABEL, ""),
                image=entry.get("Image", ""),
                reference=entry.get("Config", {}).get("Image", ""),
                pid=int(state.get("Pid", 0)),
                status=state.get("Status", ""),
                health=health.get("Status", ""),
                started_at=state.get("StartedAt", ""),
                restarts=int(entry.get("RestartCount", 0)),
                exit_code=int(state.get("ExitCode", 0)),
                oom_killed=bool(state.get("OOMKilled", False)),
                health_output=(log[-1].get("Output", "").strip() if log else ""),
                health_command=health_command(entry.get("Config", {}).get("Healthcheck") or {}),
            )
        )
    return sorted(containers, key=lambda container: (container.service, container.name))


def health_command(healthcheck: dict[str, Any]) -> tuple[str, ...]:
    """The command of a health check as a process takes it; empty without one."""
    kind, *rest = healthcheck.get("Test") or ["NONE"]
    return {"CMD": tuple(rest), "CMD-SHELL": ("/bin/sh", "-c", *rest)}.get(kind, ())


def pending_services(
    wanted: dict[str, str], recorded: dict[str, tuple[str, str]], containers: list[Container]
) -> list[str]:
    """Services that must be created, recreated or started.

    `wanted` is service -> config hash of the new files, `recorded` is service -> (config hash of the files,
    config hash on the containers) at the last successful start. Mostly the two are the same; where Compose
    hashes differently for each, the record tells which belong together.
    """
    pending = set()
    for service, config_hash in wanted.items():
        mine = [container for container in containers if container.service == service]
        as_wanted = [
            container
            for container in mine
            if container.status == "running"
            and (
                container.config_hash == config_hash
                or recorded.get(service) == (config_hash, container.config_hash)
            )
        ]
        if not mine or len(as_wanted) < len(mine):
            pending.add(service)
    return sorted(pending)


def orphans(wanted_hashes: dict[str, str], containers: list[Container]) -> list[str]:
    """Services that still run although the compose file no longer names them."""
    return sorted({container.service for container in containers} - set(wanted_hashes))


def verdict(container: Container, seconds_up: float) -> str:
    """`up`, `waiting` or `failed`."""
    if container.health == "healthy":
        return "up"
    if container.health == "unhealthy" or container.status in {"exited", "dead", "restarting"}:
        return "failed"
    if container.status == "running" and not container.health and seconds_up >= SETTLED_SECONDS:
        return "up"
    return "waiting"


def explanation(container: Container) -> str:
    """One sentence that says how a container fails, for the error message."""
    name = container.service
    if container.oom_killed:
        return f"{name}: killed for exceeding its memory limit; raise the `memory` of this service"
    if container.status in {"exited", "dead", "restarting"} or container.restarts > 0:
        return (
            f"{name}: {container.status}, last exit status {container.exit_code},"
            f" restarted {container.restarts} times"
        )
    if container.health == "unhealthy":
        return f"{name}: runs but its health check fails: {container.health_output or 'no output'}"
    health = container.health or "none"
    said = f": {container.health_output}" if container.health_output else ""
    return f"{name}: not healthy in time (status {container.status}, health {health}){said}"
