"""Refusals that need the survey of the host: system, memory, disks, ports, Docker, ways to the images."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.preflight_images import wanted
from ansible.module_utils.preflight_proxy import managed
from ansible.module_utils.preflight_settings import published
from ansible.module_utils.preflight_values import (
    Problem,
    Settings,
    Survey,
    active_telemetry_roles,
    dicts,
    memory_bytes,
    readable,
    truth,
    version,
)

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")}
PROJECTS = {"app", "telemetry"}
DOCKER_MINIMUM = (20, 10)
COMPOSE_MINIMUM = (2, 20)
# What a project's directory holds is text.
DIRECTORY_MINIMUM = 64 * 2**20


def system(settings: Settings, survey: Survey) -> Iterator[Problem]:
    os = survey.get("os", {})
    if (os.get("id"), os.get("version_id")) not in SUPPORTED:
        found = os.get("pretty_name") or os.get("id") or "no /etc/os-release"
        remedy = "use Debian 12 or 13, Ubuntu 22.04 or 24.04"
        yield Problem("ansible_host", f"the server runs {found}", remedy)


def limits(settings: Settings) -> dict[str, int]:
    """Variable -> bytes of every memory limit that this inventory sets on the host."""
    names = ["app_stack_backend_memory", "app_stack_beat_memory", "app_stack_rabbitmq_memory"]
    if managed(settings):
        names.append("app_stack_proxy_memory")
    if settings.get("database") == "embedded":
        names.append("app_stack_database_memory")
    if truth(settings.get("app_stack_flower_enabled", False)):
        names.append("app_stack_flower_memory")
    for role in active_telemetry_roles(settings):
        names.extend(sorted(n for n in settings if n.startswith(f"{role}_") and n.endswith("_memory")))
    found = {name: memory_bytes(settings.get(name)) for name in names}
    for variable in ("app_stack_workers", "app_stack_extra_services"):
        for entry in dicts(settings.get(variable)):
            found[f"{variable} {entry.get('name', '?')}"] = memory_bytes(entry.get("memory"))
    found["preflight_memory_reserve"] = memory_bytes(settings.get("preflight_memory_reserve"))
    return {name: size for name, size in found.items() if size is not None}


def memory(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """The limits together must fit, or the kernel's OOM killer chooses who dies."""
    sizes = limits(settings)
    total = survey.get("memory", {}).get("total", 0)
    if settings.get("sizing") == "auto" and "sizing" not in survey:
        return  # The refusal of `auto` itself says more.
    if sum(sizes.values()) > total:
        largest = sorted(sizes.items(), key=lambda entry: -entry[1])
        parts = ", ".join(f"{name} {readable(size)}" for name, size in largest)
        yield Problem(
            "memory limits",
            f"they sum up to {readable(sum(sizes.values()))} ({parts}) on a server with {readable(total)}",
            "lower the largest, or use a larger server",
        )


def second_web(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """While a new version takes over, its web containers run beside the old ones."""
    size, total = (
        memory_bytes(settings.get("app_stack_backend_memory")),
        survey.get("memory", {}).get("total", 0),
    )
    needed = sum(limits(settings).values()) + (size or 0)
    if size and total and sum(limits(settings).values()) <= total < needed:
        yield Problem(
            "app_stack_backend_memory",
            f"a deploy runs the backend twice for a while, and the limits then sum up to {readable(needed)}"
            f" on a server with {readable(total)}",
            "lower a limit, or use a larger server, should deploys make it swap",
        )


def disks(settings: Settings, survey: Survey) -> Iterator[Problem]:
    minimum = memory_bytes(settings.get("preflight_disk_minimum"))
    for name, disk in survey.get("disks", {}).items():
        wanted_bytes = minimum if name == "docker" else DIRECTORY_MINIMUM
        if wanted_bytes is not None and disk["free"] < wanted_bytes:
            yield Problem(
                "preflight_disk_minimum" if name == "docker" else name,
                f"{readable(disk['free'])} are free for {disk['path']}, {readable(wanted_bytes)} are needed",
                "free space there (`docker image prune` removes unused images), or enlarge the disk",
            )


def ports(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """A port that our own projects publish is no problem: a deploy replaces the one behind it."""
    for variable, port in published(settings).items():
        for listener in survey.get("listening", []):
            if listener["port"] != port or listener["project"] in PROJECTS:
                continue
            yield Problem(
                variable,
                f"{port} is taken by {_holder(listener)}",
                "stop it, or set another port",
            )
            break


def _holder(listener: Survey) -> str:
    if listener["project"]:
        return f"the service {listener['service']} of the compose project {listener['project']}"
    if listener["container"]:
        return f"the container {listener['container']}"
    if listener["process"]:
        return f"{listener['process']} (pid {listener['pid']})"
    return "a process that this user may not see"


def docker(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """A missing or stopped engine is the work of docker_engine, a too old or broken one is the operator's."""
    engine = survey.get("docker", {})
    managed = truth(settings.get("docker_engine_manage", True))
    if engine.get("reachable"):
        server = version(engine.get("server_version", ""))
        if server < DOCKER_MINIMUM:
            found = f"Docker {engine['server_version']} runs here and is left alone"
            yield Problem("docker_engine", found, "upgrade it to 20.10 or later")
        compose = version(engine.get("compose_version", ""))
        if compose and compose < COMPOSE_MINIMUM:
            found = f"Docker Compose {engine['compose_version']} is installed here and left alone"
            yield Problem("docker_engine", found, "upgrade it to 2.20 or later")
        if not compose and not managed:
            found = "Docker Compose v2 is not installed and docker_engine_manage is false"
            yield Problem("docker_engine_manage", found, "install it, or set docker_engine_manage: true")
    elif not engine.get("installed"):
        if not managed:
            found = "Docker is not installed and docker_engine_manage is false"
            yield Problem("docker_engine_manage", found, "install it, or set docker_engine_manage: true")
    elif not managed or engine.get("unit_state") == "failed":
        state = " (systemd: failed)" if engine.get("unit_state") == "failed" else ""
        look = "systemctl status docker" if survey.get("systemd") else "service docker status"
        yield Problem(
            "docker_engine_manage",
            f"Docker is installed but does not answer{state}: {engine.get('error')}",
            f"look at `{look}` on the server and start it",
        )


def image_sources(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """An image that is missing must be within reach."""
    missing = [ref for ref in wanted(settings).values() if ref not in survey.get("images_present", [])]
    if not missing:
        return
    absent = f"{len(missing)} of {len(wanted(settings))} images are missing on the server"
    archives = survey.get("archives", {})
    if settings.get("container_images_source") == "archive" and not archives.get("files"):
        state = "is empty" if archives.get("exists") else "does not exist"
        yield Problem(
            "container_images_archive_directory",
            f"{absent} and {archives.get('directory') or 'the directory'} {state}",
            "copy the exported archives into it",
        )
    silent = [f"{p['url']} ({p['error']})" for p in survey.get("probes", []) if not p["reachable"]]
    if silent:
        yield Problem(
            "container_images_source",
            f"{absent}, out of whose reach is {', '.join(silent)}",
            "open the way, give the Docker daemon a proxy, or set container_images_source: archive",
        )


CHECKS = (system, memory, disks, ports, docker, image_sources)
