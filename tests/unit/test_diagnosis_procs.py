"""Which process burns, and whether it is one of this stack's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.diagnosis_look import ID, SECRET, cgroups, container, made
from tests.unit.diagnosis_modules import load_diagnosis

procs = load_diagnosis("procs")

# Of a gunicorn worker, Linux 6.18.
GUNICORN = (
    "12948 (gunicorn) S 12570 12570 12570 0 -1 4194624 11052 0 0 0 35 11 0 0 20 0 1 0 2766187 85168128 14344"
    " 18446744073709551615 4325376 7599353 140730678697104 0 0 0 0 16781312 137380390 1 0 0 17 1 0 0 0 0 0"
)


def process(proc: Path, pid: int, ticks: int, cgroup: str, command: str, parent: int = 1) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    fields = f"R {parent} 0 0 0 0 0 0 0 0 0 {ticks} 0 0 0 20 0 2 0 1000 0 25"
    (folder / "stat").write_text(f"{pid} (name) {fields}", encoding="utf-8")
    (folder / "cgroup").write_text(cgroup, encoding="utf-8")
    (folder / "cmdline").write_text(command.replace(" ", "\0"), encoding="utf-8")


def test_a_line_of_the_kernel() -> None:
    found = procs.parse(GUNICORN)
    assert (found.pid, found.parent, found.name, found.state, found.threads) == (
        12948,
        12570,
        "gunicorn",
        "S",
        1,
    )
    assert found.cpu_seconds == pytest.approx(46 / procs.TICKS)
    assert found.started == pytest.approx(2766187 / procs.TICKS)
    assert found.rss == 14344 * procs.PAGE
    assert procs.parse(GUNICORN.replace("(gunicorn)", "(a) b (c)")).name == "a) b (c"


def test_cpu_between_two_looks() -> None:
    early = {1: procs.parse(GUNICORN.replace("12948 ", "1 "))}
    late = {
        1: procs.parse(GUNICORN.replace("12948 ", "1 ").replace(" 35 11 ", f" {35 + procs.TICKS} 11 ")),
        # A new process, and one that has the number of another that ended.
        2: procs.parse(GUNICORN.replace("12948 ", "2 ")),
    }
    assert procs.busy(early, late, 2.0) == {1: 50.0, 2: pytest.approx(23.0)}
    reused = {1: procs.parse(GUNICORN.replace("12948 ", "1 ").replace("2766187", "2766999"))}
    assert procs.busy(early, reused, 1.0) == {1: pytest.approx(46.0)}


def test_processes_of_the_stack_and_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = tmp_path
    process(proc, 7, 5, f"0::/system.slice/docker-{ID['celery']}.scope\n", f"celery --broker x:{SECRET}@b")
    process(proc, 8, 9, f"4:memory:/docker/{'a' * 64}/docker/{ID['celery']}\n", "celery child", 7)
    process(proc, 20, 50, f"0::/docker/{ID['other']}\n", "python3 miner.py")
    process(proc, 21, 90, "0::/system.slice/cron.service\n", f"backup --password {SECRET}")
    process(proc, 22, 0, "0::/\n", "")
    # Idle: known by the list of its container's processes alone.
    process(proc, 23, 7, "", "celery idle", 7)
    members = {7: [7, 23]}
    monkeypatch.setattr(cgroups.Cgroups, "processes", lambda _, pid: members.get(pid, []))
    process(proc, os.getpid(), 99, "0::/\n", "python3 run.py")

    def later(_: float) -> None:
        for pid, ticks in ((7, 6), (8, 40), (20, 60), (21, 99), (os.getpid(), 300)):
            path = proc / str(pid) / "stat"
            fields = path.read_text(encoding="utf-8").split()
            fields[13] = str(ticks)
            path.write_text(" ".join(fields), encoding="utf-8")

    monkeypatch.setattr(procs.time, "sleep", later)
    part = procs.collect(made(container("celery"), container("miner", 99, project="games"), proc=proc))
    first, second, third = part.facts["containers"][ID["celery"]]
    assert (first["pid"], second["pid"], third["pid"]) == (8, 7, 23)
    assert second["command"] == "celery --broker x:***@b"
    assert (first["state"], first["threads"], first["rss"]) == ("R", 2, 25 * procs.PAGE)
    assert [(each["pid"], each["unit"]) for each in part.facts["strangers"]] == [
        (20, "container games-miner-1"),
        (21, "cron.service"),
    ]
    assert SECRET not in str(part.facts)
    assert part.problem == ""


def test_a_look_leaves_out_its_own_process_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(tmp_path, 7, 5, "", "celery worker")
    process(tmp_path, 8, 900, "", "python -m soundcheck_inspect --workers 2")
    monkeypatch.setattr(cgroups.Cgroups, "processes", lambda *_: [7, 8])
    monkeypatch.setattr(procs.time, "sleep", lambda _: None)

    part = procs.collect(made(container("celery"), proc=tmp_path))

    assert [row["pid"] for row in part.facts["containers"][ID["celery"]]] == [7]


def test_without_an_engine_all_are_strangers(tmp_path: Path) -> None:
    process(tmp_path, 7, 5, f"0::/docker/{ID['celery']}\n", "celery")
    part = procs.collect(made(proc=tmp_path, no_engine="Docker does not answer"))
    assert part.facts["containers"] == {}
    assert part.problem == "Docker does not answer"


def test_a_kernel_thread_has_a_name_alone(tmp_path: Path) -> None:
    process(tmp_path, 9, 0, "0::/\n", "")
    assert procs.command(tmp_path, procs.read(tmp_path, 9)) == "[name]"
    assert procs.read(tmp_path, 10) is None
