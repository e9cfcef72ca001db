"""Content hashes, the packed build contexts and the refusals of image_plan."""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.image_plan import (
    Plan,
    archive_name,
    content_hash,
    needed,
    pack,
    plan,
    recipes,
    refusals,
    stale,
    version_of,
)

DECLARED: dict[str, Any] = {
    "bases": {"base_trixie": {"suite": "trixie", "revision": 1}},
    "images": {
        "app": {"base": "base_trixie", "context": "app"},
        "node_exporter": {"base": "base_trixie", "version": "1.9.0"},
    },
    "registry_only": {"alloy": "choose `collector: prometheus_agent`"},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, content in {
        "images/app/Dockerfile": "FROM x",
        "images/node-exporter/Dockerfile": "FROM y",
        "images/node-exporter/entrypoint": "#!/bin/sh",
        "demo/manage.py": "print()",
        "demo/music/views.py": "pass",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return tmp_path


def references(tree: Path, declared: dict[str, Any] = DECLARED) -> dict[str, str]:
    made = recipes(declared, str(tree / "images"), str(tree / "demo"))
    return {key: recipe.reference for key, recipe in made.items()}


def bytecode(tree: Path) -> None:
    (tree / "demo/music/__pycache__").mkdir()
    (tree / "demo/music/__pycache__/views.cpython-313.pyc").write_bytes(b"x")
    (tree / "demo/.venv").mkdir()
    (tree / "demo/.venv/python").write_text("x")


SAME: list[Callable[[Path], object]] = [
    bytecode,
    lambda tree: os.utime(tree / "demo/manage.py", (1, 1)),
    lambda tree: os.chmod(tree / "demo/manage.py", 0o600),
]


@pytest.mark.parametrize("change", SAME, ids=["bytecode", "time", "umask"])
def test_what_no_image_holds_changes_no_tag(tree: Path, change: Callable[[Path], object]) -> None:
    before = references(tree)
    change(tree)
    assert references(tree) == before


DIFFERENT: list[Callable[[Path], object]] = [
    lambda tree: (tree / "demo/manage.py").write_text("print(1)"),
    lambda tree: (tree / "demo/manage.py").rename(tree / "demo/other.py"),
    lambda tree: (tree / "demo/new.py").write_text(""),
    lambda tree: os.chmod(tree / "demo/manage.py", 0o755),
    lambda tree: (tree / "demo/link").symlink_to("manage.py"),
    lambda tree: (tree / "images/app/Dockerfile").write_text("FROM z"),
]


@pytest.mark.parametrize(
    "change", DIFFERENT, ids=["content", "name", "file", "executable", "link", "Dockerfile"]
)
def test_what_an_image_holds_changes_its_tag_alone(tree: Path, change: Callable[[Path], object]) -> None:
    before = references(tree)
    change(tree)
    after = references(tree)
    assert after["app"] != before["app"]
    assert after["node_exporter"] == before["node_exporter"]


def test_version_and_base_change_the_tag(tree: Path) -> None:
    before = references(tree)
    newer = {**DECLARED["images"], "node_exporter": {"base": "base_trixie", "version": "1.9.1"}}
    assert references(tree, {**DECLARED, "images": newer})["node_exporter"] != before["node_exporter"]
    based = references(tree, {**DECLARED, "bases": {"base_trixie": {"suite": "trixie", "revision": 2}}})
    assert all(based[key] != before[key] for key in before)


def test_contents_do_not_run_together() -> None:
    """Facts and files are told apart by structure, not by where one ends."""
    assert content_hash({"a": "1", "b": "23"}, []) != content_hash({"a": "12", "b": "3"}, [])


def test_hashing_the_real_tree_takes_no_time() -> None:
    """The references are known to templates at every run, without an engine."""
    root = Path(__file__).resolve().parents[2]
    import yaml

    declared = yaml.safe_load((root / "images" / "images.yml").read_text(encoding="utf-8"))
    started = time.process_time()
    recipes(declared, str(root / "images"), str(root / "demo"))
    assert time.process_time() - started < 0.3


def test_the_packed_context_is_what_was_hashed(tree: Path) -> None:
    bytecode(tree)
    (tree / "demo/link").symlink_to("manage.py")
    os.chmod(tree / "images/node-exporter/entrypoint", 0o700)
    made = recipes(DECLARED, str(tree / "images"), str(tree / "demo"))
    pack(list(made.values()), str(tree / "contexts.tar.gz"))
    with tarfile.open(tree / "contexts.tar.gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert set(members) == {
        "app/Dockerfile",
        "app/app/link",
        "app/app/manage.py",
        "app/app/music/views.py",
        "node_exporter/Dockerfile",
        "node_exporter/entrypoint",
    }
    assert members["node_exporter/entrypoint"].mode == 0o755
    assert members["app/app/manage.py"].mode == 0o644
    assert {(member.uid, member.uname, member.mtime) for member in members.values()} == {(0, "root", 0)}


def test_bases_come_once_and_first(tree: Path) -> None:
    made = recipes(DECLARED, str(tree / "images"), str(tree / "demo"))
    assert [recipe.key for recipe in needed(made, ["node_exporter", "app"])] == [
        "base_trixie",
        "node_exporter",
        "app",
    ]


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("rabbitmq:4.2.9", "4.2.9"),
        ("rabbitmq:4.2.9-management", "4.2.9"),
        ("quay.io/prometheus/prometheus:v3.14.0", "3.14.0"),
        ("registry.example.com:5000/app", ""),
        ("registry.example.com:5000/app:2026-11-24", "2026"),
        ("app:main", "main"),
        ("caddy@sha256:" + "0" * 64, ""),
        ("caddy:2.11.4@sha256:" + "0" * 64, "2.11.4"),
    ],
)
def test_a_tag_states_its_version(reference: str, version: str) -> None:
    assert version_of(reference) == version


def test_archives_are_named_after_references() -> None:
    assert archive_name("soundcheck/app:0123456789ab") == "soundcheck-app-0123456789ab.tar"
    assert archive_name("registry:5000/a/b:v1") == "registry-5000-a-b-v1.tar"


REFUSALS: list[tuple[str, list[str], str]] = [
    ("harbour", [], "container_images_source: `harbour` is none of registry, debian, archive"),
    (
        "debian",
        ["alloy"],
        "container_images_source: debian cannot build alloy: choose `collector: prometheus_agent`",
    ),
    ("registry", ["app"], "app_image: name the repository of your app's image, and its tag in app_version"),
    ("debian", ["app"], "container_images_app_context: no such folder to build the app's image from"),
    ("archive", ["alloy"], "container_images_export_directory: /x/images.json names no alloy; "),
    ("debian", ["nginx"], "container_images_wanted: there is no image `nginx`"),
]


@pytest.mark.parametrize(("source", "wanted", "sentence"), REFUSALS)
def test_a_refusal_names_the_variable(source: str, wanted: list[str], sentence: str) -> None:
    (found,) = refusals(source, wanted, Plan({}, {}), DECLARED, "/x/images.json")
    assert found.startswith(sentence)


def test_an_absent_app_folder_leaves_the_other_images(tree: Path) -> None:
    made = recipes(DECLARED, str(tree / "images"), str(tree / "nowhere"))
    assert "app" not in made
    assert "node_exporter" in made


def test_archives_of_an_older_tree_are_stale(tree: Path) -> None:
    made = recipes(DECLARED, str(tree / "images"), str(tree / "demo"))
    manifest = {
        "app": {"ref": "soundcheck/app:000000000000", "version": "", "archive": ""},
        "node_exporter": {"ref": "quay.io/prometheus/node-exporter:v1.10.2", "version": "", "archive": ""},
    }
    assert stale(manifest, made, ["app", "node_exporter"]) == ["app"]
    manifest["app"]["ref"] = made["app"].reference
    assert stale(manifest, made, ["app", "node_exporter"]) == []


def test_only_an_override_without_value_is_no_override(tree: Path) -> None:
    made = recipes(DECLARED, str(tree / "images"), str(tree / "demo"))
    assert plan("debian", {}, {"app": ""}, made, {}).references["app"] == made["app"].reference
