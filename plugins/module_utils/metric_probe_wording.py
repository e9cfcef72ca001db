"""The vocabulary of a verdict: a check, its states, and the sentences that explain a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .metric_probe_facts import COLLECTOR, Container, Promise, Scrape, Source

OK = "ok"
FAILED = "failed"
CONSEQUENCE = "consequence"
SKIPPED = "skipped"

BACKEND = "metrics_backend"
RULES = "rules"
# States of a container that may end by themselves.
TRANSIENT = ("created", "restarting")


@dataclass(frozen=True)
class Check:
    """One question and its verdict. `waiting`: the answer may become right without anybody acting."""

    source: str
    check: str
    status: str
    asked: str
    expected: str
    got: str
    likely_cause: str = ""
    waiting: bool = False
    # For programs: what one line does not hold.
    details: Mapping[str, Any] = field(default_factory=dict)


def because(root: Check) -> str:
    """The reason of a consequence, with the check to look at."""
    if root.check == RULES:
        what = "rules are not loaded or fail"
    elif root.source == BACKEND:
        what = "the backend cannot be asked"
    elif root.check == "target":
        what = f"the collector cannot scrape {root.source}"
    elif root.check == "remote write":
        what = "nothing of the collector arrives in the backend"
    elif root.source == COLLECTOR:
        what = "the collector does not run or does not answer"
    else:
        what = f"{root.source} is broken"
    return f"because {what}: see {root.source}, {root.check}"


def state(container: Container) -> str:
    """How a container that should run is."""
    detail = "" if container.status in TRANSIENT else f" with status {container.exit_code}"
    return f"container {container.name} is {container.status}{detail}"


def container_cause(container: Container) -> str:
    """Why a container does not run, as its own state tells, and what to do."""
    if container.oom_killed:
        return f"killed for exceeding its memory limit: raise the memory of service {container.service}"
    if container.status == "restarting":
        return f"it ends right after each start: read `docker logs {container.name}`"
    if container.status == "paused":
        return f"somebody paused it: `docker unpause {container.name}`"
    if container.exit_code in (0, 137, 143):
        return f"somebody stopped it: `docker start {container.name}`, or run deploy.yml"
    return f"it ended by itself: read `docker logs {container.name}`"


def missing_text(missing: list[str], scrapes: tuple[Scrape, ...]) -> str:
    """Metrics without samples, those that only have a HELP or TYPE line told from those that have nothing."""
    announced = {name for scrape in scrapes for name in scrape.announced}
    suffixes = ("_bucket", "_count", "_sum", "_total", "")
    only_help = [
        name
        for name in missing
        if any(name.endswith(suffix) and name.removesuffix(suffix) in announced for suffix in suffixes)
    ]
    absent = [name for name in missing if name not in only_help]
    parts = [f"announced by HELP but without samples: {', '.join(only_help)}"] if only_help else []
    parts += [f"absent: {', '.join(absent)}"] if absent else []
    return "; ".join(parts)


def right(check: Check, got: str, source: Source, absent: set[str]) -> Check:
    """The check passed; metrics that wait for an event are noted with the catalogue's reason."""
    waiting = {p.exposed: p.when for p in source.promised if p.when and p.exposed in absent}
    if not waiting:
        return replace(check, got=got)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(waiting.items()))
    return replace(check, got=f"{got}; not yet {', '.join(sorted(waiting))}", likely_cause=reasons)


def held(promise: Promise, series: tuple[Mapping[str, str], ...]) -> bool:
    """Whether one of the stored series keeps the promise."""
    return any(
        labels.get("__name__") == promise.stored
        and all(labels.get(name) == value for name, value in promise.labels.items())
        for labels in series
    )


def described(promise: Promise, present: set[str]) -> str:
    """A promise that is not kept: its name, with its labels when other samples of the name are there."""
    if promise.stored not in present:
        return promise.stored
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(promise.labels.items()))
    return f"{promise.stored}{{{labels}}}"
