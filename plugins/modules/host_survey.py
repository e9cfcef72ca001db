#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: host_survey
short_description: Learn in one round trip what a deploy needs to know of a host
description:
  - Reads the operating system, memory, disks, listening ports and the Docker engine of a host.
  - Stands in for Ansible's own facts, which cost a round trip and hold neither ports nor images.
  - Changes nothing, but takes O(lock) when it is given. Needs root to see which process holds a port.
options:
  images:
    description: Image references that the deploy will use.
    type: list
    elements: str
    default: []
  disk_paths:
    description: Paths whose free space is wanted; one that does not exist yet counts by its nearest parent.
    type: list
    elements: path
    default: [/opt]
  probe_registries:
    description: Ask the registries of those O(images) that the host does not hold.
    type: bool
    default: false
  urls:
    description: Further addresses to ask when one of O(images) is missing, such as a package mirror.
    type: list
    elements: str
    default: []
  names:
    description: Host names that this host shall resolve.
    type: list
    elements: str
    default: []
  archive_directory:
    description: Directory whose files are listed, when given.
    type: path
  probe_timeout:
    description: Seconds until an address counts as unreachable.
    type: int
    default: 5
  lock:
    description: The lock of this host to take in the same trip, with the options of the module deploy_lock.
    type: dict
    options:
      path: {description: File of the lock., type: path, required: true}
      lock: {description: This run., type: dict, required: true}
      force: {description: Take the lock whoever has it., type: bool, default: false}
attributes:
  check_mode: {support: full, description: Takes no lock; all else is the same.}
  diff_mode: {support: none, description: There is nothing to show.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Survey the host
  host_survey:
    images: ["rabbitmq:4.1.4"]
    probe_registries: true
  register: __survey
"""

RETURN = r"""
os:
  description: C(id), C(version_id), C(codename) and C(pretty_name) of /etc/os-release.
  type: dict
  returned: always
  sample: {id: debian, version_id: "13", codename: trixie, pretty_name: Debian GNU/Linux 13 (trixie)}
architecture:
  description: Machine type as the kernel names it.
  type: str
  returned: always
  sample: x86_64
kernel: {description: Release of the kernel., type: str, returned: always}
hostname: {description: Node name of the host., type: str, returned: always}
cpus: {description: Number of processors., type: int, returned: always}
memory:
  description: C(total), C(available) and C(swap) in bytes.
  type: dict
  returned: always
disks:
  description: Asked path (and C(docker), the engine's data root) to C(path), C(total) and C(free) in bytes.
  type: dict
  returned: always
listening:
  description:
    - Every listening TCP port with C(address), C(port), C(pid), C(process) and, where a container
      publishes it, C(container), C(project) and C(service).
  type: list
  elements: dict
  returned: always
docker:
  description:
    - C(installed), C(package) (docker.io, docker-ce, moby-engine, snap or empty), C(client_version),
      C(compose_version), C(reachable), C(error), C(unit_state) (systemd's word on a silent daemon).
    - Of a daemon that answers C(server_version), C(api_version), C(api_version_minimum), C(storage_driver),
      C(containerd_image_store), C(cgroup_driver), C(cgroup_version), C(data_root), C(proxies),
      C(registry_mirrors).
  type: dict
  returned: always
images_present:
  description: Those of O(images) that the engine holds.
  type: list
  elements: str
  returned: always
projects:
  description: Compose project to service to C(image), C(containers) and C(running).
  type: dict
  returned: always
lock:
  description: Whether the lock was C(taken), and the lock of another run that was C(found).
  type: dict
  returned: when O(lock) is given
networks: {description: Names of the engine's networks., type: list, elements: str, returned: always}
systemd: {description: Whether systemd runs this host., type: bool, returned: always}
watch_timer:
  description: >-
    How the timer of the watch stands: whether its units are C(linked), from which C(directory), C(enabled),
    C(active) and C(stale), known to systemd with an older text. None without systemd.
  type: dict
  returned: always
time: {description: The host's clock in seconds since 1970., type: int, returned: always}
probes:
  description: C(url), C(reachable) and C(error) of every address asked.
  type: list
  elements: dict
  returned: always
resolved:
  description: Each of O(names) to its C(addresses), and the C(error) when it has none.
  type: dict
  returned: always
archives:
  description: C(directory), whether it C(exists), and the names of its C(files).
  type: dict
  returned: always
"""

import os
import shutil
import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils import survey_docker
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploy_lock import lock_of, take
from ansible.module_utils.survey_parse import listeners, meminfo, os_release, registry_of
from ansible.module_utils.survey_probe import probe, resolve
from ansible.module_utils.watch_units import RUNNING, timer_state

DEFAULT_DATA_ROOT = "/var/lib/docker"


def read(path: str) -> str:
    """Content of a file, empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def socket_owners(inodes: set[str]) -> dict[str, tuple[int, str]]:
    """Inode of a socket -> pid and name of the process that holds it."""
    owners: dict[str, tuple[int, str]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                owners.setdefault(target[8:-1], (int(pid), read(f"/proc/{pid}/comm").strip()))
        if len(owners) == len(inodes):
            break
    return owners


def listening_ports(published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Listening sockets and published ports; without docker-proxy the second have no socket of their own."""
    sockets = listeners(read("/proc/net/tcp")) + listeners(read("/proc/net/tcp6"))
    owners = socket_owners({inode for _, _, inode in sockets})
    containers = {entry["port"]: entry for entry in published}
    ports = []
    for address, port, inode in sockets:
        pid, process = owners.get(inode, (0, ""))
        behind = containers.get(port, {}) if process in {"docker-proxy", ""} else {}
        ports.append(
            {
                **{"address": address, "port": port, "pid": pid, "process": process},
                **{key: behind.get(key, "") for key in ("container", "project", "service")},
            }
        )
    seen = {entry["port"] for entry in ports}
    ports.extend({"pid": 0, "process": "", **entry} for entry in published if entry["port"] not in seen)
    return sorted(ports, key=lambda entry: (entry["port"], entry["address"]))


def disk(path: str) -> dict[str, Any]:
    """Size and free bytes of the file system that holds, or will hold, a path."""
    existing = path
    while not os.path.exists(existing) and existing != "/":
        existing = os.path.dirname(existing) or "/"
    usage = shutil.disk_usage(existing)
    return {"path": path, "total": usage.total, "free": usage.free}


def archives(directory: str | None) -> dict[str, Any]:
    exists = bool(directory) and os.path.isdir(str(directory))
    return {
        "directory": directory or "",
        "exists": exists,
        "files": sorted(os.listdir(str(directory))) if exists else [],
    }


def addresses(parameters: dict[str, Any], missing: list[str], docker: dict[str, Any]) -> list[str]:
    """What to ask: registries of missing images (a mirror stands for Docker Hub) and further addresses."""
    if not missing:
        return []
    urls = list(parameters["urls"])
    if parameters["probe_registries"]:
        for registry in sorted({registry_of(reference) for reference in missing}):
            mirrors = docker["registry_mirrors"] if registry == "registry-1.docker.io" else []
            urls.append(mirrors[0].rstrip("/") + "/v2/" if mirrors else f"https://{registry}/v2/")
    return urls


def take_lock(module: AnsibleModule) -> dict[str, Any]:
    """The key `lock` of the survey, or nothing where no lock is asked for."""
    asked = module.params["lock"]
    if not asked or module.check_mode:
        return {}
    try:
        outcome = take(asked["path"], lock_of(asked["lock"]), force=asked["force"])
    except OSError as error:
        module.fail_json(msg=f"{asked['path']}: the lock of this host: {error}")
    return {"lock": asdict(outcome)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "default": []},
            "disk_paths": {"type": "list", "elements": "path", "default": ["/opt"]},
            "probe_registries": {"type": "bool", "default": False},
            "urls": {"type": "list", "elements": "str", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "archive_directory": {"type": "path"},
            "probe_timeout": {"type": "int", "default": 5},
            "lock": {
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "lock": {"type": "dict", "required": True},
                    "force": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    parameters = module.params
    lock = take_lock(module)
    found = survey_docker.survey(parameters["images"])
    docker = found["docker"]
    missing = [image for image in parameters["images"] if image not in found["images_present"]]
    machine = os.uname()
    module.exit_json(
        changed=False,
        os=os_release(read("/etc/os-release")),
        architecture=machine.machine,
        kernel=machine.release,
        hostname=machine.nodename,
        cpus=os.cpu_count() or 0,
        memory=meminfo(read("/proc/meminfo")),
        disks={
            **{path: disk(path) for path in parameters["disk_paths"]},
            "docker": disk(docker["data_root"] or DEFAULT_DATA_ROOT),
        },
        listening=listening_ports(found["published"]),
        docker=docker,
        images_present=found["images_present"],
        projects=found["projects"],
        networks=found["networks"],
        systemd=os.path.isdir(RUNNING),
        watch_timer=timer_state(),
        time=int(time.time()),
        probes=probe(addresses(parameters, missing, docker), docker["proxies"], parameters["probe_timeout"]),
        resolved={name: resolve(name) for name in parameters["names"]},
        archives=archives(parameters["archive_directory"]),
        **lock,
    )


if __name__ == "__main__":
    main()
