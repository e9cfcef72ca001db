"""What the action plugin makes of a file before it goes to the host."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from plugins.action.compose_project import ActionModule

PROGRAM = "print(f'{{{name}}} {{%}} {{#}}')\n"


def content(entry: dict[str, Any], templates: Path) -> str:
    templar = SimpleNamespace(template=lambda source, **_: f"rendered {source}")
    return ActionModule.__new__(ActionModule)._content({"path": "a", **entry}, str(templates), templar)


def test_only_what_is_named_a_template_is_rendered(tmp_path: Path) -> None:
    for name in ("run.py", "run.py.j2"):
        (tmp_path / name).write_text(PROGRAM, encoding="utf-8")
    assert content({"template": "run.py"}, tmp_path) == PROGRAM
    assert content({"template": "run.py.j2"}, tmp_path) == f"rendered {PROGRAM}"
    assert content({"content": "as given"}, tmp_path) == "as given"


def test_a_file_without_its_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"a: there is no template .*none\.j2"):
        content({"template": "none.j2"}, tmp_path)
