"""One deploy at a time: the file on the host, the run that it names, and what a playbook makes of both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils import deploy_lock, deploy_lock_owner
from plugins.module_utils.deploy_lock import Lock, give_back, held, lock_of, read, take, taken_over

ROOT = Path(__file__).resolve().parents[2]
ALICE = Lock("alice@laptop", "laptop 1 pid:[1]", 811, "4711", "2026-11-24 20:00:00 UTC", "deploy of music:1")
BOB = Lock("bob@ci-7", "ci-7 2 pid:[1]", 12, "99", "2026-11-24 20:01:00 UTC", "deploy of music:2")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "soundcheck" / "deploy.lock")


# --- the file --------------------------------------------------------------------------------------------


def test_the_first_run_takes_the_lock_and_the_second_learns_whose_it_is(path: str) -> None:
    assert take(path, ALICE) == deploy_lock.Outcome(True, None)
    assert take(path, BOB) == deploy_lock.Outcome(False, ALICE)
    assert read(path) == ALICE
    assert set(json.loads(Path(path).read_text())) == {
        *("holder", "controller", "pid", "pid_started", "since", "what")
    }


def test_the_plays_of_one_run_have_one_lock(path: str) -> None:
    take(path, ALICE)
    assert take(path, replace(ALICE, since="later")) == deploy_lock.Outcome(True, None)
    assert read(path) == ALICE, "since when it is held stays known"


@pytest.mark.parametrize("other", [{"controller": "x"}, {"pid": 1}, {"pid_started": "1"}], ids=str)
def test_another_run_is_another_run_in_any_of_these(path: str, other: dict[str, Any]) -> None:
    take(path, ALICE)
    assert not take(path, replace(ALICE, **other)).taken


def test_a_lock_is_replaced_only_while_it_is_the_one_that_was_judged(path: str) -> None:
    take(path, ALICE)
    assert not take(path, BOB, replaced=replace(ALICE, pid=812)).taken
    assert take(path, BOB, replaced=ALICE) == deploy_lock.Outcome(True, ALICE)
    assert read(path) == BOB


def test_a_broken_lock_is_told(path: str) -> None:
    take(path, ALICE)
    assert take(path, BOB, force=True) == deploy_lock.Outcome(True, ALICE)
    assert not give_back(path, ALICE), "the run whose lock was broken leaves the other's alone"
    assert read(path) == BOB


def test_a_lock_that_is_given_back_leaves_nothing(path: str) -> None:
    take(path, ALICE)
    assert not give_back(path, BOB)
    assert give_back(path, ALICE)
    assert not os.path.exists(os.path.dirname(path))
    assert not give_back(path, ALICE)


def test_the_folder_stays_when_it_holds_more(path: str) -> None:
    take(path, ALICE)
    Path(path).with_name("app").mkdir()
    assert give_back(path, ALICE)
    assert os.listdir(os.path.dirname(path)) == ["app"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder": "alice@laptop", "pid": null}'])
def test_a_damaged_lock_is_held_by_somebody_and_can_be_broken(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_text(text)
    outcome = take(path, ALICE)
    assert not outcome.taken
    assert outcome.found is not None
    assert outcome.found.holder in {"unknown", "alice@laptop"}
    assert take(path, ALICE, force=True).taken


def test_a_disk_that_is_full_leaves_no_half_lock(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deploy_lock.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        take(path, ALICE)
    assert os.listdir(os.path.dirname(path)) == []


RACE = """
import sys, time
from plugins.module_utils.deploy_lock import Lock, give_back, take
path, start, mode, number = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
mine = Lock(f"run-{number}", "here", number, str(number), "now", "race")
stale = Lock("stale", "here", 1, "1", "then", "race")
won = 0
time.sleep(max(0, start - time.time()))
for _ in range(50):
    if take(path, mine, replaced=stale if mode == "stale" else None).taken:
        won += 1
        if mode == "turns":
            give_back(path, mine)
print(won)
"""


def race(path: str, mode: str) -> list[int]:
    """Two real processes ask for the lock at the same moment, again and again; how often each had it."""
    command = [sys.executable, "-c", RACE, path, str(time.time() + 0.5), mode]
    runs = [
        subprocess.Popen([*command, str(number)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for number in (10, 11)
    ]
    results = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    return [int(text) for text in results]


def test_of_two_processes_one_has_the_lock(path: str) -> None:
    assert sorted(race(path, "once")) == [0, 50]


def test_of_two_processes_that_find_a_stale_lock_one_replaces_it(path: str) -> None:
    take(path, Lock("stale", "here", 1, "1", "then", "race"))
    assert sorted(race(path, "stale")) == [0, 50]


def test_processes_that_take_turns_lose_neither_lock_nor_folder(path: str) -> None:
    assert all(turns > 0 for turns in race(path, "turns"))
    assert not os.path.exists(os.path.dirname(path))


# --- the run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "actor"),
    [
        ({"GITLAB_USER_LOGIN": "minji", "USER": "runner"}, "minji"),
        ({"GITHUB_ACTOR": "minji", "USER": "runner"}, "minji"),
        ({"USER": "minji"}, "minji"),
    ],
)
def test_a_run_is_named_after_the_person_who_started_it(environ: dict[str, str], actor: str) -> None:
    mine = deploy_lock_owner.this_run("deploy", environ=environ)
    assert mine.holder == f"{actor}@{socket.gethostname()}"
    assert deploy_lock_owner.this_run("deploy", actor="alice").holder.startswith("alice@")
    assert mine.pid == os.getppid()
    assert mine.pid_started == deploy_lock_owner.started(os.getppid())


def test_a_run_is_gone_when_its_process_is() -> None:
    process = subprocess.Popen(["sleep", "60"])
    mine = replace(
        deploy_lock_owner.this_run("deploy"),
        pid=process.pid,
        pid_started=deploy_lock_owner.started(process.pid),
    )
    assert not deploy_lock_owner.gone(mine)
    assert deploy_lock_owner.gone(replace(mine, pid_started="1")), "the id belongs to another process now"
    assert not deploy_lock_owner.gone(replace(mine, controller="elsewhere", pid=1)), "nothing is known there"

    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert deploy_lock_owner.gone(mine), "killed, though its parent has not asked for it yet"
    process.wait()
    assert deploy_lock_owner.gone(mine)


def test_a_refusal_says_who_since_when_what_for_and_how_to_break_it() -> None:
    found, remedy = held(ALICE)
    assert found.startswith(
        "alice@laptop deploys to this host since 2026-11-24 20:00:00 UTC: deploy of music:1"
    )
    assert found.endswith("(process 811 there)")
    assert remedy.endswith("take its lock with -e deploy_lock_break=true")
    assert "its process is gone" in taken_over(ALICE, broken=False)
    assert "deploy_lock_break is true" in taken_over(lock_of({}), broken=True)


# --- a playbook ----------------------------------------------------------------------------------------


class Controller:
    """Runs a playbook that takes the lock of this machine, works, and gives it back."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self.path = folder, path
        # Work that lasts until the test has seen enough: its file `done`, or five minutes.
        self.lasting = str(folder / "work")
        (folder / "work").write_text(
            f"#!/bin/sh\nfor _ in $(seq 1500); do [ -e {folder}/done ] && exit; sleep 0.2; done\n"
        )
        (folder / "work").chmod(0o755)

    def end(self, run: subprocess.Popen[bytes]) -> None:
        """Kill a run; what it had started on its host ends then, too."""
        run.kill()
        run.wait()
        (self.folder / "done").touch()

    def command(self, *arguments: str, work: str = "true") -> list[str]:
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"deploy_lock_path": self.path, "ansible_python_interpreter": sys.executable},
            "tasks": [
                {
                    "block": [
                        {"deploy_lock": {"state": "present", "what": "deploy of music:1"}},
                        {"ansible.builtin.command": work},
                    ],
                    "always": [{"deploy_lock": {"state": "absent"}}],
                }
            ],
        }
        (self.folder / "play.yml").write_text(json.dumps([play]))
        return [
            "ansible-playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            str(self.folder / "play.yml"),
            *arguments,
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "GITHUB_ACTOR": "minji",
        }

    def run(self, *arguments: str, work: str = "true") -> tuple[int, str]:
        done = subprocess.run(
            self.command(*arguments, work=work),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def controller(tmp_path: Path, path: str) -> Controller:
    return Controller(tmp_path, path)


def test_a_run_gives_its_lock_back_also_when_it_fails(controller: Controller) -> None:
    status, output = controller.run()
    assert (status, "changed=1" in output) == (0, True), output
    assert controller.run(work="false")[0] != 0
    assert not os.path.exists(controller.path)


def test_the_second_of_two_runs_stops_with_the_name_of_the_first(controller: Controller) -> None:
    first = subprocess.Popen(
        controller.command(work=controller.lasting), env=controller.environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: os.path.exists(controller.path))
        status, output = controller.run()
        assert status != 0
        assert f"minji@{socket.gethostname()} deploys to this host since" in output
        assert f"(process {first.pid} there)" in output
        assert "deploy of music:1" in output
        lock = read(controller.path)
        assert lock is not None
        assert lock.pid == first.pid, "the refused run leaves the lock where it is"

        status, output = controller.run("-e", "deploy_lock_break=true")
        assert status == 0
        assert "was taken over: deploy_lock_break is true" in output
    finally:
        controller.end(first)


def test_the_lock_of_a_killed_run_is_taken_over_and_that_is_said(controller: Controller) -> None:
    first = subprocess.Popen(
        controller.command(work=controller.lasting), env=controller.environment, stdout=subprocess.DEVNULL
    )
    wait_for(lambda: os.path.exists(controller.path))
    controller.end(first)
    assert os.path.exists(controller.path)

    status, output = controller.run()

    assert status == 0, output
    assert "was taken over: its process is gone" in output
    assert not os.path.exists(controller.path)


def test_a_lock_of_another_controller_is_refused(controller: Controller) -> None:
    take(controller.path, BOB)
    status, output = controller.run()
    assert status != 0
    assert "bob@ci-7 deploys to this host since 2026-11-24 20:01:00 UTC: deploy of music:2" in output
    assert read(controller.path) == BOB


def test_a_check_takes_no_lock(controller: Controller) -> None:
    take(controller.path, BOB)
    assert controller.run("--check")[0] == 0
    assert read(controller.path) == BOB


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
