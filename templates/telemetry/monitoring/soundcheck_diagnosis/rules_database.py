"""What PostgreSQL suffers from: scans, locks, and connections."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from soundcheck_diagnosis.evidence import (
    Look,
    duration,
    known,
    literal,
    number,
    part,
    quoted,
    rows,
    size_or_unknown,
    text,
)
from soundcheck_diagnosis.finding import HIGH, MEDIUM, Found, Remedy
from soundcheck_diagnosis.words import say

# What an index can spare a scan; a vacuum or a copy reads the whole table by intention.
_READING = ("SELECT", "WITH", "UPDATE", "DELETE", "DECLARE")


def missing_index(look: Look) -> Iterator[Found]:
    """A slow statement reads a large table as a whole, and an index would spare it that (G6.1)."""
    database = part(look.facts, "database")
    table, advice = part(database, "table"), part(database, "advice")
    name = text(table, "name")
    if not name or not text(advice, "sql"):
        return
    named = re.compile(rf"(?<!\w){re.escape(name.rpartition('.')[2].strip(chr(34)))}(?!\w)")
    slow = [
        row
        for row in rows(database, "statements")
        if named.search(text(row, "statement")) and look.over(number(row, "mean_ms"), "slow_statement_ms")
    ]
    now = [
        row
        for row in rows(database, "queries")
        if named.search(text(row, "statement"))
        and text(row, "statement").upper().startswith(_READING)
        and text(row, "state") == "active"
        and not row.get("blocked_by")
        and look.over(number(row, "seconds"), "slow_query")
    ]
    scans = look.rise(table, "seq_scans", "table")
    if not slow and not now:
        return
    evidence = [
        say(
            "Table {table} has {rows} rows and no index that its query can use",
            table=name,
            rows=number(table, "rows"),
        ),
        *(
            say(
                "Running for {time}: {statement}",
                time=duration(number(row, "seconds")),
                statement=text(row, "statement"),
            )
            for row in now[:1]
        ),
        *(
            say(
                "{statement}: {calls} calls, {mean} ms on average",
                statement=text(row, "statement"),
                calls=number(row, "calls"),
                mean=number(row, "mean_ms"),
            )
            for row in slow[:1]
        ),
    ]
    if scans:
        evidence.append(
            say("Read as a whole {scans} times in the last {time}", scans=scans, time=duration(look.elapsed))
        )
    if known(advice, "rows_matching"):
        evidence.append(say("Of them {rows} rows match the query", rows=number(advice, "rows_matching")))
    yield Found(
        name,
        say("Table {table} lacks an index", table=name),
        evidence,
        HIGH if now or scans else MEDIUM,
        1.0 if now else 0.8,
        Remedy(
            say(
                "Create the index: playbooks/diagnose.yml -e apply=index, or by hand; it needs about {size}",
                size=size_or_unknown(number(advice, "bytes")),
            ),
            sql=text(advice, "sql"),
        ),
    )


_BLOCKED = (
    "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity"
    " WHERE cardinality(pg_blocking_pids(pid)) > 0;"
)


def blocked_queries(look: Look) -> Iterator[Found]:
    """Queries wait for a lock that another session holds."""
    queries = rows(look.facts, "database", "queries")
    waiting = {number(row, "pid"): row for row in queries if row.get("blocked_by")}
    long = [row for row in waiting.values() if look.over(number(row, "seconds"), "blocked")]
    if not long:
        return
    holders = {
        int(pid)
        for row in waiting.values()
        for pid in row["blocked_by"]
        if isinstance(pid, int) and pid > 0 and pid not in waiting
    }
    by_pid = {number(row, "pid"): row for row in queries}
    first = min(holders, key=lambda pid: -known(by_pid.get(pid, {}), "seconds"), default=None)
    holder = by_pid.get(first, {}) if first is not None else {}
    yield Found(
        "database",
        say("Queries wait for a lock"),
        [
            say(
                "{count} queries wait, the longest for {time}: {statement}",
                count=len(waiting),
                time=duration(max(known(row, "seconds") for row in long)),
                statement=text(long[0], "statement"),
            ),
            say(
                "Session {pid} of {application} holds it ({state} for {time}): {statement}",
                pid=first,
                application=text(holder, "application") or None,
                state=text(holder, "state") or None,
                time=duration(number(holder, "seconds")),
                statement=text(holder, "statement") or None,
            ),
        ],
        HIGH if first is not None else MEDIUM,
        min(1.0, 0.8 + len(waiting) / 100),
        Remedy(
            say("End the session that holds the lock"),
            sql=_BLOCKED if first is None else f"SELECT pg_terminate_backend({first});",
            app=say("Keep transactions short: no slow call between the first write and the commit"),
        ),
    )


def connection_leak(look: Look) -> Iterator[Found]:
    """Connections that nobody uses stay: transactions left open, or more than the app's processes can own."""
    keep = number(part(look.config, "web"), "conn_max_age") or 0.0
    old = max(2 * keep, 60.0)
    open_transactions = [
        row for row in look.connections("idle in transaction") if known(row, "oldest_seconds") >= old
    ]
    left_open = sum(known(row, "count") for row in open_transactions)
    idle = look.connections("idle")
    owned = look.connections_at_most()
    count = sum(known(row, "count") for row in idle)
    surplus = 0.0 if owned is None else count - owned - look.limits["connections_over"]
    aged = any(known(row, "oldest_seconds") >= old for row in idle)
    open_ones = look.over(left_open, "leaked")
    if not open_ones and surplus <= 0:
        return
    most = max(open_transactions if open_ones else idle, key=lambda row: known(row, "count"))
    user = text(most, "user")
    yield Found(
        text(most, "application") or user,
        say("Connections to the database are opened and never closed"),
        [
            say(
                "Idle connections: {count}; web threads and worker slots can own {owned}",
                count=count,
                owned=owned,
            ),
            say("Idle in transaction for over {old}: {count}", old=duration(old), count=left_open),
            say(
                "Most belong to {application} (user {user}), the oldest for {time}",
                user=user,
                application=text(most, "application") or None,
                time=duration(number(most, "oldest_seconds")),
            ),
        ],
        HIGH if open_ones or aged or surplus > (owned or 0) else MEDIUM,
        min(1.0, 0.5 + count / 100),
        Remedy(
            say("End what was left open, and let PostgreSQL end it from now on"),
            sql=_ending("idle in transaction" if open_ones else "idle", user, int(old)),
            app=say(
                "Close connections that threads and scripts open outside a request (close_old_connections),"
                " and commit before slow calls"
            ),
        ),
    )


def _ending(state: str, user: str, seconds: int) -> str:
    """Ends what idles now; transactions left open, PostgreSQL may end from then on."""
    who = f" AND usename = {literal(user)}" if user else ""
    now = (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = {literal(state)}{who}"
        f" AND state_change < now() - interval '{seconds} s';"
    )
    if state != "idle in transaction" or not user:
        return now
    return f"{now} ALTER ROLE {quoted(user)} SET idle_in_transaction_session_timeout = '{seconds}s';"


def connection_storm(look: Look) -> Iterator[Found]:
    """Connections are opened all the time instead of being kept.

    Celery closes Django's connections before each run of a task unless CELERY_DB_REUSE_MAX is set, so one for
    each is no storm.
    """
    rate = look.per_second(part(look.facts, "database"), "opened_total", "database")
    by_tasks = look.runs_per_second()
    if rate is None or not look.over(rate - by_tasks, "opened_rate"):
        return
    keep = number(part(look.config, "web"), "conn_max_age")
    ages = [number(row, "age") for row in rows(look.facts, "web", "workers")]
    young = [age for age in ages if age is not None and age < 60]
    recycled = bool(young) and len(young) * 2 > len(ages)
    if keep == 0:
        remedy = Remedy(
            say("Keep connections open between requests"),
            variable=look.variable("database", "conn_max_age", "app_stack_database_conn_max_age"),
            current=0,
            proposed=60,
        )
    elif recycled:
        remedy = Remedy(
            say("Recycle web workers less often"),
            variable=look.variable("backend", "max_requests", "app_stack_backend_max_requests"),
            proposed=10000,
        )
    else:
        remedy = Remedy(
            say("Find what opens them; the app's own connections are kept for {keep}", keep=duration(keep)),
            app=say("Reuse one connection in scripts and threads instead of opening one for each query"),
        )
    yield Found(
        "database",
        say("New connections to the database are opened all the time"),
        [
            say(
                "{rate} new connections/s in the last {time}, where {runs} tasks/s began",
                rate=rate,
                time=duration(look.elapsed),
                runs=by_tasks,
            ),
            say(
                "Web workers younger than a minute: {young} of {all}; CONN_MAX_AGE is {keep}",
                young=len(young),
                all=len(ages),
                keep=duration(keep),
            ),
        ],
        HIGH,
        min(1.0, rate / 50 + 0.3),
        remedy,
    )


_WHO = (
    "SELECT application_name, usename, state, count(*) FROM pg_stat_activity"
    " GROUP BY 1, 2, 3 ORDER BY 4 DESC;"
)
_REFUSALS = (
    "too many clients",
    "remaining connection slots",
    "connection pool exhausted",
    "too many connections",
)


def connections_exhausted(look: Look) -> Iterator[Found]:
    """The database has hardly a connection left to give, or refused one (G6.3)."""
    free, most = look.connections_free(), look.connections_at_most()
    count = sum(known(row, "count") for row in look.connections())
    used = 100 * count / free if free else None
    refused = [
        error
        for row in look.containers()
        for error in rows(row, "log", "errors")
        if any(sign in text(error, "text").lower() for sign in _REFUSALS)
    ]
    if not look.over(used, "connections_used"):
        return
    fits = most is not None and free is not None and most <= free
    workers, threads = (number(part(look.config, "web"), key) for key in ("workers", "threads"))
    fewer = None
    if not fits and most is not None and free is not None and workers and threads:
        fewer = max(1, math.floor((free - (most - workers * threads)) / threads))
        fewer = fewer if fewer < workers else None
    evidence = [
        say("Connections: {count} of {free} ({used} %)", count=count, free=free, used=used),
        say("With the present settings the app opens {most} at most", most=most),
    ]
    if refused:
        evidence.append(say("In the logs: {text}", text=text(refused[0], "text")))
    yield Found(
        "database",
        say("The database has hardly a connection left"),
        evidence,
        HIGH if refused or (used or 0) >= 95 else MEDIUM,
        min(1.0, (used or 0) / 100),
        Remedy(
            say("The settings fit: look for what else opens connections")
            if fits
            else say("Let the settings open fewer connections than the database gives"),
            variable=look.variable("backend", "workers", "app_stack_backend_workers") if fewer else "",
            current=workers,
            proposed=fewer,
            sql=_WHO if fits else "",
        ),
    )
