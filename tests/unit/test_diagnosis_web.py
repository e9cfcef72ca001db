"""Which gunicorn worker holds a request, from the sockets that it has open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import cgroups, container, look, made
from tests.unit.diagnosis_modules import load_diagnosis
from tests.unit.test_diagnosis_procs import process

web = load_diagnosis("web")

# What listens and what ended, as Linux 6.18 prints them; in the same format one that is served, one that
# waits to be accepted, and one of the database.
TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 7384262 1
   2: 0100007F:1F40 0100007F:A2F4 06 00000000:00000000 03:00001017 00000000     0        0 0 3
   3: 0700A8C0:1F40 0200A8C0:E30A 01 00000000:00000000 00:00000000 00000000 10001        0 7400001 1
   4: 0700A8C0:1F40 0200A8C0:E30C 01 00000000:0000004F 00:00000000 00000000     0        0 0 1
   5: 0700A8C0:9C40 0300A8C0:1538 01 00000000:00000000 00:00000000 00000000 10001        0 7400002 1
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Master 7, worker 8 that serves a request, worker 9 that is idle, and something that was exec'd."""
    for pid, parent in ((7, 1), (8, 7), (9, 7), (10, 1)):
        process(tmp_path, pid, 1, "0::/x\n", "gunicorn", parent)
        (tmp_path / str(pid) / "fd").mkdir()
    (tmp_path / "8" / "fd" / "3").symlink_to("socket:[7384262]")
    (tmp_path / "8" / "fd" / "9").symlink_to("socket:[7400001]")
    (tmp_path / "9" / "fd" / "3").symlink_to("socket:[7384262]")
    (tmp_path / "7" / "net").mkdir()
    (tmp_path / "7" / "net" / "tcp").write_text(TABLE, encoding="utf-8")
    (tmp_path / "uptime").write_text("100.0 1.0\n", encoding="utf-8")
    monkeypatch.setattr(cgroups.Cgroups, "processes", lambda *_: [7, 8, 9, 10])
    return made(container("backend", 7), proc=tmp_path)


def test_workers_of_gunicorn(backend: Any) -> None:
    part = web.collect(backend)
    assert part.problem == ""
    assert [(worker["pid"], worker["busy"]) for worker in part.facts["workers"]] == [(8, True), (9, False)]
    assert part.facts["workers"][0]["age"] == pytest.approx(100 - 1000 / os.sysconf("SC_CLK_TCK"))
    assert (part.facts["connections"], part.facts["waiting"], part.facts["configured"]) == (2, 1, 3)


def test_who_may_not_see_the_sockets_says_so(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.os, "access", lambda *_: False)
    part = web.collect(backend)
    assert part.problem == "the workers' sockets cannot be seen: run it as root"
    assert {worker["busy"] for worker in part.facts["workers"]} == {None}


def test_without_a_container() -> None:
    with pytest.raises(look.Unable, match="no container of backend runs"):
        web.collect(made(container("backend", pid=0)))


def test_connections_of_the_port() -> None:
    assert web.established(TABLE, 8000) == [7400001, 0]
    assert web.established("", 8000) == []
