"""Turn what the roles describe into services of a compose file, each hardened alike (G1.9, T12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

LOGGING = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
LABEL = "soundcheck.config"
# Against programs that fork without end, far above what any service needs.
PIDS = 1024

# What a reader looks for first comes first; keys that are not named here keep their order after `volumes`.
_HEAD = (
    *("image", "command", "entrypoint", "user", "hostname"),
    *("environment", "ports", "networks", "volumes"),
)
_TAIL = (
    *("depends_on", "healthcheck", "stop_grace_period"),
    *("read_only", "tmpfs", "cap_drop", "cap_add", "security_opt"),
    *("restart", "deploy", "logging", "labels"),
)
# A description leaves these to the filter: one that set them would quietly escape what holds for all.
_OURS = ("restart", "logging", "security_opt", "read_only", "deploy", "labels")


def compose_services(
    services: Mapping[str, Mapping[str, Any]], config_digest: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Services of a compose file from descriptions.

    A description has `memory`, and may have `memory_reservation` and `cpus`, instead of `deploy`.
    `config_digest` maps a service to the hash of its mounted files: as a label it makes Compose recreate
    the container when a file changes. A `$` in a description is literal. Raises AnsibleFilterError for a
    description without a memory limit, or with a key that belongs to this filter.
    """
    return {name: _service(name, described, config_digest.get(name)) for name, described in services.items()}


def _service(name: str, description: Mapping[str, Any], digest: str | None) -> dict[str, Any]:
    problems = [f"`{key}` is set by the filter compose_services" for key in _OURS if key in description]
    if not description.get("memory"):
        problems.append("`memory` is missing: every container has a limit (G1.9)")
    if problems:
        raise AnsibleFilterError(f"service {name}: {'; '.join(problems)}")

    service = {key: compose_literal(value) for key, value in description.items()}
    deploy = service_limits(service.pop("memory"))
    resources = deploy["resources"]
    if (reservation := service.pop("memory_reservation", None)) is not None:
        resources["reservations"] = {"memory": reservation}
    if (cpus := service.pop("cpus", None)) is not None:
        resources["limits"]["cpus"] = str(cpus)
    service.setdefault("networks", ["telemetry"])
    service.setdefault("cap_drop", ["ALL"])
    service |= {
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "restart": "unless-stopped",
        "deploy": deploy,
        "logging": LOGGING,
    }
    if digest:
        service["labels"] = {LABEL: digest}
    return _ordered(service)


def service_limits(memory: str) -> dict[str, Any]:
    """The `deploy` of a service: how much memory and how many processes and threads it may have."""
    return {"resources": {"limits": {"memory": memory, "pids": PIDS}}}


def compose_literal(value: Any) -> Any:
    """The value with `$` doubled, which Compose would otherwise take for a variable."""
    if isinstance(value, Mapping):
        return {key: compose_literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [compose_literal(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def _ordered(service: Mapping[str, Any]) -> dict[str, Any]:
    middle = [key for key in service if key not in _HEAD and key not in _TAIL]
    return {key: service[key] for key in (*_HEAD, *middle, *_TAIL) if key in service}


class FilterModule:
    """Filters of both compose projects."""

    def filters(self) -> dict[str, Any]:
        return {
            "compose_services": compose_services,
            "service_limits": service_limits,
            "compose_literal": compose_literal,
        }
