"""The two systemd units of the watch: how they stand on this host, and how they come and go.

Their files lie in the folder of the telemetry project and are linked from there: each is one file, which one
module writes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TIMER = "soundcheck-watch.timer"
UNITS = ("soundcheck-watch.service", TIMER)
RUNNING = "/run/systemd/system"
LINKS = "/etc/systemd/system"
TIMEOUT_SECONDS = 15

# Runs a command and gives its output; what fails raises OSError.
Run = Callable[[Sequence[str]], str]


def run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{' '.join(command)}: no answer within {TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def timer_state(execute: Run = run, running: str = RUNNING, links: str = LINKS) -> dict[str, Any] | None:
    """Whether units are `linked`, and from where; `enabled`, `active`; `stale`: older than their files.

    None where systemd does not run. A host without the units costs no process.
    """
    if not os.path.isdir(running):
        return None
    linked = {_folder(os.path.join(links, unit)) for unit in UNITS}
    if linked == {""}:
        return {"linked": False, "directory": "", "enabled": False, "active": False, "stale": False}
    try:
        units = _shown(execute(_show("ActiveState,UnitFileState,NeedDaemonReload")))
    except OSError:
        # Units that cannot be asked for are units that have to be brought in order.
        units = [{}]
    timer = units[-1]
    return {
        "linked": True,
        "directory": linked.pop() if len(linked) == 1 else "",
        "enabled": timer.get("UnitFileState") == "enabled",
        "active": timer.get("ActiveState") == "active",
        "stale": any(unit.get("NeedDaemonReload") == "yes" for unit in units),
    }


def settled(state: Mapping[str, Any], directory: str, *, enabled: bool) -> bool:
    """Whether the timer stands as it is wanted; `directory` is where its unit's file lies."""
    if not enabled:
        return not (state["linked"] or state["active"])
    return bool(
        state["enabled"] and state["active"] and not state["stale"] and state["directory"] == directory
    )


def _folder(link: str) -> str:
    return os.path.dirname(os.readlink(link)) if os.path.islink(link) else ""


def _show(names: str) -> list[str]:
    return ["systemctl", "show", f"--property={names}", *UNITS]


def _shown(answer: str) -> list[dict[str, str]]:
    """What `systemctl show` says of each unit: paragraphs in the order in which they were asked for."""
    parts = answer.strip().split("\n\n")
    return [dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in parts]


def enable(directory: str, execute: Run = run) -> None:
    """Link both, and start the timer anew: only then does it keep to a new interval."""
    service, timer = (os.path.join(directory, unit) for unit in UNITS)
    for command in (
        ["link", "--force", service],
        ["enable", "--force", timer],
        ["daemon-reload"],
        ["restart", TIMER],
    ):
        execute(["systemctl", "--quiet", *command])


def disable(execute: Run = run, links: str = LINKS) -> None:
    """Stop and forget both, also where the files that were linked are gone."""
    shown = zip(UNITS, _shown(execute(_show("ActiveState"))), strict=True)
    states = {unit: state.get("ActiveState") for unit, state in shown}
    for command, units in (
        ("stop", [unit for unit, state in states.items() if state not in ("inactive", "failed")]),
        ("reset-failed", [unit for unit, state in states.items() if state == "failed"]),
    ):
        if units:
            execute(["systemctl", command, *units])
    for path in (*UNITS, os.path.join("timers.target.wants", TIMER)):
        link = os.path.join(links, path)
        if os.path.islink(link):
            os.unlink(link)
    execute(["systemctl", "daemon-reload"])
