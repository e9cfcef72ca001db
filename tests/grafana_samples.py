"""A small set of things for Grafana, with secrets that no output may show."""

from __future__ import annotations

import copy
from typing import Any

SECRETS = {
    "slack": "https://hooks.slack.com/services/T0/B0/canarySlackWebhook",
    "telegram": "123456789:canaryTelegramBotToken",
}
HOSTS = ("music-1", "music-2")


def dashboard(name: str, *panels: str) -> dict[str, Any]:
    return {
        "uid": f"soundcheck-{name}",
        "title": name.title(),
        "tags": ["soundcheck", "django"],
        "schemaVersion": 41,
        "panels": [{"id": number, "title": panel} for number, panel in enumerate(panels, 1)],
    }


def rule(name: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": f"soundcheck-{name}",
        "title": name,
        "condition": "B",
        "data": [
            {"refId": "A", "datasourceUid": "prometheus", "model": {"expr": "up", "refId": "A"}},
            {"refId": "B", "datasourceUid": "__expr__", "model": {"type": "threshold", "refId": "B"}},
        ],
        "noDataState": "NoData",
        "execErrState": "Error",
        "for": "120s",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "{{ $labels.host }}"},
        "isPaused": False,
        **more,
    }


def recording_rule(name: str) -> dict[str, Any]:
    return rule(name, record={"metric": "status:celery_tasks:total", "from": "A"}, labels={}, annotations={})


def arguments() -> dict[str, Any]:
    """Arguments of the module grafana_provisioning, apart from where Grafana is."""
    return copy.deepcopy(
        {
            "folder": {"uid": "soundcheck", "title": "Soundcheck"},
            "dashboards": [dashboard("django", "Requests", "Latency"), dashboard("celery", "Tasks")],
            "rule_groups": [
                {"title": "django", "interval": 60, "rules": [rule("cpu"), rule("memory")]},
                {"title": "celery / tasks", "interval": 60, "rules": [recording_rule("by-status")]},
            ],
            "contact_points": [
                {
                    "uid": "soundcheck-slack",
                    "name": "Soundcheck",
                    "type": "slack",
                    "settings": {"title": "{{ .CommonLabels.alertname }}"},
                    "secure_settings": {"url": SECRETS["slack"]},
                },
                {
                    "uid": "soundcheck-telegram",
                    "name": "Soundcheck",
                    "type": "telegram",
                    "settings": {"chatid": "-100200300"},
                    "secure_settings": {"bottoken": SECRETS["telegram"]},
                },
            ],
            "policy": {
                "receiver": "Soundcheck",
                "group_by": ["alertname", "host"],
                "group_wait": "30s",
                "repeat_interval": "240m",
                "routes": [
                    {
                        "receiver": "Soundcheck",
                        "object_matchers": [["severity", "=", "critical"]],
                        "repeat_interval": "60m",
                        "continue": False,
                    }
                ],
            },
            "owner": owner("music-1"),
        }
    )


def owner(host: str, environment: str = "test", inventory: tuple[str, ...] = HOSTS) -> dict[str, Any]:
    return {"environment": environment, "host": host, "inventory_hosts": list(inventory)}


def rules_of(host: str, environment: str = "test") -> dict[str, Any]:
    """The rule group of a host, as the catalogue names and labels it."""
    labels = {"severity": "critical", "environment": environment, "host": host}
    rules = [rule(f"{name}-{environment}-{host}", labels=labels) for name in ("cpu", "memory")]
    return {"title": f"soundcheck-{environment}-{host}-django", "interval": 60, "rules": rules}
