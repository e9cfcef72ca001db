"""What holds for the playbooks as they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import ROOT

PLAYBOOKS = ROOT / "playbooks"


def plays(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((PLAYBOOKS / name).read_text("utf-8"))
    return loaded


def imported(entries: Any) -> Iterator[str]:
    """Names of the task files and roles that a piece of a play imports, at any depth."""
    if isinstance(entries, list):
        for entry in entries:
            yield from imported(entry)
    elif isinstance(entries, dict):
        for key, value in entries.items():
            if key == "ansible.builtin.import_tasks":
                yield value.rpartition("/")[2]
            elif key == "ansible.builtin.import_role":
                yield value["name"]
            elif key in {"tasks", "block", "always", "rescue"}:
                yield from imported(value)


@pytest.mark.parametrize("name", ["site.yml", "deploy_app.yml", "deploy_telemetry.yml", "grafana.yml"])
def test_what_locks_the_host_unlocks_it_when_it_fails(name: str) -> None:
    """preflight takes the lock; `always` comes after a failure, later tasks and plays do not."""
    for play in plays(name):
        if {"prepare.yml", "preflight"} & set(imported(play)):
            [block] = play["tasks"]
            assert "unlock.yml" in imported(block["always"])


def test_a_deploy_ends_by_unlocking_the_host() -> None:
    """Its verification and its mark on the timeline belong to it."""
    last = plays("site.yml")[-1]["ansible.builtin.import_playbook"]
    [block] = plays(last)[0]["tasks"]
    assert list(imported(block["always"])) == ["unlock.yml"]
    [verification] = [task for task in plays("verify.yml")[0]["tasks"] if "always" in task]
    assert "unlock.yml" in imported(verification["always"])


@pytest.mark.parametrize("said", [[], ["-e", "teardown_confirm=other"]])
def test_data_goes_only_when_the_host_is_named(tmp_path: Path, said: list[str]) -> None:
    """Bad input: nothing at all is removed then; --check, should the refusal fail."""
    done = subprocess.run(
        [
            *("ansible-playbook", "-i", "server,", "-c", "local", "--check", str(PLAYBOOKS / "teardown.yml")),
            *("-e", f"app_stack_directory={tmp_path}/app", "-e", f"telemetry_directory={tmp_path}/telemetry"),
            *("-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_become=false"),
            *("-e", "teardown_volumes=true", *said),
        ],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "say it again with -e teardown_confirm=server. Nothing was changed." in output
    assert "Take the host's lock" not in output
