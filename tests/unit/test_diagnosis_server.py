"""The server itself: what the kernel says, and whom its OOM killer took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import FIXTURES, container, made
from tests.unit.diagnosis_modules import load_diagnosis

server = load_diagnosis("server")

KILLED_IN = "bc26cb25d61813e3868ec220350ce838d9ccc1b80ea5dd7fd6b22065558ac079"
RECORDS = (FIXTURES / "diagnosis" / "kmsg-oom.txt").read_text(encoding="utf-8").splitlines()
PROC = {
    "stat": "cpu  100 0 50 800 10 0 5 5 0 0\ncpu0 1 2 3\n",
    "uptime": "3600.50 7000.00\n",
    "loadavg": "4.52 3.77 2.85 5/600 4000\n",
    "meminfo": "MemTotal: 2000000 kB\nMemAvailable: 500000 kB\nSwapTotal:  100 kB\nSwapFree:    25 kB\n",
    "vmstat": "pswpin 10\npswpout 20\noom_kill 3\n",
    "mounts": "/dev/root / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/root /var/lib ext4 rw 0 0\n",
    "pressure/cpu": "some avg10=54.56 avg60=22.63 avg300=11.40 total=1\nfull avg10=0.00 avg60=0.00 total=0\n",
    "pressure/memory": "some avg10=0.12 avg60=0.00 avg300=0.00 total=0\n",
}


def kernel(folder: Path, **changes: str) -> Path:
    for name, text in {**PROC, **changes}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_the_kernels_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def later(_: float) -> None:
        kernel(
            tmp_path,
            stat="cpu  160 0 70 806 20 0 5 9 0 0\n",
            vmstat="pswpin 110\npswpout 20\noom_kill 3\n",
        )

    monkeypatch.setattr(server.time, "sleep", later)
    monkeypatch.setattr(server, "KERNEL_LOG", tmp_path / "kmsg")
    (tmp_path / "kmsg").touch()
    monkeypatch.setattr(server, "_records", lambda _: iter(RECORDS))
    facts = server.collect(made(proc=kernel(tmp_path))).facts
    # 60 + 20 + 6 + 10 + 4 of a hundred ticks.
    assert (facts["busy_percent"], facts["user_percent"], facts["system_percent"]) == (84.0, 60.0, 20.0)
    assert (facts["iowait_percent"], facts["steal_percent"]) == (10.0, 4.0)
    assert facts["load"] == [4.52, 3.77, 2.85]
    assert facts["memory"]["available"] == 500000 * 1024
    assert facts["memory"]["swap_used"] == 75 * 1024
    assert facts["memory"]["swap_in_per_second"] > 0
    assert facts["memory"]["swap_out_per_second"] == 0
    assert facts["pressure"]["cpu"] == {"some": 54.56, "full": 0.0}
    assert facts["pressure"]["memory"] == {"some": 0.12, "full": None}
    assert facts["oom_kills_total"] == 3
    assert facts["uptime"] == 3600.5
    assert [disk["mountpoint"] for disk in facts["disks"]] == ["/"]
    assert 0 < facts["disks"][0]["percent"] <= 100


def test_an_old_kernel_leaves_figures_unknown(tmp_path: Path) -> None:
    assert server.pressure({"cpu": "", "memory": "", "io": ""}) is None
    assert server.memory("MemTotal: 5 kB\n") == {
        "total": 5120,
        "available": None,
        "swap_total": None,
        "swap_used": None,
    }
    assert set(server.shares([1, 2], [3, 4]).values()) == {None}
    # No tick passed.
    assert set(server.shares([1] * 10, [1] * 10).values()) == {None}


def kills(since_seconds: int = 900, records: list[str] = RECORDS) -> list[dict[str, Any]]:
    services = {KILLED_IN: "celery-ai"}
    found: list[dict[str, Any]] = server.kills_of(records, 27820.0, since_seconds, services)
    return found


def test_an_oom_kill_names_its_container() -> None:
    assert kills() == [
        {
            "seconds_ago": 11.4,
            "pid": 16718,
            "process": "celery",
            "container": KILLED_IN[:12],
            "service": "celery-ai",
            "rss": (340188 + 11760) * 1024,
        }
    ]
    assert kills(since_seconds=5) == []


@pytest.mark.parametrize(
    ("change", "container_id", "service"),
    [
        (("/docker/" + KILLED_IN, f"/system.slice/docker-{KILLED_IN}.scope"), KILLED_IN[:12], "celery-ai"),
        (("/docker/" + KILLED_IN, f"/docker/{'a' * 64}/docker/{KILLED_IN}"), KILLED_IN[:12], "celery-ai"),
        (("/docker/" + KILLED_IN, "/system.slice/cron.service"), "", ""),
        (("/docker/" + KILLED_IN, f"/docker/{'a' * 64}"), "a" * 12, ""),
    ],
    ids=["systemd driver", "engine in a container", "no container", "another engine's"],
)
def test_oom_kills_by_path(change: tuple[str, str], container_id: str, service: str) -> None:
    (kill,) = kills(records=[record.replace(*change) for record in RECORDS])
    assert (kill["container"], kill["service"]) == (container_id, service)


def test_without_the_kernels_log_the_engine_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KERNEL_LOG", tmp_path / "none")
    victim = container("celery")
    # Of another stack on the same machine, whose service has the same name.
    other = container("celery-ai", project="staging")
    now = server.time.time_ns()
    told = [{"timeNano": now, "Actor": {"ID": each.id}} for each in (other, victim)]
    monkeypatch.setattr(server, "events", lambda *_: told)
    found, problem = server.oom_kills(made(victim, other))
    assert problem == ""
    assert [(kill["service"], kill["container"]) for kill in found] == [
        ("celery", victim.id[:12]),
        ("", other.id[:12]),
    ]
    assert {kill["pid"] for kill in found} == {None}

    found, problem = server.oom_kills(made(no_engine="Docker does not answer"))
    assert found is None
    assert problem.endswith("none: No such file or directory: OOM kills are known by their number only")
