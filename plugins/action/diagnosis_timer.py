"""Have the timer of the watch run, or not; a host whose timer stands as it is wanted is not asked again.

Arguments beyond the module's: `timer`, what host_survey said of it in this run, and `actions`, what
compose_project did, which may have written the units. Where systemd does not run, a line says that nobody
watches, with the variable that ends the line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.plugins.action import ActionBase

# Ansible ships module_utils to hosts but does not make the project's own importable on the controller.
_MODULE_UTILS = str(Path(__file__).resolve().parents[1] / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_MODULE_UTILS)

from ansible.module_utils.preflight_values import truth  # noqa: E402
from ansible.module_utils.watch_units import UNITS, settled  # noqa: E402


class ActionModule(ActionBase):
    """Controller side of `diagnosis_timer`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        wanted = {
            "directory": str(self._task.args["directory"]),
            "enabled": truth(self._task.args["enabled"]),
        }
        timer = self._task.args["timer"]
        if timer is None:
            if wanted["enabled"]:
                self._display.display(
                    "    the watch is not started: it needs systemd, which does not run this host; "
                    "diagnostics_watch_enabled: false says that none is wanted"
                )
            return {**result, "changed": False}
        wrote = any(
            action == f"wrote monitoring/{unit}" for action in self._task.args["actions"] for unit in UNITS
        )
        if settled(timer, **wanted) and not (wanted["enabled"] and wrote):
            return {**result, "changed": False}
        return {**result, **self._execute_module(module_args=wanted, task_vars=task_vars)}
