"""compose-lint over every rendered compose file: no finding without a reason in .compose-lint.yml."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import ROOT
from tests.unit.test_hardening import app_files
from tests.unit.test_render_telemetry import COMBINATIONS, COMPOSE_FILE, files

CONFIG = ROOT / ".compose-lint.yml"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("compose")
    rendered = {f"app-{database}": app_files(database) for database in ("embedded", "external")}
    rendered |= {f"telemetry-{'-'.join(way)}": files(*way) for way in COMBINATIONS}
    for name, project in rendered.items():
        (folder / name).mkdir()
        (folder / name / COMPOSE_FILE).write_text(project[COMPOSE_FILE], encoding="utf-8")
    program = str(Path(sys.executable).with_name("compose-lint"))
    command = [program, "check", "--format=json", "--fail-on=low", "--strict-config", f"--config={CONFIG}"]
    paths = [str(folder / name / COMPOSE_FILE) for name in rendered]

    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)

    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(done.stdout)
    assert report["errors"] == []
    found: list[dict[str, Any]] = report["findings"]
    return found


def test_no_finding_is_without_a_reason(findings: list[dict[str, Any]]) -> None:
    open_ones = {(f["rule_id"], f["service"], f["message"]) for f in findings if not f["suppressed"]}

    assert sorted(open_ones) == []


def test_every_reason_is_needed(findings: list[dict[str, Any]]) -> None:
    rules = yaml.safe_load(CONFIG.read_text("utf-8"))["rules"]
    excluded = {
        (rule, service) for rule, said in rules.items() for service in said.get("exclude_services", {})
    }

    assert sorted(excluded - {(f["rule_id"], f["service"]) for f in findings if f["suppressed"]}) == []
