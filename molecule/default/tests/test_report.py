"""The page that the deploy left on this machine."""

from __future__ import annotations

import json

from server import ROOT

FOLDER = ROOT / "artifacts" / "verification"


def test_every_panel_was_asked_of_the_servers_own_backend() -> None:
    page = (FOLDER / "soundcheck-server.html").read_text(encoding="utf-8")
    checks = json.loads((FOLDER / "soundcheck-server.json").read_text(encoding="utf-8"))["checks"]

    assert f"All {len(checks)} checks passed" in page
    assert "the backend did not answer" not in page
    assert "a question was not answered" not in page


def test_the_page_holds_no_secret(secrets: dict[str, str]) -> None:
    page = (FOLDER / "soundcheck-server.html").read_text(encoding="utf-8")

    assert [name for name, value in secrets.items() if value in page] == []
