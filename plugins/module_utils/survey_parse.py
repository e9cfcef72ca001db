"""Texts and API answers of a host turned into facts. Pure: nothing here reads the host."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"

_TCP_LISTEN = "0A"


def os_release(text: str) -> dict[str, str]:
    """The fields of /etc/os-release that decide what the project can do on a host."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            fields[name] = value.strip().strip("\"'")
    return {
        "id": fields.get("ID", ""),
        "version_id": fields.get("VERSION_ID", ""),
        "codename": fields.get("VERSION_CODENAME", fields.get("UBUNTU_CODENAME", "")),
        "pretty_name": fields.get("PRETTY_NAME", ""),
    }


def meminfo(text: str) -> dict[str, int]:
    """Bytes of memory from /proc/meminfo."""
    kibibytes = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE)}
    return {
        "total": kibibytes.get("MemTotal", 0) * 1024,
        "available": kibibytes.get("MemAvailable", 0) * 1024,
        "swap": kibibytes.get("SwapTotal", 0) * 1024,
    }


def listeners(text: str) -> list[tuple[str, int, str]]:
    """Address, port and inode of every listening socket in /proc/net/tcp or /proc/net/tcp6."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _TCP_LISTEN:
            address, _, port = fields[1].partition(":")
            found.append((_address(address), int(port, 16), fields[9]))
    return found


def _address(text: str) -> str:
    """The kernel prints addresses as 32-bit words in the host's byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def docker_engine(version: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """What /version and /info of the Engine API say."""
    status = {entry[0]: entry[1] for entry in info.get("DriverStatus") or [] if len(entry) == 2}
    return {
        "server_version": version.get("Version", ""),
        "api_version": version.get("ApiVersion", ""),
        "api_version_minimum": version.get("MinAPIVersion", ""),
        "storage_driver": info.get("Driver", ""),
        "containerd_image_store": status.get("driver-type", "").startswith("io.containerd.snapshotter"),
        "cgroup_driver": info.get("CgroupDriver", ""),
        "cgroup_version": str(info.get("CgroupVersion", "")),
        "data_root": info.get("DockerRootDir", ""),
        "proxies": {
            scheme: info[key]
            for scheme, key in (("http", "HttpProxy"), ("https", "HttpsProxy"))
            if info.get(key)
        },
        "registry_mirrors": list((info.get("RegistryConfig") or {}).get("Mirrors") or []),
    }


def cli_version(output: str) -> str:
    """The first version number in what a command prints, with its suffix: `20.10.24+dfsg1`, `2.26.1-4`."""
    found = re.search(r"\d+\.\d+(?:\.\d+)?[^\s,]*", output)
    return found.group(0) if found else ""


def compose_projects(containers: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Project -> service -> image, number of containers and of running ones. One-off jobs do not count."""
    projects: dict[str, dict[str, dict[str, Any]]] = {}
    for container in containers:
        labels = container.get("Labels") or {}
        if PROJECT_LABEL not in labels or labels.get(ONE_OFF_LABEL) == "True":
            continue
        services = projects.setdefault(labels[PROJECT_LABEL], {})
        service = services.setdefault(
            labels.get(SERVICE_LABEL, ""),
            {"image": container.get("Image", ""), "containers": 0, "running": 0},
        )
        service["containers"] += 1
        service["running"] += container.get("State") == "running"
    return projects


def published_ports(containers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """TCP ports of the host that containers publish, with the compose service behind each."""
    published: dict[tuple[str, int], dict[str, Any]] = {}
    for container in containers:
        labels = container.get("Labels") or {}
        for port in container.get("Ports") or []:
            if port.get("Type") != "tcp" or not port.get("PublicPort"):
                continue
            entry = {
                "address": port.get("IP", ""),
                "port": port["PublicPort"],
                "container": (container.get("Names") or [""])[0].lstrip("/"),
                "project": labels.get(PROJECT_LABEL, ""),
                "service": labels.get(SERVICE_LABEL, ""),
            }
            published[entry["address"], entry["port"]] = entry
    return list(published.values())


def images_present(references: Iterable[str], images: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of the references that the engine holds, in the given order and spelling."""
    held = {
        familiar(name)
        for image in images
        for name in (image.get("RepoTags") or []) + (image.get("RepoDigests") or [])
    }
    return [reference for reference in references if familiar(reference) in held]


def familiar(reference: str) -> str:
    """A reference as the engine lists it: without Docker Hub's prefixes, with a tag, or a digest instead."""
    name, _, digest = reference.partition("@")
    for prefix in ("docker.io/", "index.docker.io/"):
        name = name[len(prefix) :] if name.startswith(prefix) else name
    name = name[len("library/") :] if name.startswith("library/") else name
    path, colon, tag = name.rpartition(":")
    tagged = bool(colon) and "/" not in tag
    if digest:
        return f"{path if tagged else name}@{digest}"
    return name if tagged else f"{name}:latest"


def registry_of(reference: str) -> str:
    """Host (and port) that an image reference is pulled from."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return "registry-1.docker.io" if first in {"docker.io", "index.docker.io"} else first
    return "registry-1.docker.io"
