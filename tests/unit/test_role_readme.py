"""The generator of the roles' READMEs. `make lint` asks whether those of the repository are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import role_readme

SPEC = """\
---
argument_specs:
  main:
    short_description: Counts sheep
    description:
      - Needs C(sheep) and O(counter_fence), see L(the page, https://example.com/a_b).
      - B(Never) counts I(twice).
    options:
      counter_fence:
        type: str
        choices: [wood, wire]
        description: What they jump over.
      counter_pattern:
        type: str
        description: Regular expression of their names.
      counter_flock:
        type: list
        elements: dict
        required: true
        description: The sheep.
        options:
          name: {type: str, required: true, description: Its name.}
          age: {type: int, default: 3, description: Years.}
      night:
        type: bool
        description: Of the inventory.
"""
DEFAULTS = """\
---
counter_fence: wood
counter_pattern: ^(dolly|shaun)$
"""
META = """\
---
dependencies:
  - role: meadow
"""
VARS = """\
---
counter_services: {}
_counter_private: 1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, content in {
        "meta/argument_specs.yml": SPEC,
        "meta/main.yml": META,
        "defaults/main.yml": DEFAULTS,
        "vars/main/all.yml": VARS,
    }.items():
        target = tmp_path / "roles" / "counter" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return tmp_path


def write(root: Path) -> str:
    assert role_readme.main([], root) == 0
    return (root / "roles/counter/README.md").read_text(encoding="utf-8")


def test_readme_is_the_spec_in_prose_and_one_table(root: Path) -> None:
    assert write(root) == "\n".join(
        [
            "# counter",
            "",
            role_readme.MARK,
            "",
            "Counts sheep.",
            "",
            "Needs `sheep` and `counter_fence`, see [the page](https://example.com/a_b).",
            "",
            "**Never** counts *twice*.",
            "",
            "## Variables",
            "",
            "| variable | type | default | meaning |",
            "|---|---|---|---|",
            "| `counter_fence` | str | `wood` | What they jump over. One of `wood`, `wire`. |",
            "| `counter_pattern` | str | `^(dolly\\|shaun)$` | Regular expression of their names. |",
            "| `counter_flock` | list of dict | **required** | The sheep. |",
            "| `counter_flock[].name` | str | **required** | Its name. |",
            "| `counter_flock[].age` | int | `3` | Years. |",
            "| `night` | bool |  | Of the inventory. |",
            "",
            "## What it gives to the play",
            "",
            "`counter_services`",
            "",
            "## Builds on",
            "",
            "[meadow](../meadow/README.md)",
            "",
        ]
    )


def test_check_writes_nothing_and_names_what_is_out_of_date(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert role_readme.main(["--check"], root) == 1
    assert "roles/counter/README.md: out of date; run tools/role_readme.py" in capsys.readouterr().err
    assert not (root / "roles/counter/README.md").exists()

    write(root)
    assert role_readme.main(["--check"], root) == 0

    (root / "roles/counter/defaults/main.yml").write_text("counter_fence: wire\ncounter_pattern: x\n")
    assert role_readme.main(["--check"], root) == 1


def test_second_run_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root)
    capsys.readouterr()

    write(root)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (DEFAULTS + "counter_wolf: 1\n", "roles/counter: counter_wolf has a default and no entry"),
        (
            "counter_fence: wood\n",
            "roles/counter: counter_pattern has neither a default nor `required: true`",
        ),
    ],
)
def test_defaults_and_spec_that_contradict_each_other_are_named(
    root: Path, capsys: pytest.CaptureFixture[str], defaults: str, message: str
) -> None:
    (root / "roles/counter/defaults/main.yml").write_text(defaults, encoding="utf-8")

    assert role_readme.main([], root) == 1
    assert message in capsys.readouterr().err


def test_long_default_stays_in_its_file(root: Path) -> None:
    (root / "roles/counter/defaults/main.yml").write_text(
        f"counter_fence: {'wood ' * 30}\ncounter_pattern: x\n"
    )

    assert "| `counter_fence` | str | [see the file](defaults/main.yml) |" in write(root)
