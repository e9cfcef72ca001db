"""Hooks that could not run are refused before a deploy begins, and those that can run when it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils.preflight_hooks import hooks
from tests.playbooks import ansible_playbook

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> Any:
    try:
        return yaml.safe_load(Path(path).read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def refusals(base: Path, given: Any) -> list[str]:
    return [str(problem) for problem in hooks({"deploy_hooks": given}, str(base), load)]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "tell.yml").write_text("- name: Tell\n  ansible.builtin.debug: {msg: told}\n")
    (tmp_path / "play.yml").write_text("- hosts: all\n  tasks: []\n")
    (tmp_path / "dict.yml").write_text("name: Tell\n")
    (tmp_path / "words.yml").write_text("- tell the chat\n")
    (tmp_path / "broken.yml").write_text("- name: {\n")
    (tmp_path / "empty.yml").touch()
    return tmp_path


@pytest.mark.parametrize("given", [None, {}, {"post_deploy": "tell.yml"}, {"on_failure": None}])
def test_hooks_that_can_run_are_not_refused(inventory: Path, given: Any) -> None:
    assert refusals(inventory, given) == []


def test_a_path_may_be_absolute(inventory: Path) -> None:
    assert refusals(Path("/nowhere"), {"pre_deploy": str(inventory / "tell.yml")}) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere.yml", "there is no file `{base}/nowhere.yml`; name a file of tasks on this machine"),
        ("", "is empty; name a file of tasks"),
        (".", "there is no file `{base}/.`"),
        ("dict.yml", "{base}/dict.yml holds no list of tasks; write tasks alone"),
        ("words.yml", "{base}/words.yml holds no list of tasks"),
        ("empty.yml", "{base}/empty.yml holds no list of tasks"),
        ("broken.yml", "{base}/broken.yml is no YAML: "),
    ],
)
def test_a_hook_that_cannot_run_is_refused(inventory: Path, path: str, expected: str) -> None:
    """Bad input"""
    [problem] = refusals(inventory, {"on_failure": path})
    assert problem.startswith(f"deploy_hooks.on_failure: {expected.format(base=inventory)}")


def test_a_hook_runs_when_its_moment_comes_and_knows_the_deploy(inventory: Path) -> None:
    """Relative to the inventory; a moment without a hook is passed over."""
    said = "{{ deploy_hook }} of {{ deploy_version }}: {{ deploy_result }}, {{ deploy_reason }}"
    tasks = [{"name": "Tell", "ansible.builtin.debug": {"msg": said}}]
    (inventory / "tell.yml").write_text(json.dumps(tasks))
    (inventory / "hosts").write_text("server ansible_connection=local\n")
    told = {"deploy_version": "2", "deploy_result": "failed", "deploy_reason": "not healthy"}
    moments = [
        {
            "ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/hook.yml"),
            "vars": {"deploy_hook": moment, **told},
        }
        for moment in ("pre_deploy", "on_failure")
    ]
    play = {
        **{"hosts": "all", "gather_facts": False, "tasks": moments},
        **{"vars": {"deploy_hooks": {"on_failure": "tell.yml"}}},
    }
    (inventory / "play.yml").write_text(json.dumps([play]))
    done = ansible_playbook(*["-i", str(inventory / "hosts"), str(inventory / "play.yml")])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on_failure of 2: failed, not healthy" in done.stdout
    assert "pre_deploy of" not in done.stdout
