"""What the converge rendered, read by the programs and formats that it is meant for."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

RENDERED = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "rendered"
HOSTS = sorted(path.name for path in RENDERED.iterdir())
COMPOSE_FILES = [
    f"{host}/{project}/docker-compose.prod.yml" for host in HOSTS for project in ("app", "telemetry")
]


# track_timestamps_staleness came with it.
OLDEST_PROMTOOL = (2, 48)


def promtool_version(promtool: str) -> tuple[int, ...]:
    said = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    return tuple(int(part) for part in number.groups()) if number else (0,)


def found(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(RENDERED)) for path in RENDERED.rglob(pattern))


def text(path: str) -> str:
    return (RENDERED / path).read_text(encoding="utf-8")


def test_every_way_to_deploy_was_rendered() -> None:
    """Three collectors, two kinds of database, two destinations."""
    assert len(HOSTS) == 12


@pytest.mark.parametrize("path", found("*.yml") + found("*.yaml"))
def test_yaml_is_yaml(path: str) -> None:
    assert yaml.safe_load(text(path))


@pytest.mark.parametrize("path", found("*.json"))
def test_json_is_json(path: str) -> None:
    assert json.loads(text(path))


@pytest.mark.parametrize("path", found("*.py"))
def test_python_is_python(path: str) -> None:
    ast.parse(text(path))


@pytest.mark.parametrize("path", [path for name in (".env.*", "environment") for path in found(name)])
def test_environments_are_assignments_that_others_cannot_read(path: str) -> None:
    assert (RENDERED / path).stat().st_mode & 0o777 in {0o400, 0o440}
    lines = [line for line in text(path).splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    assert all(line.partition("=")[0].isidentifier() for line in lines)


@pytest.mark.parametrize("path", COMPOSE_FILES)
def test_compose_file_fits_the_schema(path: str) -> None:
    builtin = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="check-jsonschema (requirements.txt) carries the schema"
    )
    validator: Any = pytest.importorskip("jsonschema").Draft7Validator
    errors = validator(builtin.get_builtin_schema("vendor.compose-spec")).iter_errors(
        yaml.safe_load(text(path))
    )

    assert not [f"{error.json_path}: {error.message}" for error in errors]


@pytest.mark.parametrize("path", [path for path in found("prometheus.yml") if "/telemetry/" in path])
def test_promtool_accepts_the_configuration(path: str) -> None:
    promtool = shutil.which("promtool")
    if not promtool or promtool_version(promtool) < OLDEST_PROMTOOL:
        pytest.skip("needs promtool 2.48 or newer, Debian 13's package prometheus")
    # The passwords lie beside the configuration on the host and are mounted elsewhere in the container.
    command = [promtool, "check", "config", "--syntax-only"]
    if "prometheus-agent" in path:
        command.append("--agent")

    done = subprocess.run([*command, str(RENDERED / path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", found("Caddyfile"))
def test_caddy_accepts_the_configuration(path: str, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [str(Path(sys.executable).parent / "caddy"), "validate", "--adapter", "caddyfile", "--config"]

    done = subprocess.run(
        [*command, str(RENDERED / path)], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", found("alertmanager.yml"))
def test_amtool_accepts_the_configuration(path: str) -> None:
    amtool = shutil.which("amtool")
    if not amtool:
        pytest.skip("needs amtool, Debian 13's package prometheus-alertmanager")

    done = subprocess.run(
        [amtool, "check-config", str(RENDERED / path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "rendered" not in text(path), "the configuration holds a secret"
