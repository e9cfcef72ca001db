"""The callback `preload`: what it loads is there in the process of every task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs in a process of its own: in this one other tests have loaded plugins already.
SCRIPT = """
import gc, os, sys
from ansible.plugins.loader import callback_loader, {loader}, init_plugin_loader
init_plugin_loader([])
preload = callback_loader.get("preload")
assert preload is not None, "ansible.cfg does not name its folder"
preload.v2_playbook_on_start(None)
assert gc.get_freeze_count() > len(gc.get_objects()), "the collector of a task walks through all"
child = os.fork()
if not child:
    os._exit(gc.isenabled())
assert os.waitpid(child, 0)[1] == 0, "the collector of a task runs"
assert gc.isenabled(), "the parent stays"
loaded = set(sys.modules)
assert {loader}.get({name!r}) is not None
print(sorted(set(sys.modules) - loaded))
"""


@pytest.mark.parametrize(
    ("loader", "name"),
    [
        ("filter_loader", "combine"),
        ("filter_loader", "catalogue_entries"),
        ("filter_loader", "grafana_dashboards"),
        ("test_loader", "version"),
    ],
)
def test_a_task_finds_its_filters_and_tests_loaded(loader: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(loader=loader, name=name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
