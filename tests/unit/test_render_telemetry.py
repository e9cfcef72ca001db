"""The telemetry project of every inventory, collector and destination, as it lands on a host."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import IMAGES, SECRETS, Rendering

COMPOSE_FILE = "docker-compose.prod.yml"
COLLECTORS = ("prometheus_agent", "grafana_agent", "alloy")
CLOUD = {
    "remote_write_url": "https://prometheus-prod-01.grafana.net/api/prom/push",
    "query_url": "https://prometheus-prod-01.grafana.net/api/prom",
    "username": "123456",
}
CONTACT_POINTS = {
    "contact_points": {
        "email": {
            "addresses": ["ops@example.org"],
            "smtp": {"host": "mail.example.org", "from": "alerts@example.org", "username": "alerts"},
        },
        "slack": {},
        "discord": {"resolved": False},
        "telegram": {"chat_id": -100200300, "severities": ["critical"]},
    },
}
# collector, database, destination
COMBINATIONS = list(product(COLLECTORS, ("embedded", "external"), ("embedded", "grafana_cloud")))


@cache
def files(collector: str, database: str, destination: str) -> dict[str, str]:
    return Rendering(settings=settings(collector, database, destination)).project("telemetry")


def settings(collector: str, database: str, destination: str) -> dict[str, Any]:
    return {
        "collector": collector,
        "database": database,
        "metrics_destination": destination,
        "grafana_cloud": CLOUD,
        "app_stack_database_host": "postgres" if database == "embedded" else "db.example.com",
        **CONTACT_POINTS,
    }


def compose(collector: str, database: str, destination: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(files(collector, database, destination)[COMPOSE_FILE])
    return parsed


@pytest.fixture(scope="module")
def schema() -> Any:
    """The Compose Specification's own schema, which the package check-jsonschema carries."""
    builtin = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="check-jsonschema (requirements.txt) carries the schema"
    )
    return pytest.importorskip("jsonschema").Draft7Validator(
        builtin.get_builtin_schema("vendor.compose-spec")
    )


def has_compose() -> bool:
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return asked.returncode == 0


@pytest.mark.parametrize(("collector", "database", "destination"), COMBINATIONS)
def test_compose_file_fits_the_schema(collector: str, database: str, destination: str, schema: Any) -> None:
    errors = [
        f"{error.json_path}: {error.message}"
        for error in schema.iter_errors(compose(collector, database, destination))
    ]

    assert not errors


@pytest.mark.skipif(not has_compose(), reason="needs the Docker CLI with its compose plugin")
@pytest.mark.parametrize("collector", COLLECTORS)
def test_compose_itself_accepts_the_project(collector: str, tmp_path: Path) -> None:
    for path, content in files(collector, "embedded", "embedded").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    command = ["docker", "compose", "--file", COMPOSE_FILE, "config", "--format", "json"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    understood = json.loads(done.stdout)["services"]
    # A `$` that Compose took for a variable would be gone; one that it kept is printed escaped again.
    assert any(flag.endswith("($$|/)") for flag in understood["node-exporter"]["command"])
    assert understood["cadvisor"]["deploy"]["resources"]["limits"]["memory"] == str(256 * 2**20)


@pytest.mark.parametrize(("collector", "database", "destination"), COMBINATIONS)
def test_services_are_the_exporters_one_collector_and_the_embedded_backend(
    collector: str, database: str, destination: str
) -> None:
    """Never two shippers."""
    expected = {"cadvisor", "node-exporter", "celery-exporter", "postgres-exporter"}
    expected.add(collector.replace("_", "-"))
    if destination == "embedded":
        expected |= {"metrics-backend", "alertmanager"}

    assert set(compose(collector, database, destination)["services"]) == expected


@pytest.mark.parametrize(("collector", "database", "destination"), COMBINATIONS)
def test_every_service_comes_back_and_can_be_scaled(collector: str, database: str, destination: str) -> None:
    """G1.9, T7."""
    for name, service in compose(collector, database, destination)["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert "container_name" not in service, name


@pytest.mark.parametrize(("collector", "database", "destination"), COMBINATIONS)
def test_what_a_service_mounts_exists(collector: str, database: str, destination: str) -> None:
    """A bind mount of a missing file becomes an empty folder, and the program inside does not start."""
    project = compose(collector, database, destination)
    rendered = files(collector, database, destination)
    volumes = project.get("volumes", {})

    for name, service in project["services"].items():
        for source, _, _ in (mount.partition(":") for mount in service.get("volumes", [])):
            below = source.removeprefix("/opt/soundcheck/telemetry/")
            if source.startswith("/opt/soundcheck/"):
                assert below in rendered or any(path.startswith(f"{below}/") for path in rendered), (
                    name,
                    source,
                )
            else:
                assert source in {"/", "/sys"} or source in volumes, (name, source)
    used = {mount.split(":")[0] for s in project["services"].values() for mount in s.get("volumes", [])}
    assert set(volumes) <= used, "a volume that no service mounts"


@pytest.mark.parametrize(("collector", "database", "destination"), COMBINATIONS)
def test_secrets_are_in_secret_files_alone(collector: str, database: str, destination: str) -> None:
    rendering = Rendering(settings=settings(collector, database, destination))
    secret_paths = {entry["path"] for entry in rendering.entries("telemetry") if entry.get("secret")}
    modes = {entry["mode"] for entry in rendering.entries("telemetry") if entry.get("secret")}

    assert modes <= {"0600", "0400"}
    for path, content in files(collector, database, destination).items():
        if path not in secret_paths:
            assert not [name for name, value in SECRETS.items() if value in content], path


BACKEND_CHECKS = {
    "promtool check config of the metrics backend, with its rules": "prometheus",
    "amtool check-config of Alertmanager": "alertmanager",
}
AGENT_CHECKS = {"promtool check config of the collector": "prometheus"}


@pytest.mark.parametrize(
    ("collector", "destination", "check_mode", "present", "wanted"),
    [
        ("alloy", "embedded", False, [], BACKEND_CHECKS),
        ("prometheus_agent", "embedded", False, [], BACKEND_CHECKS | AGENT_CHECKS),
        ("prometheus_agent", "embedded", True, ["prometheus", "alertmanager"], BACKEND_CHECKS | AGENT_CHECKS),
        # A first deploy that is only foretold: the images, which the checkers come with, are not there yet.
        ("prometheus_agent", "embedded", True, [], {}),
        ("prometheus_agent", "embedded", True, ["prometheus"], AGENT_CHECKS),
        ("prometheus_agent", "grafana_cloud", False, [], AGENT_CHECKS),
        ("alloy", "grafana_cloud", False, [], {}),
    ],
)
def test_a_configuration_that_has_a_checker_is_checked_before_it_is_used(
    collector: str, destination: str, check_mode: bool, present: list[str], wanted: dict[str, str]
) -> None:
    rendering = Rendering(
        settings={
            **settings(collector, "embedded", destination),
            "ansible_check_mode": check_mode,
            "container_images_present": [IMAGES[key] for key in present],
        }
    )

    checks = {check["name"]: check["argv"] for check in rendering.value("telemetry_checks")}

    assert list(checks) == list(wanted)
    assert all(IMAGES[key] in checks[name] for name, key in wanted.items())


def test_services_with_files_carry_their_hash_and_a_change_reaches_only_its_own_service() -> None:
    """Compose does not see a change inside a mounted file; the label makes it one of the service."""

    def labels(**change: Any) -> dict[str, str]:
        project = Rendering(settings=change).project("telemetry")[COMPOSE_FILE]
        services = yaml.safe_load(project)["services"].items()
        return {
            name: service["labels"]["soundcheck.config"] for name, service in services if "labels" in service
        }

    before = labels()
    after = labels(app_stack_rabbitmq_user="other")

    assert set(before) == {
        *("celery-exporter", "postgres-exporter"),
        *("prometheus-agent", "metrics-backend", "alertmanager"),
    }
    assert {name for name in before if before[name] != after[name]} == {"celery-exporter"}


def test_project_is_the_same_at_every_rendering() -> None:
    """A second deploy changes nothing."""
    assert Rendering().project("telemetry") == Rendering().project("telemetry")


@pytest.mark.parametrize("inventory", ["inventories/local", "inventories/molecule", "inventories/production"])
def test_every_inventory_of_the_repository_renders(inventory: str) -> None:
    rendering = Rendering(inventory)

    for project in ("app", "telemetry"):
        for path, content in rendering.project(project).items():
            assert "AnsibleUndefined" not in content, path
        parsed = yaml.safe_load(rendering.project(project)[COMPOSE_FILE])
        assert parsed["networks"]["telemetry"] == {"external": True}
