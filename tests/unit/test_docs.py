"""What the documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.render import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRAPS = re.findall(r"^\| (T\d+) \|.*\| ([^|]+) \|$", (ROOT / "docs" / "traps.md").read_text("utf-8"), re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(("trap", "tests"), TRAPS, ids=[trap for trap, _ in TRAPS])
def test_a_trap_is_shown_by_tests_that_name_it(trap: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)

    assert named
    for path in named:
        assert re.search(rf"(?<![a-z0-9]){trap}(?!\d)", (ROOT / path).read_text("utf-8"), re.I), path
