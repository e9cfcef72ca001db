"""What a look remembers for the next one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

counters = load_diagnosis("counters")

FACTS: dict[str, Any] = {
    "server": {"oom_kills_total": 3},
    "containers": [{"id": "abc", "restarts": 1, "oom_kills": 2, "memory": 5, "image": "x"}],
    "tasks": {
        "kinds": [{"name": "t", "started": 4, "succeeded": 3, "failed": 1, "retried": 0, "mean_seconds": 1}],
        "queues": [{"name": "default", "ready": 7, "published": None, "consumers": 1}],
    },
    "database": {
        "opened_total": 9,
        "connections": [
            {"state": "idle", "count": 2, "application": "a"},
            {"state": "idle", "count": 3, "application": "b"},
            {"state": None, "count": 1},
        ],
        "table": {"seq_scans": 11},
    },
}


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    counters.write(tmp_path / "state", counters.of_facts(FACTS, 1000.0))
    file = tmp_path / "state" / "counters.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert counters.before(counters.read(tmp_path / "state"), 1061.0, 5000.0) == {
        "seconds_ago": 61.0,
        "kinds": {"t": {"started": 4, "succeeded": 3, "failed": 1, "retried": 0}},
        "queues": {"default": {"ready": 7, "published": None}},
        "containers": {"abc": {"restarts": 1, "oom_kills": 2, "memory": 5}},
        "database": {"opened_total": 9, "connections_by_state": {"idle": 5, "": 1}},
        "oom_kills_total": 3,
        "table": {"seq_scans": 11},
    }


def test_what_could_not_be_asked_is_unknown() -> None:
    nothing = dict.fromkeys(("containers", "web", "database"))
    found = counters.of_facts({**nothing, "server": {}, "tasks": {"kinds": None, "queues": None}}, 1.0)
    assert found["kinds"] == {}
    assert found["database"] == {"opened_total": None, "connections_by_state": {}}
    assert found["oom_kills_total"] is None


@pytest.mark.parametrize(
    ("now", "uptime"),
    [(1100.0, 50.0), (999.0, 5000.0)],
    ids=["the server started anew", "the clock went back"],
)
def test_counters_that_began_anew_are_forgotten(now: float, uptime: float) -> None:
    assert counters.before(counters.of_facts(FACTS, 1000.0), now, uptime) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 0, "at": 1}'])
def test_a_file_of_others_counts_as_none(tmp_path: Path, text: str) -> None:
    assert counters.read(tmp_path) is None
    (tmp_path / "counters.json").write_text(text, encoding="utf-8")
    assert counters.read(tmp_path) is None
    assert counters.before(None, 1.0, None) is None


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters.write(tmp_path, counters.of_facts(FACTS, 1000.0))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(counters.json, "dump", full)
    with pytest.raises(OSError, match="No space left"):
        counters.write(tmp_path, counters.of_facts(FACTS, 2000.0))
    assert [path.name for path in tmp_path.iterdir()] == ["counters.json"]
    assert counters.read(tmp_path)["at"] == 1000.0
