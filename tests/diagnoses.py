"""A small diagnosis as the tool of a host writes it, for tests of what is made of it."""

from __future__ import annotations

from typing import Any

HOSTILE = "<script>alert('x')</script>\"&"


def facts(**more: Any) -> dict[str, Any]:
    """Of a host with two deploys and a database."""
    sections = {"server": {"state": "ok", "seconds": 0.1, "problem": ""}}
    return {
        "schema": 1,
        "host": "web1",
        "taken_at": "2026-11-24T12:00:00Z",
        "sections": sections,
        "server": {"busy_percent": 97.4, "memory": {"total": 8_000_000, "available": 2_000_000}},
        "database": {
            "max_connections": 100,
            "connections": [{"state": "idle", "count": 60}, {"state": "active", "count": 5}],
        },
        "deploys": [{"id": "2", "version": "v2", "seconds_ago": 600}, {"id": "1", "seconds_ago": 86400}],
        **more,
    }


def finding(identifier: str = "missing-index", confidence: str = "high", **more: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "title": "An index is missing",
        "confidence": confidence,
        "score": 0.9,
        "evidence": ["1990000 rows read for 120 that match"],
        "remedy": {
            "say": "Make the index.",
            "sql": "CREATE INDEX CONCURRENTLY played ON music_playlogs (played_at)",
        },
        "about": "music_playlogs",
        **more,
    }


def result(*findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the module diagnosis returns, after its action plugin."""
    return {
        "state": "findings" if findings else "clean",
        "problem": "",
        "document": {"facts": facts(), "findings": list(findings)},
        "findings": list(findings),
        "text": "WEB1\n  CPU 97 %\n",
        "bundles": [],
        "bundles_left": 0,
        **more,
    }
