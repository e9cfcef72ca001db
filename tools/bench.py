#!/usr/bin/env python3
"""What a deploy and the monitoring cost, measured on a deployed server; nothing is asserted.

    python -m tools.bench                  no-change deploys beside `docker compose up`; monitoring's cost
    python -m tools.bench --first          before that a first deploy, on a server that is made anew for it
    python -m tools.bench --redeploy       also a changed demo under load, deployed this way and in two others
    python -m tools.bench --diagnosis      also the diagnosis beside the guide's commands, on a busy server
    python -m tools.bench --inventory DIR  another server than the one of `molecule converge` (its first host)

Writes artifacts/bench.json and prints the same as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tools import bench_diagnosis, bench_redeploy

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = {"app": "/opt/soundcheck/app", "telemetry": "/opt/soundcheck/telemetry"}
COMPOSE_FILE = "docker-compose.prod.yml"
# Stand-ins for the hosted service; on a server that sends its metrics away they do not run.
STAND_INS = ("metrics-backend", "alertmanager")
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}

# Runs on the server: nanoseconds of CPU and bytes of resident memory of each container of a project, from the
# cgroup (both versions), which counts short-lived processes such as health checks too.
USAGE = """
import json, subprocess, sys, time
ids = subprocess.run(["docker", "ps", "-q", "--filter", "label=com.docker.compose.project=" + sys.argv[1]],
                     capture_output=True, text=True, check=True).stdout.split()
format = '{{.State.Pid}} {{index .Config.Labels "com.docker.compose.service"}}'
usage = {"time": time.monotonic(), "services": {}}
def read(controller, path, name):
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/" + controller):
        try:
            return open(base + path + "/" + name).read()
        except FileNotFoundError:
            pass
for line in subprocess.run(["docker", "inspect", "-f", format, *ids],
                           capture_output=True, text=True, check=True).stdout.splitlines():
    pid, service = line.split()
    paths = {}
    for entry in open("/proc/" + pid + "/cgroup").read().splitlines():
        _, controllers, path = entry.split(":", 2)
        paths.update({controller: path for controller in controllers.split(",")})
    spent = read("cpuacct", paths.get("cpuacct", ""), "cpuacct.usage") if "cpuacct" in paths else None
    if spent is None:
        stat = dict(l.split() for l in read("", paths[""], "cpu.stat").splitlines())
        spent = int(stat["usage_usec"]) * 1000
    memory = paths.get("memory", paths.get("", ""))
    stat = dict(l.split() for l in read("memory", memory, "memory.stat").splitlines())
    usage["services"][service] = [int(spent), int(stat.get("total_rss", stat.get("anon", 0)))]
print(json.dumps(usage))
"""


@dataclass
class Host:
    """How the inventory reaches its first host."""

    inventory: Path
    name: str
    ssh: list[str]

    @classmethod
    def of(cls, inventory: Path) -> Host:
        listed = json.loads(output(["ansible-inventory", "-i", str(inventory), "--list"]))
        name, variables = next(iter(sorted(listed["_meta"]["hostvars"].items())))
        options = ["-o", "PreferredAuthentications=publickey", "-p", str(variables.get("ansible_port", 22))]
        if "ansible_ssh_private_key_file" in variables:
            options += ["-i", variables["ansible_ssh_private_key_file"]]
        options += shlex.split(variables.get("ansible_ssh_common_args", ""))
        user = variables.get("ansible_user", "root")
        return cls(inventory, name, ["ssh", *options, f"{user}@{variables.get('ansible_host', name)}"])

    def run(self, command: str, stdin: str = "") -> str:
        return output([*self.ssh, command], stdin)

    def play(self, playbook: str, *arguments: str, **environment: str) -> str:
        command = ["ansible-playbook", "-i", str(self.inventory), playbook, *arguments]
        return output(command, environment=environment)

    def deploy(self, **environment: str) -> str:
        return self.play("deploy.yml", "--skip-tags=verify", **environment)


def output(command: Sequence[str], stdin: str = "", environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT | (environment or {}),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)[:200]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def no_change(host: Host, runs: int) -> dict[str, Any]:
    """Deploys that change nothing, the bare commands and an empty play, in turns."""

    def deploy() -> None:
        if f"{host.name} " not in (said := host.deploy()) or "changed=0" not in said:
            sys.exit(f"this deploy changed something; deploy first\n{said}")

    def bare() -> None:
        for directory in PROJECTS.values():
            host.run(f"docker compose -f {directory}/{COMPOSE_FILE} up -d")

    # The bare command recreates what a rollout started, once: Compose 2.26 hashes scale and dependencies.
    host.deploy()
    bare()
    host.deploy()
    deploy()
    with tempfile.TemporaryDirectory() as folder:
        # What Ansible takes before a first task: how fast the control machine is in this hour.
        empty = Path(folder) / "empty.yml"
        empty.write_text("- {hosts: all, gather_facts: false, tasks: []}\n", encoding="utf-8")
        measured = {"deploy": deploy, "bare": bare, "empty": lambda: host.play(str(empty))}
        times = [{name: seconds(act) for name, act in measured.items()} for _ in range(runs)]
    medians = {name: statistics.median(run[name] for run in times) for name in measured}
    return {
        "runs": runs,
        **{f"{name}_seconds": [round(run[name], 2) for run in times] for name in measured},
        **{f"{name}_median": round(median, 2) for name, median in medians.items()},
        "ratio": round(medians["deploy"] / medians["bare"], 2),
    }


def monitoring(host: Host, windows: int, length: float) -> dict[str, Any]:
    """CPU seconds per minute (median over windows) and resident memory of each telemetry service."""

    def usage() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(host.run("python3 - telemetry", USAGE))
        return found

    per_minute: dict[str, list[float]] = {}
    resident: dict[str, list[int]] = {}
    before = usage()
    for _ in range(windows):
        time.sleep(length)
        after = usage()
        minutes = (after["time"] - before["time"]) / 60
        for service, (spent, memory) in after["services"].items():
            earlier = before["services"].get(service, [spent, 0])[0]
            per_minute.setdefault(service, []).append((spent - earlier) / 1e9 / minutes)
            resident.setdefault(service, []).append(memory)
        before = after
    services = {
        service: {
            "cpu_seconds_per_minute": round(statistics.median(per_minute[service]), 2),
            "resident_mebibytes": round(statistics.median(resident[service]) / 2**20, 1),
        }
        for service in sorted(per_minute)
    }
    counted = [cost for service, cost in services.items() if service not in STAND_INS]
    return {
        "windows": windows,
        "window_seconds": length,
        "services": services,
        "total": {key: round(sum(cost[key] for cost in counted), 2) for key in counted[0]},
        "active_series": series(host),
    }


def series(host: Host) -> dict[str, int]:
    """Active series by job, where the embedded backend can be asked."""
    query = shlex.quote('count by (job) ({__name__=~".+"})')
    compose = f"docker compose -f {PROJECTS['telemetry']}/{COMPOSE_FILE} exec -T {STAND_INS[0]}"
    client = "promtool query instant -o json --http.config.file=/etc/prometheus/healthcheck.yml"
    found = json.loads(host.run(f"{compose} {client} http://127.0.0.1:9090 {query}"))
    return {entry["metric"].get("job", ""): int(entry["value"][1]) for entry in found}


def first_deploy() -> dict[str, float]:
    """A server made anew and deployed to, in parts: Docker, images, containers, and all the rest."""
    for step in ("destroy", "create"):
        output([str(Path(sys.executable).with_name("molecule")), step, "--scenario-name", "default"])
    host = Host.of(ROOT / "inventories" / "molecule")
    started = time.monotonic()
    said = host.deploy(ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    total = time.monotonic() - started
    # What plugins say of their progress comes first.
    report = json.loads(said[said.index("{\n") :])
    parts = {"docker": 0.0, "images": 0.0, "containers": 0.0}
    for play in report["plays"]:
        for task in play["tasks"]:
            name, result = task["task"]["name"], task["hosts"].get(host.name, {})
            # compose_project says how long its jobs, the start and the wait took.
            parts["containers"] += sum(
                value
                for step, value in result.get("seconds", {}).items()
                if step in {"jobs", "start", "wait"}
            )
            for part in ("docker", "images"):
                if name.startswith({"docker": "docker_engine", "images": "container_images"}[part]):
                    parts[part] += duration(task["task"]["duration"])
    parts["rest"] = total - sum(parts.values())
    return {name: round(value, 1) for name, value in {"total": total, **parts}.items()}


def duration(task: dict[str, str]) -> float:
    begin, end = (datetime.fromisoformat(task[key].removesuffix("Z")) for key in ("start", "end"))
    return (end - begin).total_seconds()


def markdown(found: dict[str, Any]) -> str:
    lines = []
    if first := found.get("first_deploy"):
        lines += ["| first deploy, images built before | s |", "|---|---|"]
        words = {
            "docker": "Docker installed and started",
            "images": "images loaded",
            "containers": "checks, migrations, start and wait until healthy",
            "rest": "Ansible and everything else",
            "total": "**total**",
        }
        lines += [f"| {text} | {first[key]} |" for key, text in words.items()] + [""]
    if redeploys := found.get("redeploy"):
        lines += bench_redeploy.markdown(redeploys)
    if diagnosis := found.get("diagnosis"):
        lines += bench_diagnosis.markdown(diagnosis)
    times, cost = found["no_change"], found["monitoring"]
    lines += [
        f"| no-change deploy over ssh, median of {times['runs']} | s |",
        "|---|---|",
        f"| `ansible-playbook deploy.yml --skip-tags verify` | {times['deploy_median']} |",
        f"| `ssh host docker compose up -d`, both projects | {times['bare_median']} |",
        f"| ratio | {times['ratio']} |",
        f"| a playbook without a task | {times['empty_median']} |",
        "",
        "| monitoring | CPU s/min | resident MiB |",
        "|---|---|---|",
    ]
    rows = {name: value for name, value in cost["services"].items() if name not in STAND_INS}
    rows["**all exporters and the collector**"] = cost["total"]
    for name in STAND_INS:
        if name in cost["services"]:
            rows[f"({name}, in place of a hosted one)"] = cost["services"][name]
    lines += [
        f"| {name} | {value['cpu_seconds_per_minute']} | {value['resident_mebibytes']} |"
        for name, value in rows.items()
    ]
    lines += ["", "| job | active series |", "|---|---|"]
    lines += [f"| {job} | {number} |" for job, number in sorted(cost["active_series"].items())]
    lines += [f"| **all** | {sum(cost['active_series'].values())} |"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a deploy and the monitoring cost.")
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventories" / "molecule")
    parser.add_argument(
        "--first", action="store_true", help="first remake molecule's server and time its deploy"
    )
    parser.add_argument(
        "--redeploy", action="store_true", help="also deploy a change under load, in three ways"
    )
    parser.add_argument("--diagnosis", action="store_true", help="also diagnose a busy server, in two ways")
    parser.add_argument(
        "--runs", type=int, default=5, help="no-change deploys to time, and windows to observe"
    )
    parser.add_argument("--window", type=float, default=30.0, help="seconds of each window")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "bench.json")
    arguments = parser.parse_args()

    found: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "kernel": platform.release()}}
    if arguments.first:
        found["first_deploy"] = first_deploy()
    host = Host.of(arguments.inventory)
    found["no_change"] = no_change(host, arguments.runs)
    found["monitoring"] = monitoring(host, arguments.runs, arguments.window)
    if arguments.redeploy:
        found["redeploy"] = bench_redeploy.Redeploys(host, PROJECTS["app"]).measure()
    if arguments.diagnosis:
        found["diagnosis"] = bench_diagnosis.Diagnosis(host, PROJECTS["app"]).measure(arguments.runs)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(markdown(found))


if __name__ == "__main__":
    main()
