"""What holds for the playbooks as they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.playbooks import ansible_playbook
from tests.render import ROOT

PLAYBOOKS = ROOT / "playbooks"


# What takes the lock of a host: the first two through preflight.
LOCKING = {"prepare.yml", "preflight", "deploy_lock"}


def plays(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((PLAYBOOKS / name).read_text("utf-8"))
    return loaded


def used(entries: Any) -> Iterator[str]:
    """Names of the task files and roles that a piece of a play imports, at any depth, and deploy_lock."""
    if isinstance(entries, list):
        for entry in entries:
            yield from used(entry)
    elif isinstance(entries, dict):
        for key, value in entries.items():
            if key == "ansible.builtin.import_tasks":
                yield value.rpartition("/")[2]
            elif key == "ansible.builtin.import_role":
                yield value["name"]
            elif key == "deploy_lock":
                yield key
            elif key in {"tasks", "block", "always", "rescue"}:
                yield from used(value)


@pytest.mark.parametrize(
    "name",
    ["site.yml", "deploy_app.yml", "deploy_telemetry.yml", "grafana.yml", "rollback.yml", "teardown.yml"],
)
def test_what_locks_the_host_unlocks_it_whatever_comes(name: str) -> None:
    """`always` comes after a failure too; later tasks and plays do not."""
    blocks = [task for play in plays(name) for task in play.get("tasks", []) if LOCKING & set(used(task))]

    assert blocks
    assert all("unlock.yml" in used(block["always"]) for block in blocks)


def test_no_other_playbook_locks_the_host() -> None:
    locking = {path.name for path in PLAYBOOKS.glob("*.yml") if LOCKING & set(used(plays(path.name)))}
    assert len(locking) == 6, locking


def test_a_deploy_is_verified_before_its_host_is_unlocked() -> None:
    [block] = plays("site.yml")[0]["tasks"]
    assert "verify.yml" in used(block["block"])


@pytest.mark.parametrize("said", [[], ["-e", "teardown_confirm=other"]])
def test_data_goes_only_when_the_host_is_named(tmp_path: Path, said: list[str]) -> None:
    """Bad input: nothing at all is removed then; --check, should the refusal fail."""
    done = ansible_playbook(
        *[
            *("-i", "server,", "-c", "local", "--check", str(PLAYBOOKS / "teardown.yml")),
            *("-e", f"app_stack_directory={tmp_path}/app", "-e", f"telemetry_directory={tmp_path}/telemetry"),
            *("-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_become=false"),
            *("-e", "teardown_volumes=true", *said),
        ]
    )
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "say it again with -e teardown_confirm=server. Nothing was changed." in output
    assert "Take the host's lock" not in output


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "release: there is no earlier release to go back to (known: none)"),
        (["-e", "release=2026-10-30"], "release: 2026-10-30 is not known on this host; set one of: none"),
    ],
)
def test_a_release_that_is_not_there_is_refused_by_name(tmp_path: Path, asked: list[str], said: str) -> None:
    """Bad input, through the playbook itself: it knows no more of the host than a deploy has left there."""
    done = ansible_playbook(
        *("-i", str(ROOT / "inventories" / "local"), str(PLAYBOOKS / "rollback.yml"), *asked),
        *("-e", f"app_stack_directory={tmp_path}/app", "-e", f"deploy_lock_path={tmp_path}/deploy.lock"),
        *("-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_become=false"),
    )

    assert done.returncode != 0
    assert said in " ".join(done.stdout.split()), done.stdout + done.stderr
    assert not (tmp_path / "deploy.lock").exists()
