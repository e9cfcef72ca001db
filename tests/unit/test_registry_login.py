"""Logging in to a registry: with a `docker` that only pretends, in the PATH of the real module."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.registry_login import ImageError, RegistryLogin
from tests.playbooks import ansible_playbook

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "k3EpThisOutOfEverything"

# Writes down how it was called, and what it was given on standard input. Knows no image until it was pulled.
DOCKER = """#!/bin/sh
echo "$* config=${DOCKER_CONFIG:-none}" >> FOLDER/calls
case "$1" in
image) grep -qx "$5" FOLDER/pulled 2>/dev/null || { echo "No such image: $5" >&2; exit 1; } ;;
login)
  stat -c %a "$DOCKER_CONFIG" > FOLDER/mode
  read -r password
  [ "$password" = RIGHT ] || { echo "Error: login failed: 401 Unauthorized" >&2; exit 1; }
  echo "$password" > "$DOCKER_CONFIG/config.json"
  ;;
pull) echo "$3" >> FOLDER/pulled ;;
esac
"""


class Host:
    """This machine with a pretending `docker`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "docker"
        program.write_text(DOCKER.replace("FOLDER", str(folder)).replace("RIGHT", PASSWORD))
        program.chmod(0o755)

    def have(self, *references: str, password: str = PASSWORD, options: tuple[str, ...] = ()) -> str:
        keys = {f"image{number}": reference for number, reference in enumerate(references)}
        task = {
            **{"source": "registry", "wanted": list(keys), "references": keys, "versions": {}},
            **{"images_directory": str(ROOT / "images"), "app_context": "/x", "manifest_directory": "/x"},
            "registry_login": {"server": "registry.example.com", "username": "deploy"},
            "registry_password": "{{ vault_registry_password }}",
        }
        play = {
            "hosts": "all",
            "gather_facts": False,
            "environment": {"PATH": f"{self.folder}:{os.environ['PATH']}"},
            "vars": {"vault_registry_password": password, "ansible_python_interpreter": sys.executable},
            "tasks": [{"container_images": task}],
        }
        (self.folder / "play.yml").write_text(json.dumps([play]))
        done = ansible_playbook(*["-i", "localhost,", "-c", "local", str(self.folder / "play.yml"), *options])
        return done.stdout + done.stderr

    def calls(self, command: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(command)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_one_login_for_the_pulls_from_its_registry(host: Host) -> None:
    """Nothing of it stays: neither on a command line, nor in the output, nor on the disk."""
    images = ("registry.example.com/music:1", "registry.example.com/flower:1", "rabbitmq:4.2.9")

    output = host.have(*images, options=("-vvv", "--diff"))

    assert "failed=0" in output, output
    [login] = host.calls("login")
    assert login.startswith("login --username deploy --password-stdin registry.example.com config=/")
    config = login.rpartition("=")[2]
    music, flower, rabbitmq = host.calls("pull")
    assert music.endswith(f"config={config}")
    assert flower.endswith(f"config={config}")
    assert rabbitmq.endswith("config=none"), "other registries are none of its business"
    assert (host.folder / "mode").read_text().strip() == "700"
    assert not os.path.exists(config)
    assert PASSWORD not in output
    assert PASSWORD not in (host.folder / "calls").read_text()


def test_images_that_are_there_need_no_login(host: Host) -> None:
    (host.folder / "pulled").write_text("registry.example.com/music:1\n")
    assert "changed=0" in host.have("registry.example.com/music:1")
    assert host.calls("login") == []
    assert "changed=1" in host.have("registry.example.com/flower:1", options=("--check",))
    assert host.calls("login") == []


def test_a_wrong_password_names_its_variable_and_pulls_nothing(host: Host) -> None:
    """Bad input"""
    output = host.have("registry.example.com/music:1", password="wr0ng-" + PASSWORD, options=("-vvv",))

    assert "vault_registry_password: registry.example.com refused the user deploy" in " ".join(output.split())
    assert "401 Unauthorized" in output
    assert host.calls("pull") == []
    [login] = host.calls("login")
    assert not os.path.exists(login.rpartition("=")[2])
    assert PASSWORD not in output


@pytest.mark.parametrize(
    ("server", "reference", "asked"),
    [
        ("registry.example.com", "registry.example.com/music:1", True),
        ("registry.example.com", "registry.example.com:5000/music:1", False),
        ("docker.io", "rabbitmq:4.2.9", True),
        ("docker.io", "ghcr.io/google/cadvisor:v0.60.5", False),
    ],
)
def test_a_login_serves_its_own_registry(server: str, reference: str, asked: bool) -> None:
    logins: list[str] = []

    def run(command: Any, environment: Any, given: str) -> tuple[int, str, str]:
        logins.append(given)
        return 0, "", ""

    login = RegistryLogin(run, server, "deploy", PASSWORD)
    assert bool(login.environment(reference)) is asked
    assert logins == [PASSWORD] * asked
    login.end()
    login.end()


def test_a_registry_that_does_not_answer_is_not_a_wrong_password() -> None:
    login = RegistryLogin(
        lambda *_: (1, "", f"dial tcp: no such host {PASSWORD}"), "r.example", "me", PASSWORD
    )
    with pytest.raises(ImageError) as caught:
        login.environment("r.example/music:1")
    assert str(caught.value) == (
        "container_images_registry_login.server: r.example: no login there: dial tcp: no such host (secret)"
    )
    login.end()
