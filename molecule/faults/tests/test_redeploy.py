"""A new version under steady load: nothing is dropped, and nothing is replaced that need not be."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field

import pytest
from server import Playbook, Server, eventually, playbook
from steady import Seen, steady_load
from table import Table

ROUNDS = 10
SCRAPE = 15
# Three minutes is what the backend is away; the redeploys take longer.
OUTAGE = 180
APP = {"backend", "celery", "celery-ai", "celery-beat"}


def version(name: str) -> str:
    """What the environment of every process of the app shows: to the engine a new version."""
    return json.dumps({"app_stack_environment": {"RELEASE": name}})


def test_a_change_of_the_backend_replaces_the_backend_alone(server: Server, table: Table) -> None:
    """T11: the workers go on, too."""
    before = server.identities()

    with steady_load(server, "backend") as seen:
        try:
            began = time.monotonic()
            changed = playbook("playbooks/deploy_app.yml", "-e", "app_stack_backend_max_requests_jitter=51")
            took = time.monotonic() - began
            after = server.identities()
        finally:
            restored = playbook("playbooks/deploy_app.yml")

    table.add("a setting of the backend changed, and changed back", f"{took:.0f} s", seen)
    assert changed.status == restored.status == 0, changed.output + restored.output
    seen.assert_nothing_dropped()
    assert {service for service in before if before[service] != after[service]} - {"traffic"} == {"backend"}


def test_a_redeploy_drops_nothing(server: Server, table: Table) -> None:
    """T11: broker, database and telemetry do not notice."""
    before = server.identities()

    with steady_load(server, "redeploy") as seen:
        began = time.monotonic()
        deploy = playbook("deploy.yml", "-e", version("0"))
        took = time.monotonic() - began

    table.add("plain redeploy, verified", f"{took:.0f} s", seen)
    assert deploy.status == 0, deploy.output
    seen.assert_nothing_dropped()
    after = server.identities()
    # The demo's traffic is a process of the app, too.
    assert {service for service in before if before[service] != after[service]} - {"traffic"} == APP


@dataclass
class Story:
    """Ten redeploys in a row, in the first of which the metrics backend went away."""

    load: Seen | None = None
    deploys: list[Playbook] = field(default_factory=list)
    took: float = 0.0
    outage: float = 0.0
    ended: float = 0.0


@pytest.fixture(scope="module")
def story(server: Server) -> Story:
    """The last one deploys what the scenario's converge did."""
    told = Story()
    server.compose("telemetry", "stop metrics-backend")
    gone = time.monotonic()
    try:
        with steady_load(server, "ten") as told.load:
            began = time.monotonic()
            for number in range(1, ROUNDS):
                told.deploys.append(playbook("playbooks/deploy_app.yml", "-e", version(str(number))))
            told.deploys.append(playbook("playbooks/deploy_app.yml"))
            told.took = time.monotonic() - began
        time.sleep(max(0.0, gone + OUTAGE - time.monotonic()))
    finally:
        server.compose("telemetry", "start metrics-backend")
    told.outage = time.monotonic() - gone
    eventually(lambda: server.healthy("metrics-backend"), bool, seconds=90)
    told.ended = time.monotonic()
    return told


def test_ten_redeploys_in_a_row_drop_nothing(story: Story, table: Table) -> None:
    assert story.load
    table.add(f"{ROUNDS} redeploys in a row", f"{story.took / ROUNDS:.0f} s each", story.load)

    refused = "\n".join(deploy.output for deploy in story.deploys if deploy.status != 0)
    assert not refused, refused
    story.load.assert_nothing_dropped()


def test_no_sample_of_an_outage_of_the_backend_is_lost(server: Server, story: Story, table: Table) -> None:
    """The collector's write-ahead log is replayed: as many samples as scrapes, for each of these sources."""
    window = int(story.outage) // SCRAPE * SCRAPE
    expected = window // SCRAPE

    def counts() -> dict[str, float]:
        outage = f"[{window}s] offset {math.ceil(time.monotonic() - story.ended)}s"
        found = server.query(f'count_over_time(up{{job=~"node|cadvisor|collector"}}{outage})')
        return {sample.labels["job"]: sample.value for sample in found}

    # What was kept is sent in the order in which it was scraped.
    found = eventually(
        counts, lambda found: len(found) == 3 and min(found.values()) >= expected - 1, seconds=120
    )

    least = min(found.values(), default=0.0)
    table.add(
        f"metrics backend down for {story.outage:.0f} s",
        f"{least:.0f} of {expected} samples of each source came after it; the row above is the app meanwhile",
    )
    assert set(found) == {"node", "cadvisor", "collector"}
    # Where the window begins between two scrapes.
    assert least >= expected - 1, found
