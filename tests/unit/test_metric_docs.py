"""The generator of docs/metrics.md. `make lint` asks whether that of the repository is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.render import ROOT, Rendering
from tools import metric_docs

ENTRIES = Rendering().value("metric_catalogue_entries")
TEXT = metric_docs.document(ENTRIES)


def test_every_panel_and_alert_is_in_it() -> None:
    panels = [panel for board in ENTRIES["dashboards"] for panel in board["panels"]]

    assert all(f"| {panel['title']} (`{panel['id']}`) | {panel['guide']} |" in TEXT for panel in panels)
    for alert in ENTRIES["alerts"]:
        assert f"[{alert['title']}](#{alert['id']})" in TEXT
        assert f"\n### {alert['id']}\n" in TEXT
        assert all(f": {alert['runbook'][part]}\n" in TEXT for part in ("look_at", "remedy"))


def test_a_row_is_one_line_with_its_cells() -> None:
    """A pipe inside an expression would be a further cell."""
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]

    assert {line.replace("\\|", "").count("|") for line in rows} == {6}


def test_a_stale_document_is_named_and_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    path = tmp_path / metric_docs.DOCUMENT
    path.write_text("old", encoding="utf-8")

    assert metric_docs.main(["--check"], tmp_path) == 1
    assert "docs/metrics.md: out of date; run tools/metric_docs.py" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "old"
    assert metric_docs.main([], tmp_path) == 0
    assert metric_docs.main(["--check"], tmp_path) == 0
    assert path.read_text(encoding="utf-8") == (ROOT / metric_docs.DOCUMENT).read_text(encoding="utf-8")
