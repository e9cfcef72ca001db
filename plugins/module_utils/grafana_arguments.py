"""What the modules grafana_provisioning and grafana_files both take, in the terms of an argument spec."""

from __future__ import annotations

from typing import Any

FOLDER = {"uid": {"type": "str", "required": True}, "title": {"type": "str", "required": True}}
GROUP = {
    "title": {"type": "str", "required": True},
    "interval": {"type": "int", "required": True},
    "rules": {"type": "list", "elements": "dict", "required": True},
}
CONTACT_POINT = {
    "uid": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "settings": {"type": "dict", "default": {}},
    "secure_settings": {"type": "dict", "default": {}, "no_log": True},
    "disable_resolve_message": {"type": "bool", "default": False},
}
OWNER = {
    "environment": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "inventory_hosts": {"type": "list", "elements": "str", "required": True},
}
CONTENT: dict[str, dict[str, Any]] = {
    "folder": {"type": "dict", "required": True, "options": FOLDER},
    "dashboards": {"type": "list", "elements": "dict", "default": []},
    "rule_groups": {"type": "list", "elements": "dict", "default": [], "options": GROUP},
    "contact_points": {"type": "list", "elements": "dict", "default": [], "options": CONTACT_POINT},
    "policy": {"type": "dict"},
    "owner": {"type": "dict", "required": True, "options": OWNER},
    "shared": {"type": "bool", "default": True},
}
