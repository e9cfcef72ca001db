"""The playbook of the maintenance page, run against a folder of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.playbooks import ansible_playbook

ROOT = Path(__file__).resolve().parents[2]


def maintenance(folder: Path, *settings: str) -> tuple[int, str]:
    """Exit status and output, its lines joined."""
    arguments = [word for setting in settings for word in ("-e", setting)]
    done = ansible_playbook(
        *[
            *(
                "-i",
                "server,",
                "-c",
                "local",
                str(ROOT / "playbooks" / "maintenance.yml"),
            ),
            *("-e", f"app_stack_directory={folder}", "-e", f"ansible_python_interpreter={sys.executable}"),
            *("-e", "ansible_become=false", *arguments),
        ]
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "Caddyfile").touch()
    return tmp_path


def test_the_page_comes_and_goes_and_a_second_time_changes_nothing(deployed: Path) -> None:
    switch = deployed / "proxy" / "maintenance" / "on"
    status, output = maintenance(deployed, "maintenance=on")
    assert (status, switch.exists()) == (0, True), output
    # World-readable: the proxy's user is not root.
    assert switch.stat().st_mode & 0o777 == 0o644
    assert "changed=0" in maintenance(deployed, "maintenance=on")[1]
    assert "changed=1" in maintenance(deployed, "maintenance=off")[1]
    assert not switch.exists()
    assert "changed=0" in maintenance(deployed, "maintenance=off")[1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], "maintenance: ``; say -e maintenance=on or -e maintenance=off"),
        (["maintenance=perhaps"], "maintenance: `perhaps`; say -e maintenance=on"),
        (["maintenance=on", "proxy=external"], "proxy: `external`, so the page is not Soundcheck's to show"),
    ],
)
def test_what_cannot_be_shown_is_refused(deployed: Path, settings: list[str], expected: str) -> None:
    """Bad input"""
    status, output = maintenance(deployed, *settings)
    assert status != 0
    assert expected in output
    assert not (deployed / "proxy" / "maintenance").exists()


def test_a_server_without_the_app_is_refused(tmp_path: Path) -> None:
    status, output = maintenance(tmp_path, "maintenance=on")
    assert status != 0
    assert "is not on server: the app is not deployed there; run deploy.yml first" in output
    assert list(tmp_path.iterdir()) == []
