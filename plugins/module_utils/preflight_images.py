"""Refusals about images: their references, their age, and which versions do not work together."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from ansible.module_utils.preflight_settings import absent_secret
from ansible.module_utils.preflight_values import Problem, Settings, Survey, truth, version

# The reference grammar of the OCI distribution specification, without the upper limits of length.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]+)?"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::(?P<tag>{TAG}))?(?P<digest>@sha256:[0-9a-f]{{64}})?"
)

# Image -> (first version that is not affected, last day of support). Dates: the projects' own announcements.
END_OF_LIFE: dict[str, list[tuple[tuple[int, ...], str]]] = {
    "grafana_agent": [((999,), "2025-11-01")],
    "rabbitmq": [((4,), "2024-09-18")],
    "postgres": [
        ((13,), "2024-11-21"),
        ((14,), "2025-11-13"),
        ((15,), "2026-11-12"),
        ((16,), "2027-11-11"),
        ((17,), "2028-11-09"),
        ((18,), "2029-11-08"),
    ],
    "prometheus": [((3,), "2025-07-31")],
}
# Images that only registries have.
COLLECTORS = {"grafana_agent", "alloy"}
SUCCESSOR = {"grafana_agent": "collector: alloy is its successor"}

# T14: Docker 29 raised the API minimum and made the containerd image store its default.
CADVISOR_BLIND = (0, 53)
DOCKER_NEW_API = (29,)
# T13: from 4.3 RabbitMQ refuses the queues that the kombu locked by released celery-exporters declares.
RABBITMQ_STRICT = (4, 3)
CELERY_EXPORTER_OLD_KOMBU = (0, 12, 2)


def wanted(settings: Settings) -> dict[str, str]:
    """Image key -> reference, of the images this inventory runs."""
    references = settings.get("container_images_refs")
    keys = settings.get("container_images_wanted")
    if not isinstance(references, Mapping) or not isinstance(keys, list):
        return {}
    return {str(key): str(references[key]) for key in keys if key in references}


def app(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """The version names the app's image and the release: a deploy must say which it brings."""
    keys = settings.get("container_images_wanted")
    if not isinstance(keys, list) or "app" not in keys:
        return
    version_wanted = settings.get("app_version")
    production = truth(settings.get("preflight_production"))
    if version_wanted in (None, ""):
        if production or _named_by_version(settings):
            remedy = "name the version to deploy, the tag of the app's image: -e app_version=..."
            yield Problem("app_version", "is not set", remedy)
    elif isinstance(version_wanted, float):
        found = f"YAML reads {version_wanted} as a number, and 1.10 as 1.1"
        yield Problem("app_version", found, "write it between quotes")
    elif not re.fullmatch(TAG, str(version_wanted)):
        remedy = "use letters, digits, `.`, `-` and `_`"
        yield Problem("app_version", f"`{version_wanted}` is no tag of an image", remedy)
    elif production and str(version_wanted).lower() == "latest":
        found = f"`{version_wanted}` is another image tomorrow"
        yield Problem("app_version", found, "name a tag that never moves")
    if _named_by_version(settings):
        match = REFERENCE.fullmatch(str(settings["app_image"]))
        if match is None or match["tag"] or match["digest"]:
            found = f"`{settings['app_image']}` is no repository of an image"
            remedy = "write [registry/]name in lower case; its tag is app_version"
            yield Problem("app_image", found, remedy)


def _named_by_version(settings: Settings) -> bool:
    """Whether the app's image is `app_image` with the tag `app_version`."""
    return bool(settings.get("app_image")) and _app_from_registry(settings)


def _app_from_registry(settings: Settings) -> bool:
    overrides = settings.get("container_images_overrides")
    overridden = isinstance(overrides, Mapping) and overrides.get("app")
    return settings.get("container_images_source") == "registry" and not overridden


def absent(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """Images that this inventory wants and its source does not offer."""
    keys = settings.get("container_images_wanted")
    offered = settings.get("container_images_refs")
    source = settings.get("container_images_source")
    if not isinstance(offered, Mapping) or not isinstance(keys, list):
        return
    if source == "archive" and keys and not offered:
        yield Problem(
            "container_images_export_directory",
            f"{settings.get('container_images_export_directory')} holds no images.json",
            "export the images there with playbooks/build_images.yml",
        )
        return
    for key in keys:
        # An unknown collector is refused for its name.
        if key in offered or (key == settings.get("collector") and key not in COLLECTORS):
            continue
        if key == "app" and _app_from_registry(settings):
            # Without its version the image has no reference either, which `app` refuses.
            if not settings.get("app_image"):
                remedy = "set it to the repository of your app's image, such as registry.example.com/music"
                yield Problem("app_image", "is not set", remedy)
            continue
        remedy = f"name one in container_images_overrides.{key}"
        variable = "collector" if key in COLLECTORS else f"container_images_overrides.{key}"
        yield Problem(variable, f"container_images_source {source} has no image `{key}`", remedy)


def references(settings: Settings, survey: Survey) -> Iterator[Problem]:
    overrides = settings.get("container_images_overrides")
    for key, reference in wanted(settings).items():
        variable = f"container_images_overrides.{key}"
        chosen = isinstance(overrides, Mapping) and key in overrides
        if settings.get("container_images_source") != "registry" and not chosen:
            continue
        if key == "app" and _named_by_version(settings):
            continue
        match = REFERENCE.fullmatch(reference)
        if match is None:
            yield Problem(
                variable,
                f"`{reference}` is not an image reference",
                "write [registry/]name:tag or name@sha256:digest, in lower case",
            )
        elif truth(settings.get("preflight_production")) and not match["digest"]:
            if match["tag"] is None:
                yield Problem(variable, f"`{reference}` has no tag", "name a tag or digest that never moves")
            elif match["tag"] == "latest":
                yield Problem(variable, f"`{reference}`", "name a tag or digest that never moves")


def registry_login(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """A login needs a server that images can begin with, and a password of the registry's own length."""
    login = settings.get("container_images_registry_login")
    if not isinstance(login, Mapping):
        return
    server = str(login.get("server", "registry.example.com"))
    if not re.fullmatch(_HOST, server):
        remedy = "write its name as images begin with it, without https:// and path"
        yield Problem("container_images_registry_login.server", f"`{server}`", remedy)
    if login.get("username") == "":
        yield Problem("container_images_registry_login.username", "is empty", "name the user, or its token")
    if (problem := absent_secret(settings, "vault_registry_password")) is not None:
        yield problem


def end_of_life(settings: Settings, survey: Survey) -> Iterator[tuple[str, Problem]]:
    """Images past their support, with their key: refused or reported, the caller decides.

    Debian-built images are left out: their packages are supported by the distribution.
    """
    if settings.get("container_images_source") != "registry":
        return
    today = time.strftime("%Y-%m-%d", time.gmtime(survey.get("time") or time.time()))
    versions = settings.get("container_images_versions")
    for key in wanted(settings):
        number = version(versions.get(key, "")) if isinstance(versions, Mapping) else ()
        for first_supported, last_day in END_OF_LIFE.get(key, []):
            if number and number < first_supported:
                if last_day < today:
                    text = ".".join(map(str, number))
                    remedy = SUCCESSOR.get(
                        key, f"name a supported version in container_images_overrides.{key}"
                    )
                    found = f"{key} {text} reached its end of life on {last_day}"
                    variable = "collector" if key in SUCCESSOR else f"container_images_overrides.{key}"
                    yield key, Problem(variable, found, remedy)
                break


def refused_end_of_life(settings: Settings, survey: Survey) -> Iterator[Problem]:
    if not truth(settings.get("preflight_production")):
        return
    for key, problem in end_of_life(settings, survey):
        if key not in _allowed(settings):
            remedy = f"{problem.remedy}, or list `{key}` in preflight_allow_end_of_life"
            yield Problem(problem.variable, problem.found, remedy)


def reported_end_of_life(settings: Settings, survey: Survey) -> Iterator[Problem]:
    for key, problem in end_of_life(settings, survey):
        if key in _allowed(settings) or not truth(settings.get("preflight_production")):
            yield problem


def _allowed(settings: Settings) -> list[str]:
    allowed = settings.get("preflight_allow_end_of_life")
    return [str(key) for key in allowed] if isinstance(allowed, list) else []


def compatibility(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """T13 and T14: versions that each work, but not together."""
    versions = settings.get("container_images_versions")
    images = wanted(settings)
    if not isinstance(versions, Mapping):
        return
    cadvisor = version(versions.get("cadvisor", ""))[:2] if "cadvisor" in images else ()
    docker = survey.get("docker", {})
    server = version(docker.get("server_version", ""))
    if (
        cadvisor
        and cadvisor <= CADVISOR_BLIND
        and (server >= DOCKER_NEW_API or docker.get("containerd_image_store"))
    ):
        reason = (
            f"Docker {docker['server_version']}"
            if server >= DOCKER_NEW_API
            else "Docker's containerd image store"
        )
        yield Problem(
            "container_images_overrides.cadvisor",
            f"cAdvisor {versions['cadvisor']} sees no containers under {reason} (T14)",
            "name ghcr.io/google/cadvisor later than 0.53 there",
        )
    broker = version(versions.get("rabbitmq", "")) if "rabbitmq" in images else ()
    exporter = version(versions.get("celery_exporter", "")) if "celery_exporter" in images else ()
    permitted = truth(settings.get("rabbitmq_prometheus_permit_transient_queues", False))
    if broker >= RABBITMQ_STRICT and not permitted and exporter and exporter <= CELERY_EXPORTER_OLD_KOMBU:
        yield Problem(
            "container_images_overrides.rabbitmq",
            f"RabbitMQ {versions['rabbitmq']} refuses the queues that celery-exporter "
            f"{versions['celery_exporter']} declares (T13)",
            "name a version before 4.3, or set rabbitmq_prometheus_permit_transient_queues: true",
        )


CHECKS = (app, absent, references, registry_login, refused_end_of_life, compatibility)
