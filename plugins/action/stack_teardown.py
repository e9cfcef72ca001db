"""Say on the terminal what a teardown removes and what it keeps; the module does the work."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Controller side of `stack_teardown`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        if not result.get("failed"):
            verb = "would remove" if self._task.check_mode else "removed"
            lines = [f"{verb} {sentence}" for sentence in result["actions"]] or ["nothing to remove"]
            for line in [*lines, *(f"kept {sentence}" for sentence in result["kept"])]:
                self._display.display(f"    {line}")
        return result
