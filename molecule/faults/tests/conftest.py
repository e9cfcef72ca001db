"""The server of molecule/default, broken one fault at a time; each test leaves it as it found it."""

from __future__ import annotations

from typing import Any

import pytest
from table import PATH, Table

pytest_plugins = ["server_fixtures"]


@pytest.fixture(scope="session")
def table() -> Table:
    PATH.unlink(missing_ok=True)
    return Table()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if PATH.exists():
        terminalreporter.section("faults")
        terminalreporter.write_line(PATH.read_text(encoding="utf-8"))
