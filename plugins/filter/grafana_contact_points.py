"""Contact points as the modules grafana_provisioning and grafana_files take them: secrets apart.

Ansible hides an argument as a whole: were secrets and texts one dict, it would hide the texts everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

# Type -> its settings that Grafana encrypts (`secure` in GET /api/alert-notifiers).
SECURE = {
    "email": frozenset[str](),
    "slack": frozenset({"url", "token"}),
    "discord": frozenset({"url"}),
    "telegram": frozenset({"bottoken"}),
}


def grafana_contact_points(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Contact points in the shape of Grafana's provisioning API -> arguments of the modules."""
    return [_arguments(point) for point in points]


def _arguments(point: Mapping[str, Any]) -> dict[str, Any]:
    kind = point["type"]
    if kind not in SECURE:
        known = ", ".join(sorted(SECURE))
        raise AnsibleFilterError(f"contact point {point['uid']}: type `{kind}` is none of {known}")
    settings = point["settings"]
    return {
        "uid": point["uid"],
        "name": point["name"],
        "type": kind,
        "settings": {name: value for name, value in settings.items() if name not in SECURE[kind]},
        "secure_settings": {name: value for name, value in settings.items() if name in SECURE[kind]},
        "disable_resolve_message": bool(point.get("disableResolveMessage", False)),
    }


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"grafana_contact_points": grafana_contact_points}
