"""The rule base: every cause this stack knows, when somebody sees it, and which symptoms follow from it.

A rule's function, in the module of its family, reads the facts, compares them with thresholds.py, and yields
what it found: evidence with figures, confidence, and a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from soundcheck_diagnosis import rules_celery, rules_containers, rules_database, rules_server
from soundcheck_diagnosis.evidence import Look
from soundcheck_diagnosis.finding import Found

CPU, MEMORY, CONNECTIONS = "cpu", "memory", "connections"


@dataclass(frozen=True)
class Rule:
    id: str
    look: Callable[[Look], Iterator[Found]]
    symptoms: tuple[str, ...] = ()
    """What a person sees who comes with this trouble."""
    explains: tuple[str, ...] = ()
    """Findings that rank below this one, since they follow from it."""
    explains_same: tuple[str, ...] = ()
    """The same, only where both are about one service."""
    deploy_may_cause: bool = True


RULES = (
    Rule(
        "blocked-queries",
        rules_database.blocked_queries,
        symptoms=(CONNECTIONS,),
        # Whoever waits for a lock holds a connection and a slot meanwhile, and looks like a slow query.
        explains=(
            "connection-leak",
            "connections-exhausted",
            "task-outgrew-period",
            "worker-concurrency",
            "missing-index",
        ),
    ),
    Rule(
        "missing-index",
        rules_database.missing_index,
        symptoms=(CPU, CONNECTIONS),
        explains=(
            "task-outgrew-period",
            "worker-concurrency",
            "connections-exhausted",
            "cpu-busy",
            "recent-deploy",
        ),
    ),
    Rule(
        "noisy-neighbour",
        rules_server.noisy_neighbour,
        symptoms=(CPU,),
        explains=("task-outgrew-period", "worker-concurrency", "cpu-busy"),
        deploy_may_cause=False,
    ),
    Rule(
        "cpu-quota",
        rules_containers.cpu_quota,
        symptoms=(CPU,),
        explains=("task-outgrew-period",),
        explains_same=("worker-concurrency",),
    ),
    Rule(
        "retry-storm",
        rules_celery.retry_storm,
        symptoms=(CPU,),
        explains=("log-flood", "worker-concurrency", "cpu-busy"),
    ),
    Rule(
        "connection-storm",
        rules_database.connection_storm,
        symptoms=(CONNECTIONS, CPU),
        # A new connection is a new process of PostgreSQL.
        explains=("connections-exhausted", "cpu-busy"),
    ),
    Rule(
        "connection-leak",
        rules_database.connection_leak,
        symptoms=(CONNECTIONS,),
        explains=("connections-exhausted",),
    ),
    Rule(
        "connections-exhausted",
        rules_database.connections_exhausted,
        symptoms=(CONNECTIONS,),
        # Each refusal is an error line.
        explains=("recent-deploy",),
    ),
    Rule(
        "memory-limit",
        rules_containers.memory_limit,
        symptoms=(MEMORY,),
        explains=("host-memory",),
        explains_same=("container-restarting",),
    ),
    Rule(
        "task-outgrew-period",
        rules_celery.task_outgrew_period,
        symptoms=(CPU,),
        explains=("worker-concurrency", "cpu-busy"),
    ),
    Rule("worker-concurrency", rules_celery.worker_concurrency, symptoms=(CPU,), explains=("cpu-busy",)),
    Rule("queue-unread", rules_celery.queue_unread),
    Rule("log-flood", rules_containers.log_flood, symptoms=(CPU,), explains=("cpu-busy", "recent-deploy")),
    Rule(
        "recent-deploy",
        rules_containers.recent_deploy,
        symptoms=(CPU,),
        explains=("container-restarting", "cpu-busy"),
        deploy_may_cause=False,
    ),
    # Swapping keeps the cores waiting for the disk.
    Rule("host-memory", rules_server.host_memory, symptoms=(MEMORY,), explains=("cpu-busy",)),
    Rule("container-restarting", rules_containers.container_restarting, symptoms=(MEMORY,)),
    # Explained by every other: what is left to say when nothing is known.
    Rule("cpu-busy", rules_server.cpu_busy, symptoms=(CPU,)),
)
