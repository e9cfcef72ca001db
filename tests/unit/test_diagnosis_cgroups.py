"""What the kernel counts, in v1, v2 and both drivers of Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import cgroups

ID = "42233c0ac2f312cb2f4c67e3717d3904f76c9521d74bc488f3f989826e8c0b7a"
V1_PROCESS = f"""4:memory:/docker/{ID}
8:pids:/docker/{ID}
2:cpuacct:/docker/{ID}
1:cpu:/docker/{ID}
9:name=systemd:/docker/{ID}
0::/docker/{ID}
"""
V1_FILES = {
    "memory/memory.usage_in_bytes": "115245056\n",
    "memory/memory.limit_in_bytes": "268435456\n",
    "memory/memory.max_usage_in_bytes": "132685824\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/memory.stat": "cache 110915584\ninactive_file 1\ntotal_inactive_file 73076736\n",
    "cpu/cpu.cfs_quota_us": "50000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "cpu/cpu.stat": "nr_periods 40\nnr_throttled 30\nthrottled_time 0\n",
    "cpuacct/cpuacct.usage": "2500000000\n",
    "pids/pids.current": "6\n",
    "pids/cgroup.procs": "11741\n11969\n",
}
V2_SCOPE = f"/system.slice/docker-{ID}.scope"
V2_FILES = {
    "memory.current": "115245056\n",
    "memory.max": "max\n",
    "memory.peak": "132685824\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\n",
    "memory.stat": "anon 4329472\ninactive_file 73076736\n",
    "cpu.max": "50000 100000\n",
    "cpu.stat": "usage_usec 2500000\nnr_periods 40\nnr_throttled 30\n",
    "pids.current": "6\n",
    "cgroup.procs": "11741\n11969\n",
}


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def v1(tmp_path: Path, mount_root: str = "/") -> Any:
    """As on a machine of both hierarchies, where the second has no controllers."""
    lines = []
    for controller in ("memory", "cpu", "cpuacct", "pids"):
        folder = tmp_path / controller
        lines.append(f"32 31 0:29 {mount_root} {folder} rw,relatime - cgroup cgroup rw,{controller}")
    lines.append(f"41 31 0:38 / {tmp_path}/unified rw,relatime - cgroup2 cgroup2 rw")
    below = f"/docker/{ID}".removeprefix(mount_root).lstrip("/")
    for name, text in V1_FILES.items():
        controller, _, file = name.partition("/")
        written(tmp_path / controller / below, {file: text})
    written(tmp_path / "proc" / "7", {"cgroup": V1_PROCESS})
    return cgroups.Cgroups(cgroups.mounts_of("\n".join(lines)), tmp_path / "proc")


def v2(tmp_path: Path) -> Any:
    mount = f"29 22 0:26 / {tmp_path}/fs rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    written(tmp_path / "fs" / V2_SCOPE.lstrip("/"), V2_FILES)
    written(tmp_path / "proc" / "7", {"cgroup": f"0::{V2_SCOPE}\n"})
    return cgroups.Cgroups(cgroups.mounts_of(mount), tmp_path / "proc")


COUNTED = {
    "cpu_seconds": 2.5,
    "quota_cores": 0.5,
    "periods": 40,
    "throttled": 30,
    "memory": 115245056 - 73076736,
    "memory_peak": 132685824,
    "oom_kills": 2,
    "pids": 6,
}


@pytest.mark.parametrize("mount_root", ["/", f"/docker/{ID}"], ids=["the host's mount", "one container's"])
def test_v1(tmp_path: Path, mount_root: str) -> None:
    found = v1(tmp_path, mount_root)
    assert found.usage(7) == cgroups.Usage(**COUNTED, memory_limit=268435456)
    assert found.processes(7) == [11741, 11969]


def test_v2_with_the_systemd_driver(tmp_path: Path) -> None:
    found = v2(tmp_path)
    assert found.usage(7) == cgroups.Usage(**COUNTED, memory_limit=None)
    assert found.processes(7) == [11741, 11969]


def test_what_is_not_there_is_unknown(tmp_path: Path) -> None:
    """A process that ended, an old kernel without a peak, controllers that are off."""
    found = v2(tmp_path)
    assert found.usage(8) == cgroups.Usage()
    assert found.processes(8) == []
    for name in ("memory.peak", "memory.current", "cpu.max"):
        (tmp_path / "fs" / V2_SCOPE.lstrip("/") / name).unlink()
    usage = found.usage(7)
    assert (usage.memory, usage.memory_peak, usage.quota_cores) == (None, None, None)
    assert usage.cpu_seconds == 2.5


def test_v1_without_limits(tmp_path: Path) -> None:
    found = v1(tmp_path)
    written(tmp_path / "memory" / "docker" / ID, {"memory.limit_in_bytes": "9223372036854771712\n"})
    written(tmp_path / "cpu" / "docker" / ID, {"cpu.cfs_quota_us": "-1\n"})
    usage = found.usage(7)
    assert (usage.memory_limit, usage.quota_cores) == (None, None)


@pytest.mark.parametrize(
    ("text", "ids", "unit"),
    [
        (f"0::{V2_SCOPE}\n", [ID], f"docker-{ID}.scope"),
        (f"9:name=systemd:/docker/{'a' * 64}/docker/{ID}\n0::/\n", [ID, "a" * 64], ""),
        ("9:name=systemd:/system.slice/cron.service\n0::/\n", [], "cron.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", [], "session-3.scope"),
        ("0::/\n", [], ""),
        ("", [], ""),
    ],
    ids=["systemd driver", "engine in a container", "service", "login", "the root", "ended"],
)
def test_where_a_process_belongs(text: str, ids: list[str], unit: str) -> None:
    assert cgroups.container_ids(text) == ids
    assert cgroups.unit_of(text) == unit
