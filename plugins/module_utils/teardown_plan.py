"""What of a host is Soundcheck's and goes, and what stays and why. Pure: `docker inspect` in, names out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROJECT_LABEL = "com.docker.compose.project"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
NETWORK_LABEL = "soundcheck.network"


@dataclass(frozen=True)
class Folder:
    """A project's directory as it lies on the host; `marked` when Soundcheck wrote into it."""

    path: str
    exists: bool
    marked: bool


@dataclass(frozen=True)
class Found:
    """The engine's objects as `docker inspect` shows them, image references, timers and folders."""

    containers: Sequence[Mapping[str, Any]] = ()
    networks: Sequence[Mapping[str, Any]] = ()
    volumes: Sequence[Mapping[str, Any]] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """Reference to the id of the image."""
    folders: Sequence[Folder] = ()
    units: Sequence[str] = ()
    """Timers of systemd that Soundcheck started."""


@dataclass(frozen=True)
class Asked:
    """What is to be torn down: projects by name with their directory, and what goes only when told."""

    projects: Mapping[str, str]
    volumes: bool = False
    images: bool = False
    image_prefix: str = "soundcheck/"


@dataclass
class Plan:
    """Names (of containers: ids) to remove, in the order of the fields, and a sentence for all that stays."""

    units: list[str] = field(default_factory=list)
    containers: dict[str, str] = field(default_factory=dict)
    """Id to name."""
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What goes, one line for each kind."""
        kinds = (
            ("timer", self.units),
            ("container", sorted(self.containers.values())),
            ("network", self.networks),
            ("volume with its data", self.volumes),
            ("image", self.images),
            ("folder", self.folders),
        )
        return [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]


def plan(found: Found, asked: Asked) -> Plan:
    result = Plan(units=list(found.units))
    strangers: set[str] = set()
    for container in found.containers:
        labels = container.get("Config", {}).get("Labels") or {}
        project = labels.get(PROJECT_LABEL, "")
        if project not in asked.projects:
            continue
        directory = labels.get(DIRECTORY_LABEL, "")
        wanted = asked.projects[project]
        if directory == wanted or directory.startswith(f"{wanted}/"):
            result.containers[container["Id"]] = _name(container)
        else:
            strangers.add(project)
            place = directory or "an unknown folder"
            result.kept.append(
                f"container {_name(container)}: of a project {project} in {place}, not {wanted}"
            )
    _networks(found, asked, strangers, result)
    _volumes(found, asked, strangers, result)
    _images(found, asked, result)
    for folder in found.folders:
        if folder.exists and folder.marked:
            result.folders.append(folder.path)
        elif folder.exists:
            result.kept.append(f"folder {folder.path}: holds no project of Soundcheck")
    return result


def _networks(found: Found, asked: Asked, strangers: set[str], result: Plan) -> None:
    for network in found.networks:
        labels = network.get("Labels") or {}
        project = labels.get(PROJECT_LABEL)
        if NETWORK_LABEL not in labels and project not in asked.projects:
            continue
        users = _others(found.containers, result.containers, network["Id"], _networks_of)
        if users:
            result.kept.append(f"network {network['Name']}: used by {', '.join(users)}")
        elif project not in strangers:
            result.networks.append(network["Name"])


def _volumes(found: Found, asked: Asked, strangers: set[str], result: Plan) -> None:
    for volume in found.volumes:
        name, project = volume["Name"], (volume.get("Labels") or {}).get(PROJECT_LABEL)
        if project not in asked.projects:
            continue
        users = _others(found.containers, result.containers, name, _volumes_of)
        if users:
            result.kept.append(f"volume {name}: used by {', '.join(users)}")
        elif not asked.volumes:
            result.kept.append(
                f"volume {name}: data; -e teardown_volumes=true -e teardown_confirm=<host> removes it"
            )
        elif project not in strangers:
            result.volumes.append(name)


def _images(found: Found, asked: Asked, result: Plan) -> None:
    ours = sorted(reference for reference in found.images if reference.startswith(asked.image_prefix))
    used = {
        container["Image"]: _name(container)
        for container in found.containers
        if container["Id"] not in result.containers
    }
    if ours and not asked.images:
        result.kept.append(f"{len(ours)} images {asked.image_prefix}*: -e teardown_images=true removes them")
        return
    for reference in ours:
        if user := used.get(found.images[reference]):
            result.kept.append(f"image {reference}: used by {user}")
        else:
            result.images.append(reference)


def _others(
    containers: Iterable[Mapping[str, Any]], going: Mapping[str, str], thing: str, uses: Any
) -> list[str]:
    """Containers that stay and use a thing."""
    return [_name(entry) for entry in containers if entry["Id"] not in going and thing in uses(entry)]


def _networks_of(container: Mapping[str, Any]) -> set[str]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {network.get("NetworkID", "") for network in networks.values()}


def _volumes_of(container: Mapping[str, Any]) -> set[str]:
    return {mount["Name"] for mount in container.get("Mounts") or [] if mount.get("Type") == "volume"}


def _name(container: Mapping[str, Any]) -> str:
    return str(container["Name"]).lstrip("/")
