"""What the rules compare with. Each may be set as diagnostics_thresholds: {name: number}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Threshold:
    default: float
    unit: str
    reason: str


THRESHOLDS: dict[str, Threshold] = {
    "cpu_busy": Threshold(80, "% of all cores", "the guide's alert G3.1"),
    "cpu_pressure": Threshold(20, "% of time", "a burst of a second or two does not reach it in ten seconds"),
    "load_per_core": Threshold(
        0.7, "processes per core", "the same where the kernel has no pressure figures"
    ),
    "stranger_cpu": Threshold(
        50, "% of a core", "what a cron job or a package upgrade needs is less, or short"
    ),
    "stranger_share": Threshold(
        25, "% of all cores", "below it the stack has three quarters of the server left"
    ),
    "stranger_share_high": Threshold(40, "% of all cores", "more than any part of the stack takes in peace"),
    "throttled": Threshold(25, "% of periods", "short bursts are throttled too; one period of four is felt"),
    "quota_used": Threshold(
        80, "% of the quota", "a container far below its quota is throttled by bursts alone"
    ),
    "memory_used": Threshold(
        90, "% of the limit", "what is left is less than one more task or request needs"
    ),
    "memory_available": Threshold(5, "% of memory", "the kernel reclaims all the time below"),
    "memory_pressure": Threshold(
        10, "% of time", "tasks that wait for memory for a tenth of the time are slow"
    ),
    "swap_traffic": Threshold(
        1024 * 1024, "bytes/s", "swapped out memory at rest is harmless, traffic is not"
    ),
    "slow_statement_ms": Threshold(
        100, "ms", "a scan of a million rows in memory; an index answers in a few"
    ),
    "slow_query": Threshold(2, "s", "the guide's slow query G2.D3"),
    "blocked": Threshold(5, "s", "locks of a healthy application are held for milliseconds"),
    "connections_used": Threshold(
        85, "% of what is free to use", "a rollout opens a second set of connections"
    ),
    "connections_over": Threshold(5, "connections", "a person's session, the exporter, this tool"),
    "leaked": Threshold(3, "connections", "one transaction left open is a person's, three are a program's"),
    "opened_rate": Threshold(5, "connections/s", "at 60 s of CONN_MAX_AGE a busy process opens one a minute"),
    "queue_ready": Threshold(10, "messages", "a burst of a beat schedule, taken within seconds"),
    "queue_ready_high": Threshold(100, "messages", "this many are a backlog whether or not they grow"),
    "unread_ready": Threshold(1, "messages", "without a consumer, not even one is ever read"),
    "retry_rate": Threshold(10, "retries/min", "a task that fails now and then is tried again once or twice"),
    "retry_share": Threshold(0.5, "retries per success", "half of the work is repetition"),
    "retry_total": Threshold(100, "retries", "asked of the totals where no earlier look exists"),
    "log_lines": Threshold(50, "lines/s", "ten lines for each of five requests"),
    "log_bytes": Threshold(
        100 * 1024, "bytes/s", "fills the 30M that a container's logs may hold in five minutes"
    ),
    "error_rate": Threshold(5, "error lines/min", "above what a task that fails once in fifty times writes"),
    "error_count": Threshold(5, "error lines", "a rate needs more than the first errors of a start"),
    "restarts": Threshold(3, "restarts", "asked of the total where no earlier look exists"),
    "deploy": Threshold(900, "s", "what a release breaks shows within its first quarter of an hour"),
    "rollout": Threshold(180, "s", "old and new containers live beside each other; consumers come and go"),
    "period_used": Threshold(1, "runs per period", "a run must end before the next one begins"),
}


def of(config: Mapping[str, Any]) -> dict[str, float]:
    """Every threshold: the configured number, else the default."""
    given = config.get("thresholds") or {}
    return {
        name: float(given[name])
        if isinstance(given.get(name), int | float) and not isinstance(given[name], bool)
        else threshold.default
        for name, threshold in THRESHOLDS.items()
    }
