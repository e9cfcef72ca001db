"""What the app project's templates need computed: command lines, env files, broker definitions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def worker_queues(workers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Name and queues of each worker, the part of a worker that the app's settings module knows."""
    return [{"name": worker["name"], "queues": list(worker["queues"])} for worker in workers]


def worker_command(worker: Mapping[str, Any], celery_app: str, defaults: Mapping[str, Any]) -> str:
    """The guide's worker command (G1.2, G1.3) with the queues it consumes (T5) and a stable node name.

    The node name ends in the worker's name instead of the container's id, so that a redeploy does not
    add a set of series to every metric that carries the worker.
    """
    options = {**defaults, **worker}
    command = [
        *["celery", "-A", celery_app, "worker", "-Q", ",".join(options["queues"]), "-l", "info"],
        *[f"--concurrency={options['concurrency']}", f"--pool={options['pool']}"],
        *[f"--prefetch-multiplier={options['prefetch']}", "-n", f"celery@{options['name']}"],
    ]
    if int(options["max_tasks_per_child"]) > 0:
        command.append(f"--max-tasks-per-child={options['max_tasks_per_child']}")
    if int(options["time_limit"]) > 0:
        command.append(f"--time-limit={options['time_limit']}")
    return " ".join(command)


def env_file(variables: Mapping[str, Any]) -> str:
    """Lines NAME='value' as soundcheck_env reads them, every character of a value literal.

    Raises AnsibleFilterError for a value that such a file cannot hold.
    """
    lines = []
    for name, value in sorted(variables.items()):
        text = str(value)
        if "'" in text or "\n" in text:
            # The value may be a secret: name the variable alone.
            raise AnsibleFilterError(
                f"{name}: a value with a single quote or a line break cannot stand in an env file"
            )
        lines.append(f"{name}='{text}'")
    return "\n".join(lines) + "\n"


def password_hash(password: str, user: str) -> str:
    """RabbitMQ's salted SHA-256 (rabbit_password_hashing_sha256), base64 of salt and digest.

    The salt derives from user and password: the same password must give the same file, or every deploy
    would restart the broker.
    """
    salt = hashlib.sha256(f"soundcheck\0{user}\0{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def rabbitmq_definitions(user: str, password: str, vhost: str) -> str:
    """Definitions that the broker imports at each start: one user, one virtual host, and no guest (T12).

    Unlike `default_user`, which counts on an empty data folder alone, a changed password takes effect.
    """
    definitions = {
        "users": [
            {
                "name": user,
                "password_hash": password_hash(password, user),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["monitoring"],
            }
        ],
        "vhosts": [{"name": vhost}],
        "permissions": [{"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}],
    }
    return json.dumps(definitions, indent=2) + "\n"


def code_files(names: Sequence[str], services: Sequence[str]) -> list[dict[str, Any]]:
    """Python for /etc/soundcheck as files of the app project, and the services that run it."""
    return [
        {"path": f"soundcheck/{name}", "template": f"app/soundcheck/{name}", "services": list(services)}
        for name in names
    ]


def proxy_ports(
    backend_port: int, address: str, http_port: int, https_port: int, *, tls: bool, http3: bool
) -> list[dict[str, Any]]:
    """The ports that the proxy publishes, in Compose's long syntax.

    The backend's own is for the host alone. An empty address is every one of the host, of both IP versions.
    """
    outside = {"host_ip": address} if address else {}
    ports = [{"target": 8000, "published": str(backend_port), "host_ip": "127.0.0.1"}]
    ports.append({"target": 80, "published": str(http_port), **outside})
    if tls:
        ports.append({"target": 443, "published": str(https_port), **outside})
    if tls and http3:
        ports.append({"target": 443, "published": str(https_port), **outside, "protocol": "udp"})
    return ports


class FilterModule:
    """Filters of the app project."""

    def filters(self) -> dict[str, Any]:
        return {
            "worker_queues": worker_queues,
            "worker_command": worker_command,
            "env_file": env_file,
            "code_files": code_files,
            "proxy_ports": proxy_ports,
            "rabbitmq_definitions": rabbitmq_definitions,
        }
