"""What a newcomer meets first: make, the tools it installs, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.render import ROOT
from tools.test_summary import count, line

TARGETS = [
    *("help", "deploy", "verify", "test", "serverless", "lint", "unit", "render", "images"),
    *("alerts", "integration", "molecule", "faults", "diagnose", "bench", "machine", "clean"),
]


def make(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    # What an outer make tells its children is none of the business of this one.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  (\w+) +\S", make().stdout, re.M)

    assert listed == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(target: str) -> None:
    planned = make("--dry-run", target)

    assert planned.returncode == 0, planned.stderr


def test_arguments_reach_ansible() -> None:
    planned = make("--dry-run", "deploy", "ARGS=-i inventories/production --check")

    assert ".venv/bin/ansible-playbook deploy.yml -i inventories/production --check" in planned.stdout


@pytest.mark.parametrize("sudo", ["exit 1", None])
def test_without_root_one_sentence_says_so(tmp_path: Path, sudo: str | None) -> None:
    """And nothing asks for a password that nobody may be there to type."""
    for name in ("bash", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    program(tmp_path, "id", "echo 1000")
    if sudo:
        program(tmp_path, "sudo", sudo)

    # The Makefile names bash by its path; make itself has to be found.
    (tmp_path / "make").symlink_to(shutil.which("make") or "make")
    refused = make("root", path=str(tmp_path))

    assert refused.returncode != 0
    assert "run it as root, or allow this user passwordless sudo" in refused.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and what it reads, away from the real .venv, with no program but those put there."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "tools" / "make_venv", tmp_path / "tools")
    (tmp_path / "requirements.txt").write_text("", encoding="utf-8")
    for name in ("bash", "env", "dirname", "cat", "sha256sum"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def make_venv(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "tools" / "make_venv", *arguments],
        env={"PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


# What each stand-in for Python answers to the script's three questions.
OLD = 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac'
RECORDING = """\
case "$2" in *print*) echo 3.12;; esac
[ "$1 $2" = "-m venv" ] || exit 0
echo made >> ../made; /bin/mkdir -p $4/bin
for name in python pip; do printf '#!/bin/sh\\n' > $4/bin/$name; /bin/chmod +x $4/bin/$name; done"""


@pytest.mark.parametrize(
    ("pythons", "message"),
    [
        ({}, "needs Python 3.11 or newer and found no Python: install it"),
        ({"python3": OLD}, "needs Python 3.11 or newer and found Python 3.9.2: install it"),
        (
            {"python3": WITHOUT_VENV},
            "Python 3.12 is here without its venv module: run 'apt install python3.12-venv'",
        ),
        ({"python3": OLD, "python3.12": WITHOUT_VENV}, "run 'apt install python3.12-venv'"),
    ],
)
def test_a_python_that_cannot_be_used_is_one_sentence(
    checkout: Path, pythons: dict[str, str], message: str
) -> None:
    for name, script in pythons.items():
        program(checkout / "bin", name, script)

    refused = make_venv(checkout)

    assert refused.returncode == 1
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (checkout / ".venv").exists()


def test_tools_are_installed_once_for_each_requirements(checkout: Path) -> None:
    program(checkout / "bin", "python3", RECORDING.replace("../made", "made"))
    made = checkout / "made"

    for _ in range(2):
        done = make_venv(checkout)
        assert done.returncode == 0, done.stderr
    assert made.read_text(encoding="utf-8").split() == ["made"]

    (checkout / "requirements.txt").touch()
    make_venv(checkout)
    assert made.read_text(encoding="utf-8").split() == ["made"]

    (checkout / "requirements.txt").write_text("ruff==1\n", encoding="utf-8")
    make_venv(checkout)
    assert made.read_text(encoding="utf-8").split() == ["made", "made"]


def test_another_folder_holds_other_requirements(checkout: Path) -> None:
    program(checkout / "bin", "python3", RECORDING.replace("../made", "made"))
    (checkout / "demo.txt").write_text("Django==5.2\n", encoding="utf-8")

    done = make_venv(checkout, "other/folder", "demo.txt")

    assert "into other/folder (demo.txt is new" in done.stdout
    assert (checkout / "other" / "folder" / "bin" / "pip").exists()
    assert not (checkout / ".venv").exists()


def test_requirements_are_pinned_and_each_has_its_reason() -> None:
    blocks = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("\n\n")[1:]

    for block in blocks:
        first, *lines = block.strip().splitlines()
        assert first.startswith("# "), block
        for entry in lines:
            assert re.fullmatch(r"# .+|[\w.-]+==[\w.!]+", entry), entry


def test_collections_are_those_of_the_ansible_package() -> None:
    wanted = yaml.safe_load((ROOT / "requirements.yml").read_text(encoding="utf-8"))["collections"]

    for collection in wanted:
        spec = importlib.util.find_spec(f"ansible_collections.{collection['name']}")
        assert spec, collection
        [folder] = spec.submodule_search_locations or []
        manifest = json.loads(Path(folder, "MANIFEST.json").read_text(encoding="utf-8"))
        assert manifest["collection_info"]["version"] == collection["version"]


def test_every_collection_that_is_used_is_named() -> None:
    wanted = yaml.safe_load((ROOT / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    files = [
        *ROOT.glob("molecule/*/*.yml"),
        *ROOT.glob("playbooks/**/*.yml"),
        *ROOT.glob("roles/*/tasks/*.yml"),
    ]
    used = {
        found
        for path in files
        for found in re.findall(
            r"^ +(?:- )?([a-z]+\.[a-z]+)\.[a-z_]+:$", path.read_text(encoding="utf-8"), re.M
        )
    }

    callbacks = re.findall(
        r'CALLBACK="(\w+\.\w+)\.\w+"', (ROOT / "tools" / "bench.py").read_text(encoding="utf-8")
    )

    assert used - {"ansible.builtin"} | set(callbacks) == {collection["name"] for collection in wanted}


def test_the_summary_ends_as_pytest_would(tmp_path: Path) -> None:
    for name, numbers in (("unit", (10, 1, 2)), ("molecule", (5, 0, 0))):
        tests, failures, skipped = numbers
        (tmp_path / f"{name}.xml").write_text(
            f'<testsuites><testsuite tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}"'
            ' time="1.5"/></testsuites>',
            encoding="utf-8",
        )

    assert (
        line(count(sorted(tmp_path.glob("*.xml")))).strip("= ") == "1 failed, 12 passed, 2 skipped in 3.00s"
    )
