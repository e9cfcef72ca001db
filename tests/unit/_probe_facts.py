"""A healthy host as a verification sees it, and the ways to break it: the facts of several tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from plugins.module_utils.metric_probe_facts import (
    Canary,
    Container,
    Facts,
    Problem,
    Promise,
    Repeated,
    Scrape,
    Source,
    Stored,
    Target,
    Targets,
    Worker,
)

CAUSES = {
    "endpoint": "catalogue endpoint",
    "samples": "catalogue samples",
    "target": "catalogue target",
    "backend": "catalogue backend",
}
REFUSED = Problem("refused", "connection refused")


def source(name: str, project: str, service: str, port: int, *promised: Promise) -> Source:
    published = port if name in ("django", "rabbitmq") else 0
    return Source(
        name, name, project, service, port, published_port=published, promised=promised, likely_causes=CAUSES
    )


SOURCES = (
    source("django", "app", "backend", 8000, Promise("django_requests_total", "django_requests_total")),
    source(
        "celery",
        "telemetry",
        "celery-exporter",
        9808,
        Promise("celery_task_succeeded_total", "celery_tasks_total", {"status": "success"}),
        Promise("celery_task_failed_total", "celery_tasks_total", {"status": "failure"}),
    ),
    source("rabbitmq", "app", "rabbitmq", 15692, Promise("rabbitmq_queues", "rabbitmq_queues")),
    source(
        "cadvisor",
        "telemetry",
        "cadvisor",
        8080,
        Promise("container_memory_rss", "container_memory_rss", {"name": "backend"}),
        Promise("container_oom_events_total", "container_oom_events_total", when="since 0.40"),
    ),
    source("node", "telemetry", "node-exporter", 9100, Promise("node_load1", "node_load1")),
    source("postgres", "telemetry", "postgres-exporter", 9187, Promise("pg_size_bytes", "pg_size_bytes")),
    source("collector", "telemetry", "prometheus-agent", 9090, Promise("build_info", "build_info")),
)
SERVICES = {(s.project, s.service) for s in SOURCES} | {
    ("app", "celery"),
    ("app", "celery-ai"),
    ("app", "postgres"),
    ("telemetry", "metrics-backend"),
}


def page(entry: Source, url: str) -> Scrape:
    return Scrape(url, samples={promise.exposed: 1 for promise in entry.promised if not promise.when})


def series(entry: Source) -> tuple[dict[str, str], ...]:
    return tuple({"__name__": p.stored, **p.labels} for p in entry.promised if not p.when)


def healthy() -> Facts:
    """Everything runs and every answer is right."""
    counted = {("default", "celery"): 5.0, ("ai_queue", "celery-ai"): 3.0}
    return Facts(
        sources=SOURCES,
        workers=(Worker("celery", ("default",)), Worker("celery-ai", ("ai_queue",))),
        collector="prometheus_agent",
        backend_url="http://127.0.0.1:9090",
        containers=tuple(
            Container(
                f"id-{service}", f"{project}-{service}-1", project, service, "running", address="172.18.0.2"
            )
            for project, service in sorted(SERVICES)
        ),
        scrapes={
            s.name: (page(s, f"http://172.18.0.2:{s.port}/metrics"),)
            + ((page(s, f"http://127.0.0.1:{s.port}/metrics"),) if s.published_port else ())
            for s in SOURCES
        },
        targets=Targets(
            "http://172.18.0.2:9090/api/v1/targets",
            found=tuple(Target(s.job, f"http://{s.service}:{s.port}/metrics", "up") for s in SOURCES),
        ),
        stored={s.name: Stored("count by (__name__) (...)", series=series(s)) for s in SOURCES},
        canary=Canary(
            asked="docker exec app-celery-1 python -m soundcheck_canary --queues ai_queue,default",
            sent=("ai_queue", "default"),
            before={("default", "celery"): 4.0, ("ai_queue", "celery-ai"): 2.0},
            counted=counted,
            stored=counted,
            consumers={"default": 1, "ai_queue": 1},
        ),
        repeated=Repeated("django", "http://127.0.0.1:8000/metrics", 20, counters=140),
    )


# --- what breaks --------------------------------------------------------------------------------------


def container(service: str, **state: object) -> Callable[[Facts], None]:
    """Put the container of a service into another state; its page and, for what hangs on it, answers end."""

    def mutate(facts: Facts) -> None:
        facts.containers = tuple(
            replace(c, **state) if c.service == service else c  # type: ignore[arg-type]
            for c in facts.containers
        )
        for entry in SOURCES:
            if entry.service == service:
                facts.scrapes[entry.name] = ()
                target_down(entry.name)(facts)

    return mutate


def stopped(service: str) -> Callable[[Facts], None]:
    return container(service, status="exited", exit_code=137, address="")


def target_down(name: str, error: str = "connection refused") -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        assert facts.targets is not None
        found = tuple(
            replace(t, health="down", error=error) if t.job == name else t for t in facts.targets.found
        )
        facts.targets = replace(facts.targets, found=found)

    return mutate


def targets(problem: Problem | None = None, without: str = "", unknown: str = "") -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        assert facts.targets is not None
        found = tuple(
            replace(t, health="unknown") if t.job == unknown else t
            for t in facts.targets.found
            if t.job != without
        )
        facts.targets = replace(facts.targets, problem=problem, found=() if problem else found)

    return mutate


def scrape(name: str, number: int, **answer: object) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        pages = list(facts.scrapes[name])
        pages[number] = replace(pages[number], **answer)  # type: ignore[arg-type]
        facts.scrapes[name] = tuple(pages)

    return mutate


def stored(*names: str, **answer: object) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        for name in names or facts.stored:
            facts.stored[name] = replace(facts.stored[name], **answer)  # type: ignore[arg-type]

    return mutate


def canary(**answer: object) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        assert facts.canary is not None
        facts.canary = replace(facts.canary, **answer)  # type: ignore[arg-type]

    return mutate


def backend(problem: Problem) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        facts.backend_problem = problem
        stored(problem=problem, series=())(facts)

    return mutate


def repeated(**answer: object) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        assert facts.repeated is not None
        facts.repeated = replace(facts.repeated, **answer)  # type: ignore[arg-type]

    return mutate


def all_of(*mutations: Callable[[Facts], None]) -> Callable[[Facts], None]:
    def mutate(facts: Facts) -> None:
        for mutation in mutations:
            mutation(facts)

    return mutate
