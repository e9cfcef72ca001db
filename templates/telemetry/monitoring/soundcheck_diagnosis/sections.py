"""All sections of one look, side by side, each with a time limit of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from soundcheck_diagnosis import (
    broker,
    containers,
    counters,
    database,
    deploys,
    logs,
    procs,
    redact,
    server,
    tasks,
    web,
)
from soundcheck_diagnosis.cgroups import Cgroups
from soundcheck_diagnosis.docker_api import Engine, EngineError
from soundcheck_diagnosis.look import Look, Part, Unable

SCHEMA = 1
NOTHING = Part(None)
Section = Callable[[Look], Part]

SECTIONS: Mapping[str, Section] = {
    "server": server.collect,
    "containers": containers.collect,
    "processes": procs.collect,
    "logs": logs.collect,
    "tasks": tasks.collect,
    "broker": broker.collect,
    "web": web.collect,
    "database": database.collect,
    "deploys": deploys.collect,
}
LISTING_SECONDS = 1.0
SECONDS = 2.6
# An answer of celery-exporter takes two seconds even on an idle server.
SECONDS_OF: Mapping[str, float] = {"tasks": 3.4}
# In which a section that was not answered puts together what it has.
RESERVE_SECONDS = 0.3


@dataclass(frozen=True)
class Outcome:
    """How a section ended."""

    state: str
    seconds: float
    problem: str = ""
    part: Part = NOTHING


def collect(config: dict[str, Any], since_seconds: int) -> dict[str, Any]:
    """The facts of this moment. No section can end it: one that fails says so in its line."""
    begun, cpu = time.monotonic(), time.process_time()
    now = time.time()
    look = _listed(
        Look(
            config=config,
            since_seconds=since_seconds,
            redact=redact.redact,
            redact_sql=redact.sql,
            engine=Engine(),
            cgroups=Cgroups.of(),
        )
    )
    facts = assembled(side_by_side(SECTIONS, look))
    state = Path(config["state"])
    earlier = counters.before(counters.read(state), now, facts["server"].get("uptime"))
    try:
        counters.write(state, counters.of_facts(facts, now))
    except OSError as error:
        facts["omitted"].append(f"counters for the next look: {state}: {error.strerror}")
    return {
        "schema": SCHEMA,
        "host": os.uname().nodename,
        "taken_at": datetime.fromtimestamp(now, timezone.utc)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z"),
        "interval": look.interval,
        "since_seconds": since_seconds,
        "seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        **facts,
        "before": earlier,
    }


def side_by_side(sections: Mapping[str, Section], look: Look) -> dict[str, Outcome]:
    """Run each in a thread. One that does not end in time is left behind: it ends with the process."""
    begun = time.monotonic()
    done: dict[str, Outcome] = {}
    threads = {}
    for name, section in sections.items():
        limited = replace(look, deadline=begun + SECONDS_OF.get(name, SECONDS) - RESERVE_SECONDS)
        threads[name] = threading.Thread(target=_run, args=(name, section, limited, done), daemon=True)
        threads[name].start()
    for name, thread in threads.items():
        thread.join(max(0.0, begun + SECONDS_OF.get(name, SECONDS) - time.monotonic()))
    late = Outcome("unable", SECONDS)
    return {
        name: done.get(name)
        or replace(
            late,
            seconds=SECONDS_OF.get(name, SECONDS),
            problem=f"no answer within {SECONDS_OF.get(name, SECONDS):g} s",
        )
        for name in sections
    }


def assembled(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """The sections' facts, each in its place; what could not be learnt is null."""
    told = {name: outcome.part.facts for name, outcome in outcomes.items()}
    processes = told.get("processes") or {"containers": {}, "strangers": None}
    log = told.get("logs") or {}
    listed = [
        {
            **each,
            "processes": next(
                (busy for key, busy in processes["containers"].items() if key.startswith(each["id"])), []
            ),
            "log": next((found for key, found in log.items() if key.startswith(each["id"])), None),
        }
        for each in told.get("containers") or []
    ]
    unknown = dict.fromkeys(("running", "workers", "silent", "kinds"))
    return {
        "sections": {
            name: {"state": outcome.state, "seconds": outcome.seconds, "problem": outcome.problem}
            for name, outcome in outcomes.items()
        },
        "omitted": [sentence for outcome in outcomes.values() for sentence in outcome.part.omitted],
        "server": told.get("server") or {},
        "containers": listed if told.get("containers") is not None else None,
        "strangers": processes["strangers"],
        "tasks": {**(told.get("tasks") or unknown), "queues": told.get("broker")},
        "web": told.get("web"),
        "database": told.get("database"),
        "deploys": told.get("deploys"),
    }


def _run(name: str, section: Section, look: Look, done: dict[str, Outcome]) -> None:
    begun = time.monotonic()

    def outcome(state: str, problem: str = "", part: Part = NOTHING) -> Outcome:
        return Outcome(state, round(time.monotonic() - begun, 2), look.redact(problem), part)

    try:
        part = section(look)
        done[name] = outcome("partial" if part.problem else "ok", part.problem, part)
    except (Unable, EngineError) as error:
        done[name] = outcome("unable", str(error))
    except Exception as error:
        # A fault of its own must not take the others' facts away.
        done[name] = outcome("unable", f"{type(error).__name__}: {error}")


def _listed(look: Look) -> Look:
    """With the engine's containers, or with why they are not known."""
    found: list[Look] = []

    def ask() -> None:
        try:
            found.append(replace(look, listed=look.engine.containers()))
        except EngineError as error:
            found.append(replace(look, no_engine=str(error)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LISTING_SECONDS)
    late = f"Docker did not list its containers within {LISTING_SECONDS:g} s"
    return found[0] if found else replace(look, no_engine=late)
