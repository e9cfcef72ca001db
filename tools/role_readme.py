#!/usr/bin/env python3
"""Write roles/*/README.md from each role's meta/argument_specs.yml, defaults and vars.

    tools/role_readme.py           write what differs
    tools/role_readme.py --check   write nothing; exit 1 and name what differs

Both exit 1 when a default has no entry in the spec, or a role's variable neither a default nor `required`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- Written by tools/role_readme.py from meta/argument_specs.yml and defaults/main.yml. -->"
LONGEST_DEFAULT = 80


@dataclass
class Role:
    """What the files of one role say."""

    name: str
    spec: Mapping[str, Any]
    defaults: Mapping[str, Any]
    # The file of each default.
    files: Mapping[str, str]
    gives: list[str] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Role:
        specs = _yaml(folder / "meta" / "argument_specs.yml")
        meta = _yaml(folder / "meta" / "main.yml")
        variables: dict[str, Any] = {}
        for path in sorted((folder / "vars").rglob("*.yml")):
            variables |= _yaml(path)
        defaults: dict[str, Any] = {}
        files: dict[str, str] = {}
        for path in sorted((folder / "defaults").rglob("*.yml")):
            held = _yaml(path)
            defaults |= held
            files |= dict.fromkeys(held, path.relative_to(folder).as_posix())
        return cls(
            name=folder.name,
            spec=specs["argument_specs"]["main"],
            defaults=defaults,
            files=files,
            gives=[name for name in variables if not name.startswith("_")],
            dependencies=[entry["role"] for entry in meta.get("dependencies") or []],
        )

    def problems(self) -> list[str]:
        """Where defaults and spec contradict the rule that a role's variable is required or has a default.

        An option without the role's prefix is the inventory's, and some inventories do without it.
        """
        options = self.spec.get("options") or {}
        found = [
            f"roles/{self.name}: {name} has a default and no entry in meta/argument_specs.yml"
            for name in self.defaults
            if name not in options
        ]
        for name, option in options.items():
            own = name.startswith(f"{self.name}_")
            if own and name not in self.defaults and not option.get("required"):
                found.append(f"roles/{self.name}: {name} has neither a default nor `required: true`")
        return found

    def readme(self) -> str:
        blocks = [f"# {self.name}", MARK, f"{_prose(self.spec['short_description'])}."]
        blocks += [_prose(paragraph) for paragraph in _list(self.spec.get("description"))]
        rows = list(self._rows())
        if rows:
            table = ["| variable | type | default | meaning |", "|---|---|---|---|", *rows]
            blocks += ["## Variables", "\n".join(table)]
        if self.gives:
            blocks += ["## What it gives to the play", ", ".join(f"`{name}`" for name in self.gives)]
        if self.dependencies:
            roles = ", ".join(f"[{name}](../{name}/README.md)" for name in self.dependencies)
            blocks += ["## Builds on", roles]
        return "\n\n".join(blocks) + "\n"

    def _rows(self) -> Iterator[str]:
        for name, option in (self.spec.get("options") or {}).items():
            default = "**required**" if option.get("required") else ""
            if name in self.defaults:
                default = _default(self.defaults[name], self.files[name])
            yield from _option_rows(name, option, default)


def _option_rows(name: str, option: Mapping[str, Any], default: str) -> Iterator[str]:
    """One row for an option, and one for each option inside it."""
    kind = option.get("type", "str")
    if "elements" in option:
        kind += f" of {option['elements']}"
    words = [_prose(paragraph) for paragraph in _list(option.get("description"))]
    if "choices" in option:
        words.append("One of " + ", ".join(f"`{_word(choice)}`" for choice in option["choices"]) + ".")
    yield _row(f"`{name}`", kind, default, " ".join(words))
    inside = f"{name}[]" if option.get("type") == "list" else name
    for key, inner in (option.get("options") or {}).items():
        given = _default(inner["default"], "meta/argument_specs.yml") if "default" in inner else ""
        yield from _option_rows(f"{inside}.{key}", inner, "**required**" if inner.get("required") else given)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any, file: str) -> str:
    """A default as inventory files write it; a long one stays in the file where it can be read."""
    text = " ".join(_word(value).split())
    if len(text) > LONGEST_DEFAULT:
        return f"[see the file]({file})"
    return f"`{text}`" if text else '`""`'


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _prose(text: str) -> str:
    """Ansible's documentation markup as Markdown."""
    text = " ".join(text.split())
    text = re.sub(r"\b[COVE]\(([^()]*)\)", r"`\1`", text)
    text = re.sub(r"\bB\(([^()]*)\)", r"**\1**", text)
    text = re.sub(r"\bI\(([^()]*)\)", r"*\1*", text)
    return re.sub(r"\bL\(([^(),]*), *([^()]*)\)", r"[\1](\2)", text)


def _list(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Write the README of every role from its argument specs.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 when a README is out of date"
    )
    check = parser.parse_args(arguments).check

    problems: list[str] = []
    for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        role = Role.load(path.parents[1])
        problems += role.problems()
        readme = path.parents[1] / "README.md"
        wanted = role.readme()
        if readme.exists() and readme.read_text(encoding="utf-8") == wanted:
            continue
        if check:
            problems.append(f"{readme.relative_to(root)}: out of date; run tools/role_readme.py")
        else:
            readme.write_text(wanted, encoding="utf-8")
            print(f"{readme.relative_to(root)}: written")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
