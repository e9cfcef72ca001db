"""compose_project against the Docker engine of this machine: check, do, check again, do again; then failures.

The services run in the base image that every Debian-built image shares, so `make images` comes first.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "soundcheck-test"
NETWORK = "soundcheck-test"
SECRET = "a-secret-that-must-not-show"

COMPOSE = """\
services:
  web:
    image: {image}
    command: {{{{ web_command | default('sleep 600') | to_json }}}}
    init: true
    env_file: ./web.env
    labels: {{soundcheck.config: "{{{{ config_digest.web }}}}"}}
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
{{% if with_second | default(false) %}}
  second:
    image: {image}
    command: sleep 600
    init: true
{{% endif %}}
  job:
    image: {image}
    profiles: [job]
    command: {{{{ job_command | default('true') | to_json }}}}
"""


@dataclass
class Result:
    """One run of the playbook."""

    status: int
    output: str
    changed: bool
    actions: list[str]
    message: str


class Project:
    """A compose project in a temporary folder, deployed by a playbook of one task."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder = folder
        self.directory = folder / "project"
        (folder / "templates").mkdir()
        (folder / "templates" / "compose.yml.j2").write_text(COMPOSE.format(image=image))
        task = {
            "project": PROJECT,
            "directory": str(self.directory),
            "compose_file": "compose.yml",
            "templates": str(folder / "templates"),
            "files": [
                {"path": "compose.yml", "template": "compose.yml.j2"},
                {
                    "path": "web.env",
                    "content": "PASSWORD='{{ secret }}'\n",
                    "mode": "0600",
                    "secret": True,
                    "services": ["web"],
                },
            ],
            "networks": [NETWORK],
            "checks": "{{ checks | default([]) }}",
            "jobs": ["job"],
            "wait_timeout": 30,
        }
        play = {"hosts": "all", "gather_facts": False, "tasks": [{"compose_project": task}]}
        (folder / "play.yml").write_text(json.dumps([play]))

    def deploy(self, *options: str, **variables: Any) -> Result:
        variables = {"secret": SECRET, "ansible_python_interpreter": "/usr/bin/python3", **variables}
        (self.folder / "vars.json").write_text(json.dumps(variables))
        command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(self.folder / "play.yml")]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        run = subprocess.run(
            [*command, "-e", f"@{self.folder / 'vars.json'}", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # compose_project prints its actions before the callback prints its JSON.
        report = json.loads(run.stdout[run.stdout.index("{") :])
        result = report["plays"][0]["tasks"][0]["hosts"]["localhost"]
        output = run.stdout + run.stderr
        return Result(
            run.returncode, output, result["changed"], result.get("actions", []), result.get("msg", "")
        )

    def container(self, service: str) -> str:
        return docker("ps", "-q", "--filter", f"label=com.docker.compose.service={service}", *self.filter)

    @property
    def filter(self) -> tuple[str, str]:
        return ("--filter", f"label=com.docker.compose.project={PROJECT}")


def docker(*arguments: str) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    references = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    bases = [reference for reference in references if reference.startswith("soundcheck/base-trixie:")]
    assert bases, "no soundcheck/base-trixie image: run `make images` first"
    return bases[0]


@pytest.fixture
def project(tmp_path: Path, image: str) -> Iterator[Project]:
    yield Project(tmp_path, image)
    subprocess.run(
        ["docker", "compose", "-p", PROJECT, "down", "-t", "1"], capture_output=True, timeout=60, check=False
    )
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, timeout=60, check=False)
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_check_do_check_again_do_again(project: Project) -> None:
    foretold = project.deploy("--check", "--diff")
    assert foretold.changed
    assert not project.directory.exists(), "--check must not write"

    first = project.deploy()
    assert first.changed
    assert first.actions[-1] == "started web"
    assert "ran job job" in first.actions
    container = project.container("web")
    assert container
    assert (project.directory / "web.env").stat().st_mode & 0o777 == 0o600

    assert not project.deploy("--check").changed
    second = project.deploy()
    assert not second.changed
    assert second.actions == []
    assert project.container("web") == container, "an unchanged service must not be recreated"


def test_changed_secret_recreates_its_service_and_never_shows(project: Project) -> None:
    project.deploy()
    container = project.container("web")

    result = project.deploy("--diff", "-vvv", secret="another-" + SECRET)

    assert result.changed
    assert project.container("web") != container
    assert SECRET not in result.output


def test_service_that_left_the_file_is_removed(project: Project) -> None:
    project.deploy(with_second=True)
    assert project.container("second")

    assert project.deploy().changed
    assert not project.container("second")


def test_container_that_somebody_stopped_is_started_again(project: Project) -> None:
    project.deploy()
    docker("stop", "-t", "1", project.container("web"))

    assert project.deploy("--check").changed
    assert project.deploy().changed
    assert project.container("web")


def test_failed_job_leaves_files_and_services_as_they_were(project: Project) -> None:
    project.deploy()
    container = project.container("web")
    before = (project.directory / "compose.yml").read_text()

    result = project.deploy(job_command="sh -c 'echo no such route; exit 1'", web_command="sleep 601")

    assert result.status != 0
    assert "job job of project soundcheck-test failed with status 1" in result.message
    assert "no such route" in result.message
    assert (project.directory / "compose.yml").read_text() == before
    assert project.container("web") == container


def test_invalid_compose_file_changes_nothing(project: Project) -> None:
    project.deploy()
    before = (project.directory / "compose.yml").read_text()
    template = project.folder / "templates" / "compose.yml.j2"
    template.write_text(template.read_text() + "  broken: {imag: x}\n")

    result = project.deploy()

    assert result.status != 0
    assert "compose.yml of project soundcheck-test is not valid" in result.message
    assert (project.directory / "compose.yml").read_text() == before


def test_files_that_a_check_refuses_change_nothing(project: Project) -> None:
    """It reads the new files; where none differs it does not run."""
    checks = [{"name": "the words of a test", "argv": ["grep", "sleep 600", "{staging}/compose.yml"]}]
    project.deploy(checks=checks)
    container = project.container("web")
    before = (project.directory / "compose.yml").read_text()

    for options in ([], ["--check"]):
        result = project.deploy(*options, checks=checks, web_command="sleep 601")

        assert result.status != 0
        assert "the words of a test failed on the new files" in result.message
        assert (project.directory / "compose.yml").read_text() == before
        assert project.container("web") == container
    assert project.deploy(checks=[{"name": "never", "argv": ["false"]}]).status == 0


def test_container_that_crashes_is_named_with_its_last_lines(project: Project) -> None:
    result = project.deploy(web_command="sh -c 'echo cannot reach the moon; exit 3'")

    assert result.status != 0
    assert "web: " in result.message
    assert "last exit status 3" in result.message
    assert "cannot reach the moon" in result.message


def test_failed_start_is_tried_again_though_its_files_are_there(project: Project) -> None:
    project.deploy()
    assert project.deploy(web_command="sh -c 'exit 3'").status != 0

    again = project.deploy(web_command="sh -c 'exit 3'")

    assert again.status != 0, "the record of the start before holds for other files"


def test_failed_start_is_repaired_by_the_next_deploy(project: Project) -> None:
    assert project.deploy(web_command="sh -c 'exit 3'").status != 0

    result = project.deploy()

    assert result.status == 0
    assert result.changed
    assert project.container("web")
