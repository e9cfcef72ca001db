"""When the watch keeps a bundle, how much it keeps, and what it does when it cannot."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.render import TEMPLATES

FOLDER = TEMPLATES / "telemetry" / "monitoring" / "soundcheck_diagnosis"
CANARY = {"facts": "what was seen"}
START = 1_790_000_000.0


def loaded() -> ModuleType:
    specification = importlib.util.spec_from_file_location("diagnosis_watch", FOLDER / "watch.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


watch = loaded()


class Server:
    """A server whose load is given, looked at once a minute."""

    def __init__(self, state: Path, **bounds: int) -> None:
        wanted = {"cpu_percent": 80, "memory_percent": 90, "seconds": 60, "pause_seconds": 300}
        self.config = {
            "state": str(state),
            "watch": {**wanted, "keep": 20, "max_megabytes": 50, **bounds},
        }
        self.state = state
        self.moment = START
        self.collected: list[int] = []

    def looks(self, *seen: tuple[float | None, float | None, int | None], every: int = 60) -> list[int]:
        """How many bundles there are after each look at (CPU, memory, OOM kills)."""
        counts = []
        for cpu, memory, kills in seen:
            assert self.look({"cpu": cpu, "memory": memory, "oom_kills": kills}) == 0
            self.moment += every
            counts.append(len(self.bundles()))
        return counts

    def look(
        self, load: dict[str, Any], judge: Callable[..., Any] = lambda facts, config: [{"id": "x"}]
    ) -> int:
        status: int = watch.main(
            self.config, self.collect, now=lambda: self.moment, load=lambda: load, judge=judge
        )
        return status

    def collect(self, config: dict[str, Any], since: int) -> dict[str, Any]:
        assert config is self.config
        self.collected.append(since)
        return CANARY

    def bundles(self) -> list[Path]:
        return sorted((self.state / "bundles").glob("*"))


CALM = (10.0, 40.0, 0)
BUSY = (97.0, 40.0, 0)
FULL = (10.0, 95.0, 0)
BUSY_LOAD = {"cpu": 97.0, "memory": 40.0, "oom_kills": 0}


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ([CALM] * 3, [0, 0, 0]),
        ([BUSY, CALM, BUSY], [0, 0, 0]),
        ([BUSY, BUSY], [0, 1]),
        ([(80.0, 0.0, 0)] * 2, [0, 1]),
        ([(79.9, 0.0, 0)] * 2, [0, 0]),
        ([FULL, FULL], [0, 1]),
        # Each bound has its own row: busy once and full once is neither twice.
        ([BUSY, FULL], [0, 0]),
        # The pause: looks 2 to 6 are within 300 s of the bundle, the seventh is not.
        ([BUSY] * 8, [0, 1, 1, 1, 1, 1, 2, 2]),
        # The first number of kills is where counting begins.
        ([(10.0, 40.0, 7), (10.0, 40.0, 7), (10.0, 40.0, 8)], [0, 0, 1]),
        # A reboot counts from zero.
        ([(10.0, 40.0, 7), (10.0, 40.0, 2), (10.0, 40.0, 3)], [0, 0, 1]),
        # A kill during the pause is told of after it.
        ([BUSY, BUSY, (10.0, 40.0, 1), *[(10.0, 40.0, 1)] * 4, (10.0, 40.0, 1)], [0, 1, 1, 1, 1, 1, 2, 2]),
        # What is unknown is above nothing.
        ([(None, None, None)] * 3, [0, 0, 0]),
        ([(10.0, 40.0, 7), (10.0, 40.0, None), (10.0, 40.0, 7)], [0, 0, 0]),
    ],
)
def test_when_a_bundle_is_kept(
    tmp_path: Path, seen: list[tuple[float | None, float | None, int | None]], counts: list[int]
) -> None:
    assert Server(tmp_path).looks(*seen) == counts


def test_looks_far_apart_are_not_in_a_row(tmp_path: Path) -> None:
    assert Server(tmp_path).looks(BUSY, BUSY, BUSY, every=600) == [0, 0, 0]


def test_a_clock_that_went_back_does_not_end_the_watch(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.looks(BUSY, BUSY)
    server.moment -= 86400
    assert server.looks(BUSY, BUSY) == [1, 2]


def test_a_bundle_holds_everything_and_is_for_root_alone(tmp_path: Path) -> None:
    server = Server(tmp_path / "diagnosis")
    server.looks(BUSY, (99.0, 96.0, 2))
    [path] = server.bundles()
    assert path.name == "20260921T141420Z.json"
    assert json.loads(path.read_text("utf-8")) == {
        "schema": 1,
        "reasons": [
            "CPU at 99 %, at or above 80 % for 2 looks in a row",
            "2 OOM kills since the look before",
        ],
        "facts": CANARY,
        "findings": [{"id": "x"}],
    }
    assert server.collected == [900]
    modes = {found.name: oct(found.stat().st_mode & 0o777) for found in server.state.rglob("*")}
    assert modes == {"bundles": "0o700", path.name: "0o600", "watch.json": "0o600"}
    assert oct(server.state.stat().st_mode & 0o777) == "0o700"


def test_no_more_than_so_many_and_the_oldest_go(tmp_path: Path) -> None:
    server = Server(tmp_path, keep=3, pause_seconds=0)
    server.looks(*[BUSY] * 7)
    names = [path.name for path in server.bundles()]
    assert names == ["20260921T141720Z.json", "20260921T141820Z.json", "20260921T141920Z.json"]


def test_no_larger_than_so_much_and_the_oldest_go(tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    for minute in range(5):
        watch.keep(folder, f"2026112{minute}.json", {"text": "x" * 400}, 20, 1300)
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 1300
    assert [path.name for path in sorted(folder.iterdir())] == [f"2026112{day}.json" for day in (2, 3, 4)]


def test_one_that_is_too_large_by_itself_is_not_kept_and_removes_none(tmp_path: Path) -> None:
    watch.keep(tmp_path / "bundles", "1.json", {"text": "x"}, 20, 1000)
    with pytest.raises(OSError, match=r"of \d{4} bytes is larger than watch.max_megabytes allows"):
        watch.keep(tmp_path / "bundles", "2.json", {"text": "x" * 1000}, 20, 1000)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["1.json"]


def test_what_an_interrupted_run_left_goes(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / ".1.json.tmp").write_text("half")
    watch.keep(tmp_path / "bundles", "2.json", {}, 20, 1000)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["2.json"]


@pytest.mark.parametrize("fails", ["watch.json", "bundle"])
def test_a_full_disk_is_one_line_and_never_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    """Bad input: a full disk."""
    server = Server(tmp_path)
    server.looks(BUSY)
    capsys.readouterr()
    before, sync = (tmp_path / "watch.json").read_bytes(), os.fsync

    def full(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if ("watch.json" in path) == (fails == "watch.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert server.look(BUSY_LOAD) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (*("", "watch: nothing kept: [Errno 28] No space left on device\n"),)
    assert server.bundles() == []
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
    assert ((tmp_path / "watch.json").read_bytes() == before) == (fails == "watch.json")
    # Nothing was collected for a disk that was known to be full.
    assert len(server.collected) == (0 if fails == "watch.json" else 1)


def test_the_verdict_is_that_of_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = ModuleType("soundcheck_diagnosis.verdict")
    vars(verdict)["findings"] = lambda facts, config: [{"id": "memory-limit", "of": facts}]
    package = ModuleType("soundcheck_diagnosis")
    vars(package)["verdict"] = verdict
    monkeypatch.setitem(sys.modules, "soundcheck_diagnosis", package)
    server = Server(tmp_path)
    for _ in range(2):
        watch.main(server.config, server.collect, lambda: server.moment, lambda: BUSY_LOAD)
    [path] = server.bundles()
    assert json.loads(path.read_text("utf-8"))["findings"] == [{"id": "memory-limit", "of": CANARY}]


def test_a_damaged_memory_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text("[half")
    assert Server(tmp_path).looks(BUSY, BUSY) == [0, 1]


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert Server(tmp_path / "file" / "diagnosis").look(BUSY_LOAD) == 2
    assert capsys.readouterr().err.startswith("watch: nothing kept: [Errno 20] Not a directory")


# --- the light look: recorded on Debian 12, kernel 6.1, and shortened ---------------------------------

STAT = "cpu  31000 200 9000 400000 1000 0 300 500 7000 0\ncpu0 15500 100 4500 200000 500 0 150 250 0 0\n"
LATER = "cpu  31150 200 9020 400015 1005 0 300 510 7100 0\ncpu0 15500 100 4500 200000 500 0 150 250 0 0\n"
MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:    2000000 kB\n"
VMSTAT = "nr_free_pages 25000\npgmajfault 1021\noom_kill 3\n"


def test_the_light_look_reads_three_files(tmp_path: Path) -> None:
    for name, text in (("stat", STAT), ("meminfo", MEMINFO), ("vmstat", VMSTAT)):
        (tmp_path / name).write_text(text)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        (tmp_path / "stat").write_text(LATER)

    assert watch.look(tmp_path, sleep) == {"cpu": 90.0, "memory": 75.0, "oom_kills": 3}
    assert slept == [1.0]


@pytest.mark.parametrize(
    ("stat", "meminfo", "vmstat"),
    [(STAT, "MemTotal:  8000000 kB\n", "nr_free_pages 25000\n"), (STAT, "", "")],
)
def test_what_the_kernel_does_not_say_is_unknown(
    tmp_path: Path, stat: str, meminfo: str, vmstat: str
) -> None:
    for name, text in (("stat", stat), ("meminfo", meminfo), ("vmstat", vmstat)):
        (tmp_path / name).write_text(text)
    assert watch.look(tmp_path, lambda seconds: None) == {"cpu": None, "memory": None, "oom_kills": None}


def test_this_machine_can_be_looked_at() -> None:
    found = watch.look(sleep=lambda seconds: None)
    assert 0 < found["memory"] < 100
