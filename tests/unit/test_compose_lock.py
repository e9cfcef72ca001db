"""Two modules that would work on one project at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugins.module_utils.compose_lock import DeployFailed, exclusive

HOLDER = """
import fcntl, sys, time
stream = open(sys.argv[1], "w")
fcntl.flock(stream, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that works on the project `app`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "soundcheck-app.lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    return process


def test_the_second_waits_and_says_what_for(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    try:
        with (
            pytest.raises(DeployFailed, match="project app: an earlier deploy is still at work"),
            exclusive("app", 0.1, str(tmp_path)),
        ):
            pass
        with exclusive("telemetry", 0.1, str(tmp_path)):
            pass
    finally:
        holder.kill()


def test_it_ends_with_its_process(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    began = time.monotonic()

    with exclusive("app", 5, str(tmp_path)):
        pass

    assert time.monotonic() - began < 5
