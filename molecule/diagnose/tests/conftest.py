"""The server of molecule/default in trouble, and the diagnosis of it; each test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from inside import recovered
from results import PATH, Table
from selection import choose
from server import Server, eventually
from tool import FOLDER, SINCE, Tool

pytest_plugins = ["server_fixtures"]

CURRENT = "/opt/soundcheck/app/releases/current"
# What `make test` has the time for. `make diagnose` asks all.
ALWAYS = (
    "test_a_healthy_server_has_no_finding",
    "[memory-limit]",
    "[connection-leak]",
    "[queue-unread]",
    "[noisy-neighbour]",
    "test_the_index_makes_the_chart_quick_again",
    "test_an_engine_that_does_not_answer",
    "test_a_user_who_may_not_ask",
    "test_options_that_are_not_known",
    "test_a_container_that_dies_while_it_is_asked",
    "test_a_full_disk",
    "test_no_secret_is_told",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choose(config, items, ALWAYS, "SOUNDCHECK_DIAGNOSE")


@pytest.fixture(scope="session")
def tool(server: Server) -> Iterator[Tool]:
    """On a server that is well, and whose last deploy is older than what is looked at."""
    recovered(server)
    deployed = float(server.run(f"stat -c %Y {CURRENT}/release.json"))
    eventually(lambda: float(server.run("date +%s")) - deployed, lambda age: age > SINCE, SINCE + 10)
    yield Tool(server)
    server.run(f"rm -r {FOLDER}")


@pytest.fixture(scope="session")
def table() -> Table:
    PATH.unlink(missing_ok=True)
    return Table()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if PATH.exists():
        terminalreporter.section("diagnosis")
        terminalreporter.write_line(PATH.read_text(encoding="utf-8"))
