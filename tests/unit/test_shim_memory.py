"""The file that a process of the pool keeps of its tasks, with the peak of this very process (G6.2)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim


class Signal:
    def connect(self, function: Any) -> Any:
        return function


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    signals = {name: Signal() for name in ("task_prerun", "task_postrun", "worker_process_init")}
    monkeypatch.setitem(__import__("sys").modules, "celery", SimpleNamespace())
    monkeypatch.setitem(__import__("sys").modules, "celery.signals", SimpleNamespace(**signals))
    return load_shim("soundcheck_memory")


def test_the_peak_is_that_of_the_task_and_not_of_an_earlier_one(memory: Any, tmp_path: Path) -> None:
    """A task that holds 64 MB, and one after it that holds nothing."""
    process = memory.Memory(os.getpid(), tmp_path)
    process.begin("hungry", "1", 100.0)
    held = bytearray(64 << 20)
    held[::4096] = b"\x01" * len(range(0, len(held), 4096))
    process.end("hungry", 101.0)
    del held
    process.begin("modest", "2", 102.0)
    process.end("modest", 103.0)

    known = json.loads((tmp_path / f"memory-{os.getpid()}.json").read_text(encoding="utf-8"))
    hungry, modest = known["kinds"]["hungry"], known["kinds"]["modest"]
    assert hungry["peak"] - modest["peak"] > 50 << 20
    assert hungry["last"] == [[101, hungry["peak"]]]
    assert known["running"] is None


def test_what_runs_stands_in_the_file_when_the_process_is_killed(memory: Any, tmp_path: Path) -> None:
    process = memory.Memory(21, tmp_path)
    process.begin("music.generate", "t1", 100.0)

    known = json.loads((tmp_path / "memory-21.json").read_text(encoding="utf-8"))
    assert known["running"] == {"task": "music.generate", "id": "t1", "since": 100.0}


def test_without_the_kernels_file_the_present_size_is_told(memory: Any, tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmHWM:\t 900 kB\nVmRSS:\t 300 kB\n", encoding="ascii")
    # A folder cannot be written to.
    (tmp_path / "clear_refs").mkdir()
    process = memory.Memory(21, tmp_path, tmp_path)
    process.begin("a", "1", 1.0)
    process.end("a", 2.0)

    assert process.known["kinds"]["a"]["peak"] == 300 * 1024


def test_a_task_goes_on_without_room_or_figures(memory: Any, tmp_path: Path) -> None:
    process = memory.Memory(21, tmp_path / "missing", tmp_path / "missing")
    process.begin("a", "1", 1.0)
    process.end("a", 2.0)

    assert process.known["kinds"] == {}


def test_the_oldest_files_go_first(memory: Any, tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"memory-{number}.json"
        path.write_text("{}", encoding="utf-8")
        os.utime(path, (number, number))
    (tmp_path / "worker").touch()

    memory.prune(tmp_path, 2)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory-3.json", "memory-4.json", "worker"]


def test_only_a_process_of_a_pool_writes(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signals of tasks come in every pool, that of the process in prefork alone."""
    monkeypatch.setattr(memory, "FOLDER", tmp_path)
    memory.begin("1", SimpleNamespace(name="a"))
    memory.end(SimpleNamespace(name="a"))
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(memory, "Memory", lambda pid, real=memory.Memory: real(pid, tmp_path))
    memory.know_this_process()
    memory.begin("1", SimpleNamespace(name="a"))
    memory.end(SimpleNamespace(name="a"))
    assert [path.name for path in tmp_path.iterdir()] == [f"memory-{os.getpid()}.json"]
