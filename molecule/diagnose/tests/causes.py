"""The causes of trouble that the diagnosis knows, each made on the server for as long as a block lasts.

When a block begins, the cause is in effect; when it has ended, the server is as before.

One cause is not made here: `host-memory`. The server shares the memory of the machine that it runs on, and
the kernel would look for its victim among everything on that machine. Its rule has its tests in tests/unit.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from inside import PATIENCE, busy_loops, container, memory, messages, quiet, quota, recreated, sql, trouble
from readings import runs
from server import Server, eventually

AI_TASK = "music.tasks.ai_music.generate_music_task"
CHART = "music.tasks.charts.update_realtime_chart"
BOOKING = "music.tasks.royalties.book_royalty"
COVER = "music.tasks.covers.fetch_cover"
STORE = "music.tasks.stores.offer_to_store"
ROWS = 2_000_000
# The limit that the guide began with (G6.2), and a task that does not fit into it.
LIMIT = "350M"
TOO_MUCH = 600
# Connections that are kept for superusers, of whom whoever looks is one.
SPARE = 5


class Cause(NamedTuple):
    """How it is made, and what the tool's configuration has to say otherwise to see it in seconds."""

    provoke: Callable[[Server], AbstractContextManager[None]]
    config: Mapping[str, Any] = {}
    named: str = ""
    """What the evidence has to say, word for word."""


def send(task: str, queue: str, *arguments: object, keywords: Mapping[str, Any], **options: float) -> str:
    """Arguments of provoke.py for a task with these arguments of its own."""
    words = {
        "task": task,
        "queue": queue,
        "arguments": json.dumps(arguments),
        "keywords": json.dumps(keywords),
    }
    return shlex.join(["send", *(f"--{name}={value}" for name, value in {**words, **options}.items())])


@contextmanager
def missing_index(server: Server, rate: float = 2, runs: int = 5) -> Iterator[None]:
    """G6.1: a month of plays without an index by time, and the chart asked for `rate` times a second.

    In effect after so many runs. The rows have negative numbers, by which they are told from the demo's own.
    """
    columns = "-n, 1 + n % 24, now() - n * interval '1.3 s', n % 50 = 0"
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'music_playlogs'"
    before = set(sql(server, indexes).split())
    try:
        sql(
            server,
            # The songs exist; to look each of them up two million times takes minutes.
            "SET session_replication_role = replica",
            "INSERT INTO music_playlogs (id, music_id, played_at, is_deleted)"
            f" SELECT {columns} FROM generate_series(1, {ROWS}) AS n",
            "ANALYZE music_playlogs",
        )
        forget_statements(server)
        with trouble(server, "celery", send(CHART, "default", keywords={}, rate=rate, seconds=200)):
            done(server, "celery", CHART, runs, PATIENCE + runs / rate)
            yield
    finally:
        made = set(sql(server, indexes).split()) - before
        sql(
            server,
            "BEGIN",
            "LOCK TABLE music_playlogs",
            "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM music_playlogs WHERE id > 0",
            "TRUNCATE music_playlogs",
            "INSERT INTO music_playlogs SELECT * FROM kept",
            "COMMIT",
            *(f'DROP INDEX IF EXISTS "{name}"' for name in sorted(made)),
            "SELECT pg_stat_reset_single_table_counters('music_playlogs'::regclass)",
        )
        forget_statements(server)
        drained(server, 1)


def forget_statements(server: Server) -> None:
    """What this test asked the database is no statement of the app."""
    sql(server, "SELECT pg_stat_statements_reset()")


def done(server: Server, service: str, task: str, number: int, seconds: float = PATIENCE) -> None:
    """So many runs of a task ended since now, within so many seconds."""
    began, inside = time.monotonic(), container(server, service)

    def ended() -> int:
        since = int(time.monotonic() - began) + 1
        return len(runs(server.run(f"docker logs --since {since}s {inside} 2>&1"), task))

    assert eventually(ended, lambda found: found >= number, seconds) >= number, f"{task} does not run"


@contextmanager
def task_outgrew_period(server: Server) -> Iterator[None]:
    """A task asked for every five seconds, as beat would, that takes twenty; twice."""
    booking = send(BOOKING, "default", 1, "late", keywords={"seconds": 20}, rate=0.2, seconds=9)
    with trouble(server, "celery", booking):
        # Both run, and the first for longer than its period.
        time.sleep(7)
        yield
    done(server, "celery", BOOKING, 2)


@contextmanager
def worker_concurrency(server: Server) -> Iterator[None]:
    """More tasks arrive than the worker's two slots can do; the tasks wait, and cost no CPU."""
    seconds = 4
    booking = send(BOOKING, "default", 1, "many", keywords={"seconds": seconds}, number=60, rate=4)
    with trouble(server, "celery", booking):
        assert eventually(lambda: messages(server, "default"), lambda found: found >= 60, PATIENCE) >= 60
        yield
    drained(server, seconds)


def drained(server: Server, seconds: float) -> None:
    """What was sent and not begun is thrown away; what was begun ends within so many seconds."""
    server.compose("app", "exec -T rabbitmq rabbitmqctl -q purge_queue default -p app")
    # Taken from the queue and not begun.
    taken = eventually(lambda: messages(server, "default", "unacked"), lambda found: found == 0, PATIENCE)
    assert taken == 0, f"{taken} tasks do not begin"
    time.sleep(seconds)


@contextmanager
def memory_limit(server: Server) -> Iterator[None]:
    """G6.2: an AI task grows over the limit that the guide began with, and the kernel ends it."""
    try:
        with memory(server, "celery-ai", LIMIT) as inside:
            body = json.dumps({"prompt": "grows", "megabytes": TOO_MUCH, "seconds": 2})
            server.post("/api/ai/music", body)
            logs = eventually(
                lambda: server.run(f"docker logs --since 60s {inside} 2>&1"),
                lambda found: "WorkerLostError" in found,
                PATIENCE,
            )
            assert "WorkerLostError" in logs, logs
            yield
    finally:
        recreated(server, "celery-ai")


@contextmanager
def cpu_quota(server: Server) -> Iterator[None]:
    """A worker that wants two cores and gets a seventh of one."""
    with quota(server, "celery", 0.15), trouble(server, "celery", "burn --processes 2"):
        time.sleep(3)
        yield


@contextmanager
def connection_leak(server: Server) -> Iterator[None]:
    """Thirty connections that the web container opened and forgot: more than its processes can own."""
    with trouble(server, "backend", "hold --connections 30 --state idle"):
        settled(30)
        yield


def settled(connections: int) -> None:
    """So long, and they are no more than two a second: many new ones are another cause."""
    time.sleep(connections / 2)


@contextmanager
def connection_storm(server: Server) -> Iterator[None]:
    """A connection for each request, forty times a second."""
    with trouble(server, "backend", "storm --rate 40"):
        time.sleep(10)
        yield


@contextmanager
def connections_exhausted(server: Server) -> Iterator[None]:
    """G6.3: every connection that the database has is in use."""
    most, used = (
        int(sql(server, question))
        for question in ("SHOW max_connections", "SELECT count(*) FROM pg_stat_activity WHERE datname <> ''")
    )
    # Each costs the database memory: its limit is not what is to be found.
    with memory(server, "postgres", "768M"):
        try:
            held = most - used - SPARE
            with trouble(server, "backend", f"hold --connections {held} --state active"):
                settled(held)
                yield
        finally:
            # A query that sleeps does not notice that nobody waits for it.
            sql(
                server,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'diagnose'",
            )
            time.sleep(2)


@contextmanager
def queue_unread(server: Server) -> Iterator[None]:
    """T5, T6: tasks go to a queue that no worker consumes, here Celery's own default."""
    with trouble(server, "backend", send(COVER, "celery", 1, keywords={}, number=30)):
        try:
            assert eventually(lambda: messages(server, "celery"), lambda found: found >= 30, PATIENCE) >= 30
            yield
        finally:
            server.compose("app", "exec -T rabbitmq rabbitmqctl -q delete_queue celery -p app")


@contextmanager
def retry_storm(server: Server) -> Iterator[None]:
    """Fifteen songs are offered to a store that is closed, each every second again."""
    offers = send(STORE, "default", 1, keywords={"closed": 8}, number=15)
    with trouble(server, "celery", offers):
        # As long as a few rounds take, and the exporter to hear of them.
        time.sleep(8)
        yield
    drained(server, 1)


@contextmanager
def log_flood(server: Server) -> Iterator[None]:
    with trouble(server, "celery", "write --rate 1500"):
        time.sleep(8)
        yield


@contextmanager
def noisy_neighbour(server: Server) -> Iterator[None]:
    """Twice as many busy loops as the server has cores, started by somebody else.

    Others on its machine would take the CPU from them, and so the share that makes them a finding.
    """
    quiet(server)
    with busy_loops(server, 4):
        yield


@contextmanager
def blocked_queries(server: Server) -> Iterator[None]:
    """A transaction that holds a table and does nothing, and four queries that wait for it."""
    with trouble(server, "celery", "lock --waiting 4"):
        time.sleep(6)
        yield


def process(server: Server, inside: str) -> int:
    """A container's first; 0 while it does not run."""
    return int(server.run(f"docker inspect -f '{{{{.State.Pid}}}}' {inside}"))


@contextmanager
def container_restarting(server: Server) -> Iterator[None]:
    """Beat ends four times, each time it is started again."""
    inside = container(server, "celery-beat")
    try:
        for _ in range(4):
            server.run(f"kill -9 {process(server, inside)}")
            # The engine has to see the death first.
            time.sleep(1)
            assert eventually(lambda: process(server, inside), bool, PATIENCE), "it is not started again"
        yield
    finally:
        recreated(server, "celery-beat")


CAUSES = {
    "connection-leak": Cause(connection_leak),
    "queue-unread": Cause(queue_unread),
    "noisy-neighbour": Cause(noisy_neighbour),
    "memory-limit": Cause(memory_limit, named=f"Its process was killed in task {AI_TASK}"),
    "task-outgrew-period": Cause(task_outgrew_period, {"periodic": [{"task": BOOKING, "seconds": 5}]}),
    "worker-concurrency": Cause(worker_concurrency),
    "cpu-quota": Cause(cpu_quota),
    "connection-storm": Cause(connection_storm),
    "connections-exhausted": Cause(connections_exhausted),
    "retry-storm": Cause(retry_storm),
    "log-flood": Cause(log_flood),
    "blocked-queries": Cause(blocked_queries),
    "container-restarting": Cause(container_restarting),
}
