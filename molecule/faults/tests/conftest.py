"""The server of molecule/default, broken one fault at a time; each test leaves it as it found it."""

from __future__ import annotations

from typing import Any

import pytest
from selection import choose
from table import PATH, Table

pytest_plugins = ["server_fixtures"]

# What `make test` has the time for. `make faults` asks all.
ALWAYS = (
    "test_a_redeploy_drops_nothing",
    "[new image exits at once]",
    "[migration of the new image fails]",
    "[new image is healthy but fails verification]",
    "[new web container serves]",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choose(config, items, ALWAYS, "SOUNDCHECK_FAULTS")


@pytest.fixture(scope="session")
def table() -> Table:
    PATH.unlink(missing_ok=True)
    return Table()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if PATH.exists():
        terminalreporter.section("faults")
        terminalreporter.write_line(PATH.read_text(encoding="utf-8"))
