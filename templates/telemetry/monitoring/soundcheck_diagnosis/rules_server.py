"""What the whole server suffers from: its memory, its neighbours, and load of no known cause."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from soundcheck_diagnosis.evidence import (
    Look,
    duration,
    known,
    megabytes,
    number,
    part,
    rows,
    size,
    size_or_unknown,
    text,
)
from soundcheck_diagnosis.finding import HIGH, LOW, MEDIUM, Found, Remedy
from soundcheck_diagnosis.words import say

# Of the engine, the host's own duties, and this tool: consequences or constants, no neighbours.
_HOUSEHOLD = (
    "dockerd",
    "containerd",
    "runc",
    "docker-proxy",
    "kworker",
    "ksoftirqd",
    "kswapd",
    "kcompactd",
    "systemd",
    "journald",
    "rcu_",
    "migration/",
    "soundcheck_diagnosis",
    "debug_cpu_spike",
    "AnsiballZ",
)


def noisy_neighbour(look: Look) -> Iterator[Found]:
    """Something outside the stack takes much of the CPU."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows(look.facts, "strangers"):
        command = text(row, "command")
        if command and not any(word in command for word in _HOUSEHOLD):
            groups.setdefault((text(row, "unit"), (command.split() or [""])[0]), []).append(row)
    for (unit, program), group in groups.items():
        cpu = sum(known(row, "cpu_percent") for row in group)
        share = cpu / look.cores if look.cores else None
        if not look.over(cpu, "stranger_cpu") or not look.over(share, "stranger_share"):
            continue
        first = group[0]
        yield Found(
            unit or program,
            say("{program} outside the stack takes the CPU", program=program),
            [
                say(
                    "{count} processes of {program} take {cpu} % of a core, {share} % of the server",
                    count=len(group),
                    program=program,
                    cpu=cpu,
                    share=share,
                ),
                say(
                    "pid {pid} of user {user}, started by {unit}: {command}",
                    pid=number(first, "pid"),
                    user=text(first, "user") or None,
                    unit=unit or None,
                    command=text(first, "command"),
                ),
            ],
            HIGH if look.over(share, "stranger_share_high") else MEDIUM,
            min(1.0, (share or 0) / 100 + 0.3),
            Remedy(
                say("Bound it: systemctl set-property {unit} CPUQuota=50%", unit=unit)
                if unit.endswith((".service", ".slice", ".scope"))
                else say("End it, move it, or bound it (nice, docker update --cpus)"),
            ),
        )


def host_memory(look: Look) -> Iterator[Found]:
    """The server itself runs out of memory, whatever the limits of its containers are."""
    server, memory = part(look.facts, "server"), part(look.facts, "server", "memory")
    total, available = number(memory, "total"), number(memory, "available")
    left = 100 * available / total if available is not None and total else None
    into, out = (number(memory, f"swap_{way}_per_second") for way in ("in", "out"))
    pressure = number(part(server, "pressure", "memory"), "some")
    kills = [
        kill
        for kill in rows(server, "oom_kills")
        if kill.get("container") == ""
        and (number(kill, "seconds_ago") or math.inf) <= known(look.facts, "since_seconds")
    ]
    short = left is not None and left <= look.limits["memory_available"]
    # Memory is read back long after a shortage; only what goes out as well tells of one now.
    swaps = look.over(out, "swap_traffic") or (look.over(into, "swap_traffic") and (left or 100) < 20)
    presses = look.over(pressure, "memory_pressure")
    if not (short or swaps or presses or kills):
        return
    largest = sorted(look.containers(), key=lambda row: -known(row, "memory"))[:3]
    limits = sum(known(row, "memory_limit") for row in look.containers())
    yield Found(
        "server",
        say("The server itself is short of memory"),
        [
            say(
                "Available: {available} of {total}; swapped out {out} MB/s, in {into} MB/s",
                available=size_or_unknown(available),
                total=size_or_unknown(total),
                out=megabytes(out),
                into=megabytes(into),
            ),
            say("Time that tasks wait for memory: {pressure} %", pressure=pressure),
            say(
                "Limits of all containers together: {limits}; largest: {largest}",
                limits=size(limits),
                largest=", ".join(f"{text(row, 'service')} {size(known(row, 'memory'))}" for row in largest)
                or None,
            ),
            *(
                say("The kernel killed {process} of the host", process=text(kill, "process") or None)
                for kill in kills[:1]
            ),
        ],
        HIGH if kills or (swaps and (short or presses)) else MEDIUM,
        0.8 if kills or short else 0.5,
        Remedy(
            say("Let the limits fit the server, or take a larger one"),
            variable="sizing",
            current="manual",
            proposed="auto",
        ),
    )


def cpu_busy(look: Look) -> Iterator[Found]:
    """The CPU is busy and no cause is known: what takes it, so that a person has where to begin."""
    server = part(look.facts, "server")
    steal, wait = number(server, "steal_percent"), number(server, "iowait_percent")
    of_app = [row for row in look.containers() if number(row, "cpu_percent") is not None]
    top = sorted(of_app, key=lambda row: -known(row, "cpu_percent"))[:1]
    if not look.saturated:
        return
    evidence = [
        say(
            "All cores are busy for {busy} % (waiting for disks {wait} %, taken by the hypervisor {steal} %)",
            busy=look.busy,
            wait=wait,
            steal=steal,
        )
    ]
    evidence += [
        say(
            "Busiest container: {service} with {cpu} % of a core, this look included",
            service=text(row, "service"),
            cpu=number(row, "cpu_percent"),
        )
        for row in top
    ]
    evidence += [
        say(
            "Hungriest process: {command} in {service}, pid {pid}",
            command=text(process, "command") or None,
            service=text(row, "service") or None,
            pid=number(process, "pid"),
        )
        for row, process in look.top_processes()[:1]
    ]
    evidence += [
        say(
            "Outside the stack: {command} with {cpu} % of a core",
            command=text(row, "command") or None,
            cpu=number(row, "cpu_percent"),
        )
        for row in rows(look.facts, "strangers")[:1]
        if look.over(number(row, "cpu_percent"), "stranger_cpu")
    ]
    evidence += [
        say("Runs for {time}: task {task}", time=duration(number(task, "seconds")), task=text(task, "name"))
        for task in look.running()[:2]
    ]
    queries = sorted(rows(look.facts, "database", "queries"), key=lambda row: -known(row, "seconds"))
    evidence += [
        say(
            "Running for {time}: {statement}",
            time=duration(number(row, "seconds")),
            statement=text(row, "statement"),
        )
        for row in queries[:1]
        if text(row, "state") == "active"
    ]
    yield Found(
        text(top[0], "service") if top else "server",
        say("The CPU is busy, and no cause of it is known"),
        evidence,
        LOW,
        known(server, "busy_percent") / 100,
        Remedy(say("Begin with the process named above; a larger server is the last resort")),
    )
