"""Show a host's diagnosis as people read it, and keep the bundles of its watch in a folder of the controller.

Arguments beyond the module's: `keep`, that folder. Without it, and in check mode, nothing is written here.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# A name comes from the host; it must not lead out of the folder.
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*\.json")


class ActionModule(ActionBase):
    """Controller side of `diagnosis`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        folder = arguments.pop("keep", "")
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if result.get("failed") or result.get("unreachable"):
            return result
        bundles = result["bundles"]
        if folder and bundles and not self._task.check_mode:
            keep(Path(folder), bundles)
        # What a bundle holds is read in its file; a report lists what it is about.
        result["bundles"] = [about(bundle["name"], bundle["content"]) for bundle in bundles]
        host = (task_vars or {}).get("inventory_hostname", "")
        self._display.display(result["text"] or f"    {host}: {result['problem']}")
        return result


def keep(folder: Path, bundles: list[dict[str, str]]) -> None:
    """Redacted as they are, bundles hold commands and log lines: they are for whoever runs this alone."""
    for bundle in bundles:
        if not NAME.fullmatch(bundle["name"]):
            raise AnsibleActionFail(
                f"bundle {bundle['name']!r}: a name such as 20261124T120000Z.json was expected"
            )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for bundle in bundles:
            descriptor = os.open(folder / bundle["name"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(bundle["content"])
    except OSError as error:
        raise AnsibleActionFail(f"{error.filename or folder}: {error.strerror}") from error


def about(name: str, content: str) -> dict[str, Any]:
    """When a bundle was taken, why, and the first of its findings; None for what it does not say."""
    try:
        bundle = json.loads(content)
        finding = next(iter(bundle["findings"]), None)
        return {
            "name": name,
            "taken_at": bundle["facts"]["taken_at"],
            "reasons": [str(reason) for reason in bundle["reasons"]],
            "finding": {key: finding[key] for key in ("id", "title", "confidence")} if finding else None,
        }
    except (KeyError, TypeError, ValueError):
        return {"name": name, "taken_at": None, "reasons": ["it cannot be read"], "finding": None}
