"""Runs ansible-playbook as an operator does, with the configuration and the tools of this project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def ansible_playbook(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished run, whatever its status. Bounded well above what a busy machine takes."""
    return subprocess.run(
        ["ansible-playbook", *arguments],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
