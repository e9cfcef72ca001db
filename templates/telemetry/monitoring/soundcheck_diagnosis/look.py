"""What a section is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soundcheck_diagnosis.cgroups import Cgroups
from soundcheck_diagnosis.docker_api import Container, Engine


class Unable(Exception):
    """Why a section has nothing to tell, in a sentence."""


@dataclass(frozen=True)
class Part:
    """A section's facts. A `problem` beside them says what is missing."""

    facts: Any
    problem: str = ""
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """One look at the server. Every text of others passes `redact`, every statement `redact_sql`."""

    config: Mapping[str, Any]
    since_seconds: int
    redact: Callable[[str], str]
    redact_sql: Callable[[str], str]
    engine: Engine
    cgroups: Cgroups
    interval: float = 1.2
    """Seconds between the two looks at counters."""
    listed: Sequence[Container] = ()
    no_engine: str = ""
    """Why the engine did not list its containers."""
    deadline: float = field(default_factory=lambda: time.monotonic() + 3)

    def containers(self) -> Sequence[Container]:
        """Those of this stack. Raises Unable without an engine."""
        if self.no_engine:
            raise Unable(self.no_engine)
        return [container for container in self.listed if container.project in self.projects]

    @property
    def projects(self) -> tuple[str, str]:
        return self.config["app_project"], self.config["telemetry_project"]

    def running(self, service: str) -> Iterator[Container]:
        """The running containers of a service, however far it is scaled."""
        return (each for each in self.containers() if each.service == service and each.running)

    def first(self, service: str) -> Container:
        """Any running container of a service. Raises Unable where there is none."""
        found = next(self.running(service), None)
        if found is None:
            raise Unable(f"no container of {service} runs")
        return found

    def seconds_left(self) -> float:
        return max(0.1, self.deadline - time.monotonic())


def first_line(text: str) -> str:
    """The first line that says something, for a sentence about an error."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
