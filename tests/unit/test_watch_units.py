"""The timer of the watch: how it stands on a host, when a deploy asks for it, and how it comes and goes.

What systemctl says was recorded on Debian 13 with systemd 257.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.action import diagnosis_timer
from plugins.module_utils import watch_units
from plugins.module_utils.watch_units import TIMER, UNITS, disable, enable, settled, timer_state
from plugins.modules import stack_teardown
from tests.render import Rendering

HOME = "/opt/soundcheck/telemetry/monitoring"
NONE = {"linked": False, "directory": "", "enabled": False, "active": False, "stale": False}
RUNS = {"linked": True, "directory": HOME, "enabled": True, "active": True, "stale": False}


def shown(
    service: str = "inactive", timer: str = "active", state: str = "enabled", reload: str = "no"
) -> str:
    return (
        f"ActiveState={service}\nUnitFileState=linked\nNeedDaemonReload=no\n\n"
        f"ActiveState={timer}\nUnitFileState={state}\nNeedDaemonReload={reload}\n"
    )


class Systemctl:
    """Records what it is told, and answers `show`."""

    def __init__(self, answer: str | OSError = "") -> None:
        self.answer = answer
        self.told: list[str] = []

    def __call__(self, command: Sequence[str]) -> str:
        self.told.append(" ".join(command))
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """/etc/systemd/system of a host whose watch is linked and enabled; the files themselves are gone."""
    (tmp_path / "timers.target.wants").mkdir()
    for unit in UNITS:
        (tmp_path / unit).symlink_to(f"{HOME}/{unit}")
    (tmp_path / "timers.target.wants" / TIMER).symlink_to(f"{HOME}/{TIMER}")
    return tmp_path


@pytest.mark.parametrize(
    ("answer", "differs"),
    [
        (shown(), {}),
        (shown(timer="inactive"), {"active": False}),
        (shown(state="linked"), {"enabled": False}),
        (shown(reload="yes"), {"stale": True}),
        (shown().replace("NeedDaemonReload=no", "NeedDaemonReload=yes", 1), {"stale": True}),
        (OSError("Failed to connect to bus"), {"enabled": False, "active": False}),
        ("", {"enabled": False, "active": False}),
    ],
)
def test_how_the_timer_stands(links: Path, answer: str | OSError, differs: dict[str, Any]) -> None:
    assert timer_state(Systemctl(answer), str(links), str(links)) == {**RUNS, **differs}


def test_a_host_without_the_units_costs_no_process(tmp_path: Path) -> None:
    systemctl = Systemctl()
    assert timer_state(systemctl, str(tmp_path), str(tmp_path)) == NONE
    assert timer_state(systemctl, str(tmp_path / "no"), str(tmp_path)) is None, "without systemd"
    assert systemctl.told == []


def test_units_of_two_folders_are_of_none(links: Path) -> None:
    (links / TIMER).unlink()
    (links / TIMER).symlink_to(f"/srv/{TIMER}")
    found = timer_state(Systemctl(shown()), str(links), str(links))
    assert found == {**RUNS, "directory": ""}


@pytest.mark.parametrize(
    ("state", "enabled", "expected"),
    [
        (RUNS, True, True),
        (RUNS, False, False),
        (NONE, True, False),
        (NONE, False, True),
        ({**RUNS, "stale": True}, True, False),
        ({**RUNS, "active": False}, True, False),
        ({**RUNS, "enabled": False}, True, False),
        ({**RUNS, "directory": "/srv"}, True, False),
        ({**RUNS, "enabled": False, "active": False}, False, False),
    ],
)
def test_what_is_as_it_is_wanted(state: dict[str, Any], enabled: bool, expected: bool) -> None:
    assert settled(state, HOME, enabled=enabled) is expected


def test_the_timer_is_started_anew_so_that_it_knows_its_interval() -> None:
    systemctl = Systemctl()
    enable(HOME, systemctl)
    assert systemctl.told == [
        f"systemctl --quiet link --force {HOME}/soundcheck-watch.service",
        f"systemctl --quiet enable --force {HOME}/soundcheck-watch.timer",
        "systemctl --quiet daemon-reload",
        "systemctl --quiet restart soundcheck-watch.timer",
    ]


def test_nothing_of_it_stays_though_its_files_are_gone(links: Path) -> None:
    systemctl = Systemctl(shown(service="failed"))
    disable(systemctl, str(links))
    assert [path.name for path in links.rglob("*")] == ["timers.target.wants"]
    assert systemctl.told[1:] == [
        "systemctl stop soundcheck-watch.timer",
        "systemctl reset-failed soundcheck-watch.service",
        "systemctl daemon-reload",
    ]


def test_a_command_that_fails_is_told_with_its_words() -> None:
    script = "import sys; print('Unit is masked.', file=sys.stderr); sys.exit(1)"
    with pytest.raises(OSError, match=r": Unit is masked\.$"):
        watch_units.run([sys.executable, "-c", script])


# --- the action plugin -------------------------------------------------------------------------------


class Deploy(diagnosis_timer.ActionModule):
    """The action plugin with what it is given, and a record of what it asks of the host and says."""

    def __init__(self, **arguments: Any) -> None:
        self._task: Any = SimpleNamespace(
            args={"directory": HOME, "enabled": True, "actions": [], **arguments},
            async_val=0,
            check_mode=False,
            delegate_to=None,
        )
        self.said: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self._display: Any = SimpleNamespace(display=self.said.append)

    def _execute_module(self, module_args: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.asked.append(module_args)
        return {"changed": True}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what Ansible's base class does before every task."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *arguments: {})


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ({"timer": RUNS}, False),
        ({"timer": RUNS, "actions": ["wrote diagnosis.json", "started alloy"]}, False),
        ({"timer": RUNS, "actions": ["wrote monitoring/soundcheck-watch.timer"]}, True),
        ({"timer": RUNS, "actions": ["wrote monitoring/soundcheck-watch.service"]}, True),
        ({"timer": RUNS, "enabled": False}, True),
        ({"timer": NONE}, True),
        ({"timer": NONE, "enabled": False}, False),
        # Written, and not wanted: nothing to do.
        ({"timer": NONE, "enabled": False, "actions": ["wrote monitoring/soundcheck-watch.timer"]}, False),
    ],
)
def test_a_deploy_asks_only_a_host_that_needs_it(arguments: dict[str, Any], asks: bool) -> None:
    deploy = Deploy(**arguments)
    assert deploy.run()["changed"] is asks
    assert deploy.asked == ([{"directory": HOME, "enabled": arguments.get("enabled", True)}] if asks else [])
    assert deploy.said == []


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("enabled", "lines"), [(True, 1), (False, 0)])
def test_without_systemd_a_line_names_the_variable(enabled: bool, lines: int) -> None:
    deploy = Deploy(timer=None, enabled=enabled)
    assert deploy.run() == {"changed": False}
    assert len(deploy.said) == lines
    assert all("systemd" in line and "diagnostics_watch_enabled: false" in line for line in deploy.said)


# --- units and teardown ------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_name_the_folder_and_the_interval(unit: str) -> None:
    text = Rendering().template(
        f"telemetry/monitoring/{unit}.j2",
        **{
            "ansible_managed": "Managed",
            "telemetry_directory": "/srv/telemetry",
            "diagnostics_watch_seconds": 45,
        },
    )
    lines = text.splitlines()
    assert text.startswith("#\n# Managed\n#\n[Unit]\n")
    assert ("OnUnitInactiveSec=45s" in lines) is (unit == TIMER)
    assert ("ExecStart=/srv/telemetry/monitoring/debug_cpu_spike.sh --watch" in lines) is (unit != TIMER)


@pytest.mark.parametrize(
    ("path", "removable"),
    [("/var/lib/soundcheck/diagnosis", True), ("/var/lib/../..", False), ("/", False), ("/var", False)],
)
def test_no_root_of_a_tree_is_taken_for_what_the_diagnosis_keeps(path: str, removable: bool) -> None:
    assert stack_teardown.state_folder(path).marked is removable


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "diagnosis").symlink_to("/var/lib")
    assert stack_teardown.state_folder(str(tmp_path / "diagnosis")).marked is False
