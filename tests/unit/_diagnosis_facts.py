"""A healthy server as the diagnosis sees it, and what turns it into each sick one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

M = 1024 * 1024

CONFIG: dict[str, Any] = {
    "schema": 1,
    "app_project": "app",
    "telemetry_project": "telemetry",
    "web": {
        "service": "backend",
        "port": 8000,
        "workers": 3,
        "threads": 1,
        "conn_max_age": 60,
        "memory": 600 * M,
    },
    "workers": [
        {"name": "celery", "queues": ["default"], "concurrency": 2, "pool": "prefork", "memory": 512 * M},
        {
            "name": "celery-ai",
            "queues": ["ai_queue"],
            "concurrency": 1,
            "pool": "prefork",
            "memory": 1024 * M,
        },
    ],
    "periodic": [{"task": "music.tasks.charts.update_realtime_chart", "seconds": 600}],
    "default_queue": "default",
    "routes": {
        "music.tasks.ai_music.generate_music_task": {"queue": "ai_queue"},
        "music.tasks.*": {"queue": "default"},
    },
    "database": {"kind": "embedded", "service": "postgres", "user": "app", "name": "app"},
    "index": {"table": "music_playlogs", "columns": ["played_at", "is_deleted", "music_id"], "statement": ""},
    "variables": {
        "backend": {"memory": "app_stack_backend_memory"},
        "celery": {
            "memory": "app_stack_workers[celery].memory",
            "concurrency": "app_stack_workers[celery].concurrency",
        },
        "celery-ai": {
            "memory": "app_stack_workers[celery-ai].memory",
            "concurrency": "app_stack_workers[celery-ai].concurrency",
        },
    },
}
CHART = "music.tasks.charts.update_realtime_chart"
SLOW = (
    "SELECT music_id, count(*) FROM music_playlogs WHERE played_at >= ? AND NOT is_deleted GROUP BY music_id"
)
CREATE = "CREATE INDEX CONCURRENTLY IF NOT EXISTS music_playlogs_x ON music_playlogs (is_deleted, played_at)"


def container(service: str, project: str = "app", **changed: Any) -> dict[str, Any]:
    return {
        "project": project,
        "service": service,
        "name": f"{project}-{service}-1",
        "id": f"{service:0<12}"[:12],
        "image": f"soundcheck/{service}:1",
        "status": "running",
        "health": "healthy",
        "started_seconds_ago": 86400.0,
        "restarts": 0,
        "oom_killed": False,
        "exit_code": 0,
        "cpu_percent": 4.0,
        "quota_cores": None,
        "throttled_percent": None,
        "memory": 200 * M,
        "memory_limit": 600 * M,
        "memory_peak": 300 * M,
        "oom_kills": 0,
        "pids": 5,
        "processes": [
            {
                "pid": 100,
                "command": f"{service} main",
                "cpu_percent": 3.0,
                "rss": 90 * M,
                "state": "S",
                "threads": 1,
            }
        ],
        "log": {"lines": 900, "bytes": 90_000, "per_second": 1.0, "errors": []},
        **changed,
    }


def kind(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "started": 1000,
        "succeeded": 980,
        "failed": 20,
        "retried": 10,
        "mean_seconds": 0.5,
        **changed,
    }


def queue(name: str, **changed: Any) -> dict[str, Any]:
    figures = {"ready": 3, "unacknowledged": 1, "consumers": 1, "published": 5000, "delivered": 5000}
    return {"name": name, **figures, **changed}


def connection(state: str, count: int, oldest: float, application: str = "backend") -> dict[str, Any]:
    return {
        "state": state,
        "application": application,
        "user": "app",
        "count": count,
        "oldest_seconds": oldest,
    }


def healthy() -> dict[str, Any]:
    """Two requests a second, a worker in a burst, an autovacuum, one failed task in fifty."""
    facts = {
        "schema": 1,
        "host": "web1",
        "taken_at": "2026-11-24T12:00:00Z",
        "interval": 1.2,
        "since_seconds": 900,
        "seconds": 2.9,
        "cpu_seconds": 0.4,
        "sections": {
            name: {"state": "ok", "seconds": 0.1, "problem": ""}
            for name in (
                "server",
                "containers",
                "processes",
                "logs",
                "tasks",
                "broker",
                "web",
                "database",
                "deploys",
            )
        },
        "server": {
            "cores": 2,
            "busy_percent": 45.0,
            "user_percent": 35.0,
            "system_percent": 10.0,
            "iowait_percent": 2.0,
            "steal_percent": 0.0,
            "load": [1.1, 0.9, 0.7],
            "memory": {
                "total": 4096 * M,
                "available": 1500 * M,
                "swap_total": 2048 * M,
                "swap_used": 300 * M,
                "swap_in_per_second": 0.0,
                "swap_out_per_second": 0.0,
            },
            "pressure": {name: {"some": 3.0, "full": 0.0} for name in ("cpu", "memory", "io")},
            "oom_kills": [],
            "oom_kills_total": 1,
            "disks": [{"mountpoint": "/", "percent": 40.0}],
            "uptime": 864000.0,
        },
        "containers": [
            container("backend", cpu_percent=12.0),
            container("celery", cpu_percent=95.0, memory_limit=512 * M),
            container("celery-ai", memory_limit=1024 * M),
            container("postgres", cpu_percent=20.0, memory_limit=256 * M, memory=150 * M),
            container("rabbitmq", memory_limit=300 * M, memory=160 * M),
            container("cadvisor", "telemetry", cpu_percent=30.0, quota_cores=0.25, throttled_percent=60.0),
            container("migrate", status="exited", health=None, started_seconds_ago=400.0, memory=None),
        ],
        "strangers": [
            {
                "pid": 700,
                "command": "/usr/sbin/dockerd -H fd://",
                "user": "root",
                "cpu_percent": 90.0,
                "rss": 80 * M,
                "unit": "docker.service",
            },
            {
                "pid": 701,
                "command": "python3 run.py soundcheck_diagnosis",
                "user": "root",
                "cpu_percent": 60.0,
                "rss": 20 * M,
                "unit": "",
            },
            {
                "pid": 702,
                "command": "/usr/bin/apt-get update",
                "user": "root",
                "cpu_percent": 30.0,
                "rss": 60 * M,
                "unit": "apt-daily.service",
            },
        ],
        "tasks": {
            "running": [
                {"id": "1", "name": CHART, "worker": "celery", "seconds": 0.4, "arguments": ""},
            ],
            "workers": [
                {"name": "celery", "queues": ["default"], "concurrency": 2, "running": 2, "reserved": 1},
                {"name": "celery-ai", "queues": ["ai_queue"], "concurrency": 1, "running": 0, "reserved": 0},
            ],
            "silent": [],
            "memory": [
                {
                    "name": CHART,
                    "runs": 9,
                    "mean": 66 * M,
                    "peak": 70 * M,
                    "last": [{"seconds_ago": 5.0, "memory": 66 * M}],
                }
            ],
            "killed": [],
            "kinds": [kind(CHART), kind("music.tasks.ai_music.generate_music_task", mean_seconds=4.0)],
            "queues": [
                queue("default", ready=9),
                queue("ai_queue"),
                queue("celeryev.1", ready=90, consumers=0),
            ],
        },
        "web": {
            "workers": [
                {"pid": pid, "busy": pid == 10, "cpu_percent": 4.0, "age": 4000.0} for pid in (10, 11, 12)
            ],
            "connections": 2,
            "configured": 3,
        },
        "database": {
            "max_connections": 100,
            "reserved": 3,
            "connections": [connection("active", 1, 0.1), connection("idle", 6, 4000.0)],
            "opened_total": 5000,
            "queries": [
                {
                    "pid": 50,
                    "seconds": 0.1,
                    "state": "active",
                    "wait": "",
                    "application": "backend",
                    "statement": "SELECT ?",
                    "blocked_by": [],
                },
                {
                    "pid": 51,
                    "seconds": 400.0,
                    "state": "active",
                    "wait": "",
                    "application": "",
                    "statement": "autovacuum: VACUUM ANALYZE music_playlogs",
                    "blocked_by": [],
                },
            ],
            "statements": [
                {"statement": SLOW, "calls": 90, "mean_ms": 20.0, "total_ms": 1800.0, "rows": 100}
            ],
            "table": {
                "name": "music_playlogs",
                "rows": 2_000_000,
                "bytes": 200 * M,
                "indexes": [{"name": "music_playlogs_pkey", "definition": "CREATE UNIQUE INDEX ... (id)"}],
                "seq_scans": 12,
                "seq_rows": 90,
                "index_scans": 4000,
            },
            "plan": None,
            "advice": None,
        },
        "deploys": [
            {
                "id": "20261123-2",
                "version": "2.0",
                "seconds_ago": 86400.0,
                "by": "kim",
                "result": "deployed",
                "reason": "",
            },
            {
                "id": "20261120-1",
                "version": "1.0",
                "seconds_ago": 400000.0,
                "by": "kim",
                "result": "deployed",
                "reason": "",
            },
        ],
    }
    return {**facts, "before": earlier(facts)}


def earlier(facts: dict[str, Any]) -> dict[str, Any]:
    """The counters of a minute before, as they rise under normal load."""
    tasks, database = facts["tasks"], facts["database"]
    return {
        "seconds_ago": 60.0,
        "kinds": {
            row["name"]: {
                "started": row["started"] - 50,
                "succeeded": row["succeeded"] - 49,
                "failed": row["failed"] - 1,
                "retried": row["retried"] - 1,
            }
            for row in tasks["kinds"]
        },
        "queues": {
            row["name"]: {"ready": row["ready"], "published": row["published"] - 60}
            for row in tasks["queues"]
        },
        "containers": {
            row["id"]: {"restarts": row["restarts"], "oom_kills": row["oom_kills"], "memory": row["memory"]}
            for row in facts["containers"]
        },
        "database": {"opened_total": database["opened_total"] - 12, "connections_by_state": {"idle": 6}},
        "oom_kills_total": facts["server"]["oom_kills_total"],
        "table": {"seq_scans": 12},
    }


def service(facts: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in facts["containers"] if row["service"] == name)
    return found


def sick(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Healthy facts after a change."""
    facts = copy.deepcopy(healthy())
    change(facts)
    return facts
