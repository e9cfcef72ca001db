"""`compose_project` up to where it would reach a host: renders, and writes to a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plugins.action import compose_project


class ActionModule(compose_project.ActionModule):
    """The rendering is the project's own; only what happens to the files differs."""

    def _execute_module(self, *, module_args: dict[str, Any], **_: Any) -> dict[str, Any]:
        directory = Path(module_args["directory"])
        changed = []
        for entry in module_args["files"] + module_args["secret_files"]:
            path = directory / entry["path"]
            if not path.exists() or path.read_text(encoding="utf-8") != entry["content"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(entry["content"], encoding="utf-8")
                path.chmod(int(entry.get("mode", "0644"), 8))
                changed.append(entry["path"])
        return {"changed": bool(changed), "written": changed}
