"""Looks lightly, and keeps a whole diagnosis of the moments in which the server is under stress.

A timer starts it every minute, so what one look has to know of the one before lies in a file. What is kept
is bounded in number, size and frequency: a server in trouble is not helped by a full disk.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

# What the tool looks back by itself, too.
SINCE_SECONDS = 900
LOOK_SECONDS = 1.0
# One busy look is a deploy or a nightly job; two in a row are trouble.
LOOKS_IN_A_ROW = 2

Config = dict[str, Any]
Look = dict[str, float | int | None]


def main(
    config: Config,
    collect: Callable[[Config, int], dict[str, Any]],
    now: Callable[[], float] = time.time,
    load: Callable[[], Look] | None = None,
    judge: Callable[[dict[str, Any], Config], list[dict[str, Any]]] | None = None,
) -> int:
    """One look. 0: nothing to keep, or kept; 2: it could not be looked or kept, and a line says why."""
    try:
        kept = _look(config, collect, now, load or look, judge or _findings)
    except OSError as error:
        print(f"watch: nothing kept: {error}", file=sys.stderr)
        return 2
    if kept:
        print(f"watch: kept {kept}")
    return 0


def _look(
    config: Config,
    collect: Callable[[Config, int], dict[str, Any]],
    now: Callable[[], float],
    load: Callable[[], Look],
    judge: Callable[[dict[str, Any], Config], list[dict[str, Any]]],
) -> str:
    """The path of the bundle that was kept, or nothing."""
    bounds, state = config["watch"], Path(config["state"])
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen, moment = load(), now()
    memory = after(_memory(state), seen, bounds, moment)
    reasons = to_keep(memory, seen, bounds, moment)
    # Before the bundle: a disk that is full is known then without the cost of collecting.
    _write(state / "watch.json", memory)
    if not reasons:
        return ""
    facts = collect(config, SINCE_SECONDS)
    bundle = {"schema": 1, "reasons": reasons, "facts": facts, "findings": judge(facts, config)}
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment)) + ".json"
    path = keep(state / "bundles", name, bundle, bounds["keep"], bounds["max_megabytes"] * 1_000_000)
    _write(state / "watch.json", {**memory, "kept_at": moment, "oom_kills": seen["oom_kills"]})
    return str(path)


def after(memory: dict[str, Any], seen: Look, bounds: dict[str, Any], moment: float) -> dict[str, Any]:
    """What the next look has to know: how many in a row were above a bound, and the OOM kills told of."""
    # Looks that lie far apart, as those before and after a reboot, are not in a row.
    in_a_row = 0 <= moment - memory.get("at", 0) <= 3 * bounds["seconds"]
    above = {
        name: (memory.get(name, 0) if in_a_row else 0) + 1 if _above(seen, name, bounds) else 0
        for name in ("cpu", "memory")
    }
    known, counted = memory.get("oom_kills"), seen["oom_kills"]
    # The kernel counts from its start: a smaller number is a reboot. Without an earlier one nothing is new.
    if known is None or (counted is not None and counted < known):
        known = counted
    return {**above, "at": moment, "kept_at": memory.get("kept_at"), "oom_kills": known}


def to_keep(memory: dict[str, Any], seen: Look, bounds: dict[str, Any], moment: float) -> list[str]:
    """Why a bundle is to be kept now; empty when there is no reason, or one was kept just now."""
    kept_at = memory["kept_at"]
    if kept_at is not None and 0 <= moment - kept_at < bounds["pause_seconds"]:
        return []
    reasons = []
    for name, what in (("cpu", "CPU"), ("memory", "memory")):
        if memory[name] >= LOOKS_IN_A_ROW:
            bound = bounds[f"{name}_percent"]
            reasons.append(
                f"{what} at {seen[name]:.0f} %, at or above {bound:g} % for {memory[name]} looks in a row"
            )
    known, counted = memory["oom_kills"], seen["oom_kills"]
    if known is not None and counted is not None and counted > known:
        reasons.append(f"{counted - known} OOM kills since the look before")
    return reasons


def _above(seen: Look, name: str, bounds: dict[str, Any]) -> bool:
    value = seen[name]
    return value is not None and value >= bounds[f"{name}_percent"]


# --- bundles -----------------------------------------------------------------------------------------


def keep(folder: Path, name: str, bundle: dict[str, Any], most: int, most_bytes: int) -> Path:
    """Write a bundle beside at most `most - 1` others, all together no larger than `most_bytes`.

    The oldest go first, and before the new one is written: not even for a moment is there more than allowed.
    """
    content = _text(bundle)
    if len(content) > most_bytes:
        raise OSError(
            f"a bundle of {len(content)} bytes is larger than watch.max_megabytes allows for all of them"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)
    others = sorted(folder.glob("*.json"))
    while others and (len(others) >= most or _size(others) + len(content) > most_bytes):
        others.pop(0).unlink(missing_ok=True)
    _replace(folder / name, content)
    return folder / name


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _write(path: Path, document: dict[str, Any]) -> None:
    _replace(path, _text(document))


def _text(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    """All of it or nothing, and readable by its owner alone from the first byte."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _memory(state: Path) -> dict[str, Any]:
    """What the look before left. A damaged file is none: the next look begins anew."""
    try:
        found = json.loads((state / "watch.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _findings(facts: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    # Loaded for the few looks that keep something.
    from soundcheck_diagnosis import verdict

    found: list[dict[str, Any]] = verdict.findings(facts, config)
    return found


# --- the light look ----------------------------------------------------------------------------------


def look(proc: Path = Path("/proc"), sleep: Callable[[float], None] = time.sleep) -> Look:
    """CPU and memory in percent of all there is, and OOM kills since the kernel's start; None if unknown."""
    first = (proc / "stat").read_text()
    sleep(LOOK_SECONDS)
    return {
        "cpu": busy_percent(first, (proc / "stat").read_text()),
        "memory": memory_percent((proc / "meminfo").read_text()),
        "oom_kills": dict(_numbers((proc / "vmstat").read_text())).get("oom_kill"),
    }


def busy_percent(before: str, later: str) -> float | None:
    """From two readings of /proc/stat: all but idle and waiting for a disk."""
    spent = [end - begin for begin, end in zip(_ticks(before), _ticks(later), strict=True)]
    total = sum(spent)
    return 100 * (total - spent[3] - spent[4]) / total if total > 0 else None


def _ticks(stat: str) -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal; guests are in the first two already."""
    return [int(cell) for cell in stat.splitlines()[0].split()[1:9]]


def memory_percent(meminfo: str) -> float | None:
    sizes = dict(_numbers(meminfo))
    total, available = sizes.get("MemTotal:"), sizes.get("MemAvailable:")
    return None if not total or available is None else 100 * (total - available) / total


def _numbers(text: str) -> Iterator[tuple[str, int]]:
    """The name and the first number of each line."""
    for line in text.splitlines():
        cells = line.split()
        if len(cells) > 1 and cells[1].isdigit():
            yield cells[0], int(cells[1])
