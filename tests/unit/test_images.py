"""Declared images and their references under each source (T12 to T15)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "container_images"
DECLARED = yaml.safe_load((ROOT / "images" / "images.yml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
SPEC = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
REGISTRY = DEFAULTS["container_images_registry"]
OPTIONS = SPEC["argument_specs"]["main"]["options"]
INVENTORY = {
    "collector": "prometheus_agent",
    "database": "embedded",
    "metrics_destination": "embedded",
    "app_stack_flower_enabled": False,
    "container_images_source": "debian",
    "soundcheck_root": str(ROOT),
}

lookup_loader.add_directory(str(ROOT / "plugins" / "lookup"))


def variable(name: str, **settings: Any) -> Any:
    """A variable of the role, as a play with these settings sees it."""
    values = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
    variables = {**{"soundcheck_artifacts": "/nowhere"}, **DEFAULTS, **values, **INVENTORY, **settings}
    templates = {
        key: trust_as_template(value) if isinstance(value, str) else value for key, value in variables.items()
    }
    return Templar(loader=DataLoader(), variables=templates).template(templates[name])


def test_preflights_answer_is_taken_without_asking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jinja works out every name that an expression holds: the lookup, slow, would run in each task."""
    asked: list[str] = []
    lookup = lookup_loader.get("container_images", class_only=True)
    answer = lookup.run

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(options["source"])
        return answer(self, *args, **options)

    monkeypatch.setattr(lookup, "run", counted)
    survey = {"image_references": {"app": "music:1"}, "image_versions": {"app": "1"}}

    assert variable("container_images_refs", __preflight_survey=survey) == {"app": "music:1"}
    assert variable("container_images_versions", __preflight_survey=survey) == {"app": "1"}
    assert variable("container_images_available", __preflight_survey=survey) == ["app"]
    assert not asked
    assert variable("container_images_refs")
    assert asked


# --- registry ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", REGISTRY)
def test_registry_tags_do_not_move(key: str) -> None:
    """T12: no `latest`, no missing tag, and a tag as exact as the project publishes."""
    tag = REGISTRY[key].rpartition("/")[2].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), REGISTRY[key]


def number(key: str) -> tuple[int, ...]:
    return tuple(int(part) for part in variable("container_images_versions", **REGISTERED)[key].split("."))


REGISTERED = {"container_images_source": "registry"}


def test_rabbitmq_accepts_the_queues_of_the_exporter() -> None:
    """T13: 4.3 refuses what celery-exporter up to 0.12.2 declares."""
    assert (4, 1) <= number("rabbitmq") < (4, 3)


def test_cadvisor_sees_docker_29() -> None:
    """T14: from the registry where new images are, and late enough."""
    assert REGISTRY["cadvisor"].startswith("ghcr.io/google/cadvisor:")
    assert number("cadvisor") > (0, 53)


def test_collectors_are_the_last_and_a_current_release() -> None:
    """T15."""
    assert number("grafana_agent") == (0, 44, 8)
    assert number("alloy") >= (1, 18, 1)


def test_registry_has_no_app() -> None:
    assert "app" not in REGISTRY
    chosen = {"app": "registry.example.com/music:2026.11.1"}
    assert (
        variable("container_images_refs", container_images_overrides=chosen, **REGISTERED)["app"]
        == chosen["app"]
    )


def test_the_version_is_the_tag_of_the_apps_image() -> None:
    settings: dict[str, Any] = {**REGISTERED, "app_image": "registry.example.com/music"}
    references = variable("container_images_refs", **settings, app_version="2026-11-01")
    assert references["app"] == "registry.example.com/music:2026-11-01"
    assert "app" not in variable("container_images_refs", **settings, app_version="")
    chosen = {"app": "registry.example.com/music@sha256:0"}
    overridden = variable(
        "container_images_refs", **settings, app_version="2", container_images_overrides=chosen
    )
    assert overridden["app"] == chosen["app"]


# --- debian --------------------------------------------------------------------------------------------


def test_every_key_is_specified() -> None:
    keys = {*REGISTRY, *DECLARED["images"], *DECLARED["registry_only"]}
    assert set(OPTIONS["container_images_overrides"]["options"]) == keys
    assert set(DEFAULTS) <= set(OPTIONS)


@pytest.mark.parametrize("key", DECLARED["images"])
def test_declared_images_have_a_folder_and_a_base(key: str) -> None:
    image = DECLARED["images"][key]
    dockerfile = (ROOT / "images" / key.replace("_", "-") / "Dockerfile").read_text(encoding="utf-8")
    assert image["base"] in DECLARED["bases"]
    assert dockerfile.startswith("ARG BASE\nFROM ${BASE}")
    assert "latest" not in dockerfile


@pytest.mark.parametrize(
    "path", sorted((ROOT / "images").glob("*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_builds_leave_no_certificates_and_no_package_lists(path: Path) -> None:
    """The CA bundle is copied in a stage whose layers do not reach the image."""
    stages = path.read_text(encoding="utf-8").split("\nFROM ")
    assert "ca-bundle.crt" not in stages[-1]
    for line in path.read_text(encoding="utf-8").split("\nRUN "):
        assert "apt-get install" not in line or "rm -rf /var/lib/apt/lists/*" in line


def test_debian_refs_are_content_hashes_with_declared_versions() -> None:
    references = variable("container_images_refs")
    versions = variable("container_images_versions")
    assert set(references) == set(DECLARED["images"])
    for key, reference in references.items():
        assert re.fullmatch(rf"soundcheck/{key.replace('_', '-')}:[0-9a-f]{{12}}", reference)
    assert versions["rabbitmq"] == "4.0.5"
    assert versions["cadvisor"] == "0.38.7"
    assert versions["app"] == references["app"].rpartition(":")[2]


def test_an_override_wins_with_its_own_version() -> None:
    chosen = {"rabbitmq": "rabbitmq:4.2.9-management"}
    assert (
        variable("container_images_refs", container_images_overrides=chosen)["rabbitmq"] == chosen["rabbitmq"]
    )
    assert variable("container_images_versions", container_images_overrides=chosen)["rabbitmq"] == "4.2.9"


# --- archive -------------------------------------------------------------------------------------------


def test_archive_refs_are_what_was_exported(tmp_path: Path) -> None:
    entry = {"ref": "rabbitmq:4.2.9", "version": "4.2.9", "archive": "rabbitmq-4.2.9.tar"}
    (tmp_path / "images.json").write_text(json.dumps({"rabbitmq": entry}), encoding="utf-8")
    settings = {"container_images_source": "archive", "container_images_export_directory": str(tmp_path)}
    references = variable("container_images_refs", **settings)
    assert references["rabbitmq"] == "rabbitmq:4.2.9"
    assert references["postgres"] == variable("container_images_refs")["postgres"], "not exported: as built"
    assert variable("container_images_versions", **settings)["rabbitmq"] == "4.2.9"


# --- what an inventory needs ---------------------------------------------------------------------------

ALWAYS = {"app", "caddy", "rabbitmq", "cadvisor", "node_exporter", "celery_exporter", "postgres_exporter"}
NEEDS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"postgres", "prometheus", "alertmanager"}),
    ({"database": "external"}, {"prometheus", "alertmanager"}),
    ({"app_stack_flower_enabled": True}, {"postgres", "prometheus", "alertmanager", "flower"}),
    ({"collector": "grafana_agent"}, {"postgres", "prometheus", "alertmanager", "grafana_agent"}),
    ({"collector": "alloy", "metrics_destination": "grafana_cloud"}, {"postgres", "alloy"}),
    ({"collector": "prometheus_agent", "metrics_destination": "grafana_cloud"}, {"postgres", "prometheus"}),
]


@pytest.mark.parametrize(("settings", "more"), NEEDS)
def test_wanted_images_follow_the_inventory(settings: dict[str, Any], more: set[str]) -> None:
    wanted = variable("container_images_wanted", **settings)
    assert set(wanted) == ALWAYS | more
    assert len(wanted) == len(set(wanted))


@pytest.mark.parametrize(
    ("present", "known"),
    [([], False), (["rabbitmq:4.2.9"], False), (["rabbitmq:4.2.9", "postgres:17.11"], True)],
)
def test_the_trip_is_left_out_when_all_images_are_known(present: list[str], known: bool) -> None:
    wanted = ["rabbitmq", "postgres"]
    settings = {"container_images_wanted": wanted, "container_images_present": present, **REGISTERED}
    assert bool(variable("_container_images_all_known", **settings)) is known


def test_an_image_that_the_source_lacks_is_never_known() -> None:
    """The module then refuses it with a sentence, instead of a template that fails on an undefined value."""
    assert not variable("_container_images_all_known", container_images_wanted=["alloy"])
