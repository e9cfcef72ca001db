"""A test message through each contact point of Grafana, by its own test API.

Grafana up to 12 tests at /api/alertmanager/grafana/config/api/v1/receivers/test. Grafana 13 answers 410
there and tests at the resource API notifications.alerting.grafana.app, below the namespace of the stack. Both
take the whole settings, so that what is tested is what the inventory says, also before it is provisioned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .notification_asking import Answer, Ask, Outcome, explained

OLD = "/api/alertmanager/grafana/config/api/v1/receivers/test"
NEW = "/apis/notifications.alerting.grafana.app/v1beta1/namespaces/{namespace}/receivers/-/test"
GONE = (404, 410)
TOLD = "delivered: Grafana sent it and the service took it"
REFUSALS = {
    401: "Grafana does not know the token: vault_grafana_token is wrong or expired",
    403: "the service account may not test contact points: give it the role Editor, or the permission"
    " alert.notifications.receivers.test:create",
}


def outcomes(
    ask: Ask, contact_points: Iterable[Mapping[str, Any]], alert: Mapping[str, Any]
) -> list[Outcome]:
    """Test each contact point alone; `contact_points` as for the provisioning API."""
    return [_outcome(ask, point, alert) for point in contact_points]


def _outcome(ask: Ask, point: Mapping[str, Any], alert: Mapping[str, Any]) -> Outcome:
    name = str(point["name"])
    integration = {
        "type": point["type"],
        "settings": point["settings"],
        "disableResolveMessage": point["disableResolveMessage"],
    }
    old = ask("POST", OLD, {"receivers": [_receiver(name, integration)], "alert": alert})
    if old.status not in GONE:
        return _judged(name, old, _old_error(old))
    settings = ask("GET", "/api/frontend/settings", None)
    namespace = settings.json.get("namespace") if isinstance(settings.json, dict) else None
    if not namespace:
        return Outcome(name, False, f"this Grafana does not tell its namespace: {explained(settings)}")
    path = NEW.format(namespace=namespace)
    new = ask("POST", path, {"integration": {**integration, "version": "v1"}, "alert": alert})
    if new.status in GONE:
        return Outcome(name, False, "this Grafana has no API to test contact points: use its button Test")
    return _judged(name, new, _new_error(new))


def _receiver(name: str, integration: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "grafana_managed_receiver_configs": [{"name": name, **integration}]}


def _judged(name: str, answer: Answer, error: str | None) -> Outcome:
    """`error` is None where the answer is no outcome at all, and empty where the message was delivered."""
    if error is None:
        return Outcome(name, False, REFUSALS.get(answer.status, explained(answer)))
    return Outcome(name, not error, error or TOLD)


def _old_error(answer: Answer) -> str | None:
    """Also the answers 207, 400 and 408 tell what became of each integration."""
    data = answer.json
    if not isinstance(data, dict) or not isinstance(data.get("receivers"), list):
        return None
    configs = [
        config
        for receiver in data["receivers"]
        for config in receiver.get("grafana_managed_receiver_configs") or []
    ]
    if not configs:
        return None
    failed = [config for config in configs if config.get("status") != "ok"]
    return _line(failed[0].get("error"), failed[0].get("status")) if failed else ""


def _new_error(answer: Answer) -> str | None:
    data = answer.json
    if answer.status != 200 or not isinstance(data, dict) or "status" not in data:
        return None
    return "" if data["status"] == "success" else _line(data.get("error"), data["status"])


def _line(error: object, status: object) -> str:
    return " ".join(str(error or f"status {status}").split())[:300]
