"""What the documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.render import ROOT
from tests.unit.test_catalogue import STORED

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRAPS = re.findall(r"^\| (T\d+) \|.*\| ([^|]+) \|$", (ROOT / "docs" / "traps.md").read_text("utf-8"), re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_t16_the_documented_costs_are_those_of_the_recorded_pages() -> None:
    """At every scrape Prometheus adds up, scrape_duration_seconds and three more series of its own."""
    series = {name: len(samples) + 5 for name, samples in STORED.items()}
    series["sum"] = sum(series.values())
    rows = "".join(f"| {name} | {number} | {number} | {4 * number} |\n" for name, number in series.items())

    assert rows in (ROOT / "docs" / "production.md").read_text("utf-8")


@pytest.mark.parametrize(("trap", "tests"), TRAPS, ids=[trap for trap, _ in TRAPS])
def test_a_trap_is_shown_by_tests_that_name_it(trap: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)

    assert named
    for path in named:
        assert re.search(rf"(?<![a-z0-9]){trap}(?!\d)", (ROOT / path).read_text("utf-8"), re.I), path
