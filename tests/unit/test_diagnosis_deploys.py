"""The last deploys, from the records that a deploy writes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import SECRET, look, made
from tests.unit.diagnosis_modules import load_diagnosis

deploys = load_diagnosis("deploys")


def release(folder: Path, number: int, **changes: Any) -> None:
    at = datetime.now(UTC) - timedelta(hours=10 - number)
    record = {
        "id": f"2026112{number}T000000Z-v{number}",
        "version": f"v{number}",
        "at": at.isoformat(timespec="seconds"),
        "by": "ops",
        "result": "deployed",
        "reason": "",
        "rollout": {"secret": SECRET},
        **changes,
    }
    (folder / record["id"]).mkdir()
    (folder / record["id"] / "release.json").write_text(json.dumps(record), encoding="utf-8")


def test_the_newest_come_first(tmp_path: Path) -> None:
    for number in range(1, 8):
        release(tmp_path, number)
    release(tmp_path, 8, result="rolled back", reason=f"no answer with {SECRET}")
    (tmp_path / "current").symlink_to("20261127T000000Z-v7")
    part = deploys.collect(made(releases=str(tmp_path)))
    assert [each["version"] for each in part.facts] == ["v8", "v7", "v6", "v5", "v4"]
    assert part.facts[0]["result"] == "rolled back"
    assert part.facts[0]["reason"] == "no answer with ***"
    assert part.facts[0]["seconds_ago"] == pytest.approx(7200, abs=30)
    assert SECRET not in str(part.facts)
    assert part.problem == ""


def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    release(tmp_path, 1)
    (tmp_path / "20261122T000000Z-v2").mkdir()
    (tmp_path / "20261123T000000Z-v3").mkdir()
    (tmp_path / "20261123T000000Z-v3" / "release.json").write_text("{", encoding="utf-8")
    part = deploys.collect(made(releases=str(tmp_path)))
    assert [each["version"] for each in part.facts] == ["v1"]
    assert "v2/release.json" in part.problem
    assert "v3/release.json" in part.problem


def test_without_a_deploy(tmp_path: Path) -> None:
    with pytest.raises(look.Unable, match="No such file or directory"):
        deploys.collect(made(releases=str(tmp_path / "none")))
