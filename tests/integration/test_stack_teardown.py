"""stack_teardown against the Docker engine of this machine, on a project of its own: check, do, do again.

The service runs in the base image that every Debian-built image shares, so `make images` comes first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "soundcheck-teardown"
PREFIX = "soundcheck-teardown/"
STRANGER = "soundcheck-teardown-stranger"

COMPOSE = """\
# Managed by Soundcheck
services:
  web:
    image: {image}
    command: sleep 600
    init: true
    volumes: [data:/data]
volumes: {{data: {{}}}}
"""


def docker(*arguments: str, given: str | None = None) -> str:
    run = subprocess.run(
        ["docker", *arguments],
        input=given,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout.strip()


class Host:
    """A deployed project in a temporary folder, a container beside it that is nobody's, and one task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "opt" / "app"

    def teardown(self, *options: str, **arguments: Any) -> dict[str, Any]:
        projects = [{"name": PROJECT, "directory": str(self.directory), "compose_file": "compose.yml"}]
        task = {"projects": projects, "image_prefix": PREFIX, "stop_timeout": 1, **arguments}
        play = {"hosts": "all", "gather_facts": False, "tasks": [{"stack_teardown": task}]}
        (self.folder / "play.yml").write_text(json.dumps([play]))
        run = subprocess.run(
            [
                *("ansible-playbook", "-i", "localhost,", "-c", "local", str(self.folder / "play.yml")),
                *("-e", "ansible_python_interpreter=/usr/bin/python3", *options),
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        # The plugin tells what it did before the callback prints its JSON.
        report = json.loads(run.stdout[run.stdout.index("\n{") :])
        result: dict[str, Any] = report["plays"][0]["tasks"][0]["hosts"]["localhost"]
        return {**result, "output": run.stdout}

    def leftovers(self) -> dict[str, str]:
        label = f"label=com.docker.compose.project={PROJECT}"
        return {
            "containers": docker("ps", "-aq", "--filter", label),
            "networks": docker("network", "ls", "-q", "--filter", label),
            "volumes": docker("volume", "ls", "-q", "--filter", label),
            "images": docker("image", "ls", "-q", f"{PREFIX}*"),
        }


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    references = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    bases = [reference for reference in references if reference.startswith("soundcheck/base-trixie:")]
    assert bases, "no soundcheck/base-trixie image: run `make images` first"
    image = f"{PREFIX}app:1"
    # An image of its own: one that another container runs would stay.
    docker("build", "--quiet", "--tag", image, "-", given=f"FROM {bases[0]}\nLABEL teardown=test\n")
    found = Host(tmp_path)
    found.directory.mkdir(parents=True)
    compose = found.directory / "compose.yml"
    compose.write_text(COMPOSE.format(image=image))
    docker("compose", "-p", PROJECT, "-f", str(compose), "up", "-d")
    docker("run", "-d", "--name", STRANGER, "--init", bases[0], "sleep", "600")
    yield found
    for command in (
        ["docker", "rm", "-f", STRANGER],
        ["docker", "compose", "-p", PROJECT, "down", "-v", "-t", "1"],
        ["docker", "image", "rm", image],
    ):
        subprocess.run(command, capture_output=True, timeout=60, check=False)


def test_check_do_and_do_again(host: Host) -> None:
    before = host.leftovers()
    foretold = host.teardown("--check")
    assert foretold["changed"]
    assert f"would remove container: {PROJECT}-web-1" in foretold["output"]
    assert host.leftovers() == before
    assert host.directory.exists(), "--check must not remove"

    done = host.teardown()
    assert done["changed"]
    assert f"removed folder: {host.directory}" in done["output"]
    assert f"kept volume {PROJECT}_data: data" in done["output"]
    after = host.leftovers()
    assert (after["containers"], after["networks"]) == ("", "")
    assert after["volumes"] == f"{PROJECT}_data", "data stays unless told"
    assert after["images"] == before["images"]
    assert not host.directory.exists()
    assert docker("inspect", "-f", "{{.State.Running}}", STRANGER) == "true"

    again = host.teardown()
    assert (again["changed"], again["actions"]) == (False, [])


def test_data_and_images_go_when_told_also_without_files(host: Host) -> None:
    """The compose file is gone: labels tell what belongs to the project."""
    (host.directory / "compose.yml").unlink()
    host.directory.rmdir()

    done = host.teardown(volumes=True, images=True)

    assert done["changed"]
    assert set(host.leftovers().values()) == {""}
    assert docker("inspect", "-f", "{{.State.Running}}", STRANGER) == "true"
    assert not host.teardown(volumes=True, images=True)["changed"]
