"""Which packages a host lacks to run Docker and Compose v2, and from where they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

DOCKER_ENGINE = ["docker-ce", "containerd.io", "docker-buildx-plugin", "iptables"]
DOCKER_CLIENT = ["docker-ce-cli", "docker-compose-plugin"]
DISTRIBUTION_ENGINE = ["docker.io", "iptables", "ca-certificates"]
# Packages with the client and Compose v2 of a distribution, and the source that must be added to have them.
DISTRIBUTION_CLIENT: dict[tuple[str, str], tuple[list[str], list[str]]] = {
    # docker.io holds the client; Compose v2 came with trixie, in a package content with libc6 2.34.
    ("debian", "12"): (["docker-compose"], ["trixie"]),
    ("debian", "13"): (["docker-cli", "docker-compose"], []),
    ("ubuntu", "22.04"): (["docker-compose-v2"], []),
    ("ubuntu", "24.04"): (["docker-compose-v2"], []),
}
# What an engine that is already there came from: its client and Compose come from the same place.
ORIGIN_OF_PACKAGE = {"docker-ce": "docker", "docker.io": "distribution"}


def docker_engine_plan(survey: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Packages to install, apt sources to add (`docker`, `trixie`), and whether the engine is among them.

    `survey` is the result of host_survey, `source` is auto, distribution or docker. auto takes the
    distribution's packages where they hold Compose v2 and Docker's own elsewhere. What is there stays.
    """
    system, docker = survey["os"], survey["docker"]
    release = (system["id"], system["version_id"])
    if release not in DISTRIBUTION_CLIENT:
        known = ", ".join(" ".join(entry) for entry in DISTRIBUTION_CLIENT)
        raise ValueError(f"docker_engine knows {known}; this host is {' '.join(release)}")
    engine_missing = not docker["installed"]
    # A snap brings its own Compose, which no package can add to.
    client_missing = not docker["compose_version"] and docker["package"] != "snap"

    client, added = DISTRIBUTION_CLIENT[release]
    origin = ORIGIN_OF_PACKAGE.get(docker["package"], source)
    if origin == "auto":
        origin = "docker" if added else "distribution"
    if origin == "docker":
        engine, client, added = DOCKER_ENGINE, DOCKER_CLIENT, ["docker"]
    else:
        engine = DISTRIBUTION_ENGINE
    packages = [*(engine if engine_missing else []), *(client if client_missing else [])]
    return {"packages": packages, "sources": added if packages else [], "engine_missing": engine_missing}


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"docker_engine_plan": docker_engine_plan}
