"""What a verification asks about and what it was told, as plain data: the input of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The canary's series: at the exporter (`name`), and under the guide's names in the backend (`task_name`).
CANARY_TASK = "soundcheck.canary"
EXPORTED_SUCCESSES = "celery_task_succeeded_total"
STORED_TASKS = "celery_tasks_total"
CONSUMERS = "celery_active_worker_count"
CELERY = "celery"
COLLECTOR = "collector"
BROKER = "rabbitmq"


# The error of a rule may list every series; its beginning says what is wrong.
_ERROR_LENGTH = 200


@dataclass(frozen=True)
class Promise:
    """One metric that the catalogue promises."""

    exposed: str
    stored: str
    labels: Mapping[str, str] = field(default_factory=dict)
    when: str = ""


@dataclass(frozen=True)
class Source:
    """One source of the catalogue, as far as a verification needs it."""

    name: str
    job: str
    project: str
    service: str
    port: int
    path: str = "/metrics"
    scheme: str = "http"
    timeout: float = 10.0
    published_port: int = 0
    # Age up to which a sample in the backend is fresh.
    fresh_seconds: int = 60
    promised: tuple[Promise, ...] = ()
    likely_causes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """A Celery worker and the queues it should consume."""

    name: str
    queues: tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """One container as Docker describes it."""

    identity: str
    name: str
    project: str
    service: str
    status: str
    exit_code: int = 0
    oom_killed: bool = False
    address: str = ""

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class Problem:
    """Why a question got no usable answer. `kind`: refused, timeout, unreachable, status, content."""

    kind: str
    text: str
    status: int = 0


@dataclass(frozen=True)
class Scrape:
    """One request of a metrics page."""

    url: str
    problem: Problem | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    announced: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Target:
    """A scrape target as the collector sees it. `health`: up, down, or anything else for not known yet."""

    job: str
    url: str
    health: str
    error: str = ""


@dataclass(frozen=True)
class Targets:
    """The collector's answer about all its targets."""

    asked: str
    problem: Problem | None = None
    found: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Stored:
    """What the backend holds of one source: a label set per group of fresh series."""

    query: str
    problem: Problem | None = None
    series: tuple[Mapping[str, str], ...] = ()
    # Seconds since the last sample of a metric without fresh ones; missing when there was none for an hour.
    age: float | None = None


# Counter values per (queue, worker).
Crossings = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Canary:
    """The canary tasks of one run."""

    asked: str = ""
    problem: str = ""
    skipped: str = ""
    sent: tuple[str, ...] = ()
    before: Crossings = field(default_factory=dict)
    counted: Crossings = field(default_factory=dict)
    stored: Crossings = field(default_factory=dict)
    consumers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Repeated:
    """Counters of one source over repeated scrapes."""

    source: str
    url: str
    scrapes: int
    counters: int = 0
    problem: Problem | None = None
    falls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One expression of the catalogue. `empty_reason`: why a healthy service may have no data for it."""

    id: str
    kind: str
    source: str
    title: str
    expr: str
    metrics: tuple[str, ...] = ()
    empty_reason: str = ""


@dataclass(frozen=True)
class Answer:
    """What the backend said to an expression: label sets and their values, or why there are none."""

    problem: Problem | None = None
    values: tuple[tuple[Mapping[str, str], float], ...] = ()

    @property
    def has_data(self) -> bool:
        """NaN and infinity are what a division by nothing leaves: they show nothing."""
        return any(math.isfinite(value) for _labels, value in self.values)


@dataclass(frozen=True)
class Rule:
    """A rule that a Prometheus has loaded. `health`: ok, err, or unknown before its first evaluation."""

    group: str
    name: str
    health: str
    error: str = ""


@dataclass(frozen=True)
class Rules:
    """The answer about all rules."""

    problem: Problem | None = None
    loaded: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Job:
    """A scrape job: seconds between two scrapes, and what makes it send fewer series."""

    name: str
    seconds: float
    trim: str = ""


@dataclass(frozen=True)
class Budget:
    """What the plan includes, and the jobs that use it."""

    limit: int
    included: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Usage:
    """Series per job: `active` by Grafana Cloud's definition, `current` those that still get samples."""

    problem: Problem | None = None
    active: Mapping[str, int] = field(default_factory=dict)
    current: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Facts:
    """Everything that was asked and answered.

    `scrapes`, `stored` are by source name, `answers` by question. `present`: metrics of unanswered questions
    that have samples.
    """

    sources: tuple[Source, ...]
    workers: tuple[Worker, ...]
    collector: str
    backend_url: str
    check_mode: bool = False
    engine_problem: str = ""
    containers: tuple[Container, ...] = ()
    scrapes: dict[str, tuple[Scrape, ...]] = field(default_factory=dict)
    targets: Targets | None = None
    refused: str = ""
    """HTTP status with which the backend refuses the collector's samples, by the collector's log."""
    backend_problem: Problem | None = None
    stored: dict[str, Stored] = field(default_factory=dict)
    canary: Canary | None = None
    repeated: Repeated | None = None
    questions: tuple[Question, ...] = ()
    answers: dict[str, Answer] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    expected_rules: tuple[tuple[str, str], ...] = ()
    rules: Rules | None = None
    budget: Budget | None = None
    usage: Usage | None = None

    def of(self, project: str, service: str) -> tuple[Container, ...]:
        return tuple(c for c in self.containers if c.project == project and c.service == service)

    def source(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)


_CONVERTED = ("promised", "likely_causes", "fresh_seconds")


def sources_of(parameters: list[dict[str, Any]], fresh_seconds: int) -> tuple[Source, ...]:
    """Sources from the module's parameters; `fresh_seconds` is for those that name none of their own."""
    return tuple(
        Source(
            **{key: value for key, value in entry.items() if key not in _CONVERTED},
            fresh_seconds=entry.get("fresh_seconds") or fresh_seconds,
            promised=tuple(
                Promise(
                    exposed=promise["exposed"],
                    stored=promise.get("stored") or promise["exposed"],
                    labels={str(key): str(value) for key, value in (promise.get("labels") or {}).items()},
                    when=promise.get("when") or "",
                )
                for promise in entry["promised"]
            ),
            likely_causes=entry.get("likely_causes") or {},
        )
        for entry in parameters
    )


def containers_of(inspected: list[dict[str, Any]]) -> tuple[Container, ...]:
    """Containers from `docker inspect`; one-off containers (`compose run`) are left out."""
    found = []
    for entry in inspected:
        labels = entry.get("Config", {}).get("Labels") or {}
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        state = entry.get("State") or {}
        found.append(
            Container(
                identity=entry.get("Id", ""),
                name=entry.get("Name", "").lstrip("/"),
                project=labels.get("com.docker.compose.project", ""),
                service=labels.get("com.docker.compose.service", ""),
                status=state.get("Status", ""),
                exit_code=int(state.get("ExitCode") or 0),
                oom_killed=bool(state.get("OOMKilled")),
                address=_address(entry),
            )
        )
    return tuple(sorted(found, key=lambda container: (container.project, container.name)))


def _address(entry: dict[str, Any]) -> str:
    """The address at which the host reaches the container."""
    if (entry.get("HostConfig") or {}).get("NetworkMode") == "host":
        return "127.0.0.1"
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    # The network of the collector first: what counts is whether the endpoint answers there.
    preferred = sorted(networks, key=lambda name: (name != "telemetry", name))
    return next((networks[name]["IPAddress"] for name in preferred if networks[name].get("IPAddress")), "")


def targets_of(collector: str, answer: dict[str, Any]) -> tuple[Target, ...]:
    """Targets from the API of Grafana Agent (static mode) or of Prometheus."""
    data: Any = answer.get("data") or {}
    if collector == "grafana_agent":
        return tuple(
            Target(
                job=(entry.get("labels") or {}).get("job") or entry.get("target_group", ""),
                url=entry.get("endpoint", ""),
                health=entry.get("state", ""),
                error=entry.get("scrape_error") or "",
            )
            for entry in data
        )
    return tuple(
        Target(
            job=(entry.get("labels") or {}).get("job") or entry.get("scrapePool", ""),
            url=entry.get("scrapeUrl", ""),
            health=entry.get("health", ""),
            error=entry.get("lastError") or "",
        )
        for entry in data.get("activeTargets") or []
    )


def rules_of(answer: dict[str, Any]) -> tuple[Rule, ...]:
    """Rules from the data of Prometheus' rules API."""
    return tuple(
        Rule(group["name"], rule["name"], rule["health"], (rule.get("lastError") or "")[:_ERROR_LENGTH])
        for group in answer["groups"]
        for rule in group["rules"]
    )
