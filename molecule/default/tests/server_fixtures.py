"""The server under test: asked over ssh, deployed to and verified as an operator does it."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from server import CONNECTION, INVENTORY, Server, connected

LOG_LINES = 15


@pytest.fixture(scope="session")
def server() -> Server:
    """The server, deployed by the converge of this scenario."""
    if not CONNECTION.exists():
        pytest.exit(f"no server: {CONNECTION} is made by `molecule create`", returncode=3)
    return Server(connected())


class Secrets(dict[str, str]):
    """Does not print its values, as pytest would beside a test that failed."""

    def __repr__(self) -> str:
        return f"<secrets {', '.join(sorted(self))}>"


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    """Name to value of every secret of this inventory."""
    found = {path.name: path.read_text(encoding="utf-8") for path in (INVENTORY / ".secrets").iterdir()}
    # The password lookup keeps its salt on the same line.
    return Secrets({name: text.split(" salt=")[0].strip() for name, text in found.items()})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A test that failed shows the state and the last words of the containers."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "server" in getattr(item, "fixturenames", ()):
        host = item.funcargs["server"].host  # type: ignore[attr-defined]
        report.sections.append(
            (
                "containers",
                host.run("docker ps -a --format 'table {{.Names}}\t{{.Status}}\t{{.Image}}'").stdout,
            )
        )
        for project in ("app", "telemetry"):
            logs = host.run(f"docker compose -p {project} logs --no-color --tail {LOG_LINES}").stdout
            report.sections.append((f"last log lines of {project}", logs))


def pytest_sessionstart() -> None:
    """Where Molecule starts the tests does not matter to what they call."""
    os.chdir(Path(__file__).resolve().parents[3])
