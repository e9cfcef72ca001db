"""A deploy killed at one of its stages, and two at once: the service goes on, the next deploy ends well."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

import pytest
from deploys import Deploy, Events, kill_the_module
from server import Server, eventually, playbook
from steady import steady_load
from table import Table
from test_redeploy import version

LOCK = "/opt/soundcheck/deploy.lock"
ROLLOUT = "TASK [Bring the app project to its wanted state]"


class Stage(NamedTuple):
    """Reached when this service's container sees this action, or when the rollout begins."""

    service: str
    action: str
    # Whether what runs on the server ends with the control machine, as when the network is cut for good.
    with_module: bool


STAGES = {
    "before the files": Stage("", "", True),
    "in the migration": Stage("migrate", "start", True),
    "new web container started": Stage("backend", "start", True),
    "new web container serves": Stage("backend", "rename", True),
    "workers stopping": Stage("celery", "kill", True),
    "before beat": Stage("celery-ai", "start", False),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_deploy_is_finished_by_the_next_one(server: Server, table: Table, name: str) -> None:
    stage = STAGES[name]
    with steady_load(server, "killed") as seen:
        with Events() as events:
            # The engine tells of what happens from when it was asked on.
            time.sleep(1)
            deploy = Deploy("playbooks/deploy_app.yml", "-e", version(f"killed {name}"))
            if stage.service:
                events.wait_for_action(stage.action, stage.service)
            else:
                deploy.wait_for(lambda line: line.startswith(ROLLOUT))
            deploy.kill()
        left = kill_the_module(server) if stage.with_module else 0
        again = playbook("playbooks/deploy_app.yml")

    found = f"finished by the next run; killed on the server, too: {left}"
    table.add(f"deploy killed (-9): {name}", found, seen)
    assert again.status == 0, again.output
    assert seen.load["failed"] == 0, seen.load["reasons"]
    assert seen.lost == seen.doubled == set()
    services = server.containers()
    assert eventually(lambda: all(server.healthy(name) for name in services), bool, seconds=60)
    assert settled(server)


def settled(server: Server) -> bool:
    """Nothing is left to do."""
    return playbook("deploy.yml", "--skip-tags=verify").changed == 0


def test_the_second_of_two_deploys_is_told_who_deploys(server: Server, table: Table) -> None:
    first = Deploy("playbooks/deploy_app.yml", "-e", version("first"))
    try:
        held = eventually(lambda: server.host.run(f"cat {LOCK}").stdout, bool, seconds=60)
        second = playbook("playbooks/deploy_app.yml", "-e", version("second"))
    finally:
        done = first.end()
        restored = playbook("playbooks/deploy_app.yml")

    said = next((line for line in second.output.splitlines() if LOCK in line), "")
    table.add("two deploys at once", f"the second was refused: {said[:200]}")
    assert done.status == restored.status == 0, done.output + restored.output
    assert second.status != 0
    assert second.changed == 0
    lock = json.loads(held)
    assert str(lock["holder"]) in second.output, second.output
