"""Memory of tasks as the workers' processes write it, read as somebody else's files (G6.2)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import redact
from tests.unit.diagnosis_modules import load_diagnosis

task_memory = load_diagnosis("task_memory")

M = 2**20
NOW = 1_700_000_100.0


def written(proc: Path, pid: int, *, alive: bool = True, **more: Any) -> Path:
    """What a process with this number in the container of the host's process 7 left there."""
    root = proc / "7" / "root"
    (root / "run/soundcheck").mkdir(parents=True, exist_ok=True)
    if alive:
        (root / "proc" / str(pid)).mkdir(parents=True)
    path = root / "run/soundcheck" / f"memory-{pid}.json"
    path.write_text(json.dumps({"pid": pid, "running": None, "kinds": {}, **more}), encoding="utf-8")
    return path


def kind(runs: int, mean: float, peak: int, *last: tuple[float, int]) -> dict[str, Any]:
    return {"runs": runs, "mean": mean, "peak": peak, "last": [list(run) for run in last]}


def test_a_task_whose_process_is_gone_was_killed_with_it(tmp_path: Path) -> None:
    running = {"task": "music.generate", "id": "t1", "since": NOW - 30}
    written(tmp_path, 21, alive=False, running=running)
    written(tmp_path, 22, running={**running, "id": "t2"})
    written(tmp_path, 23, alive=False)

    found = task_memory.killed(task_memory.of_container(tmp_path, 7, "celery-ai"), NOW, redact)

    assert found == [{"name": "music.generate", "id": "t1", "worker": "celery-ai", "began_seconds_ago": 30.0}]


def test_kinds_are_put_together_over_all_processes(tmp_path: Path) -> None:
    written(tmp_path, 21, kinds={"a": kind(1, 100.0 * M, 100 * M, (NOW - 5, 100 * M)), "b": kind(1, 9.0, 9)})
    written(tmp_path, 22, kinds={"a": kind(3, 200.0 * M, 300 * M, (NOW - 60, 300 * M), (NOW - 1, 5))})

    first, second = task_memory.kinds(task_memory.of_container(tmp_path, 7, "celery"), NOW, redact)

    assert (first["name"], first["runs"], first["mean"], first["peak"]) == ("a", 4, 175 * M, 300 * M)
    assert [run["seconds_ago"] for run in first["last"]] == [1.0, 5.0, 60.0]
    assert second["name"] == "b"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"pid": "x"}', '{"pid": 1, "kinds": 3}', '{"pid": 1, "kinds": {"a": 1}}']
)
def test_what_is_none_of_ours_says_nothing(tmp_path: Path, content: str) -> None:
    written(tmp_path, 21).write_text(content, encoding="utf-8")

    processes = task_memory.of_container(tmp_path, 7, "celery")

    assert task_memory.kinds(processes, NOW, redact) == []
    assert task_memory.killed(processes, NOW, redact) == []


def test_no_link_is_followed_and_nothing_is_waited_for(tmp_path: Path) -> None:
    """The folder belongs to the app: a link in it would be read with the rights of root."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"pid": 1, "kinds": {"stolen": {"runs": 1, "mean": 1, "peak": 1}}}', encoding="utf-8")
    folder = written(tmp_path, 21).parent
    (folder / "memory-22.json").symlink_to(secret)
    os.mkfifo(folder / "memory-23.json")

    processes = task_memory.of_container(tmp_path, 7, "celery")

    assert [each["pid"] for each in processes] == [21]


def test_a_container_without_such_files_has_none(tmp_path: Path) -> None:
    assert task_memory.of_container(tmp_path, 8, "celery") == []
