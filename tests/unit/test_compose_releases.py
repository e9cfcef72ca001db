"""Releases: which are kept, which can be had back, and what stands in the way."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils import compose_releases as releases
from plugins.module_utils.compose_files import WantedFile
from plugins.module_utils.compose_releases import Release, ReleaseError, Releases


def release(number: int, result: str = "deployed", **more: object) -> Release:
    version = str(number)
    return Release(f"2026110{number}T000000Z-{version}", version, "", "ada", result, **more)  # type: ignore[arg-type]


GOOD = [release(number) for number in (1, 2, 3)]
MIXED = [release(1), release(2), release(3, "failed", reason="never healthy"), release(4)]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2026-11-01", "20261124T201530Z-2026-11-01"),
        ("feature/x y", "20261124T201530Z-feature_x_y"),
        ("", "20261124T201530Z-unnamed"),
    ],
)
def test_a_release_is_a_folder_name_that_sorts_by_time(version: str, name: str) -> None:
    assert releases.new_id(version, datetime(2026, 11, 24, 20, 15, 30, tzinfo=UTC)) == name


@pytest.mark.parametrize(
    ("known", "current", "keep", "kept"),
    [
        (GOOD, GOOD[2], 2, ["2", "3"]),
        (GOOD, GOOD[0], 2, ["1", "2", "3"]),
        (MIXED, MIXED[3], 2, ["2", "3", "4"]),
        ([release(1, "failed"), *GOOD[1:]], GOOD[2], 1, ["3"]),
        ([], None, 5, []),
    ],
    ids=["newest", "current stays", "failed between", "failed before", "none"],
)
def test_kept(known: list[Release], current: Release | None, keep: int, kept: list[str]) -> None:
    assert [entry.version for entry in releases.kept_releases(known, current, keep)] == kept


@pytest.mark.parametrize(
    ("known", "current", "wanted", "chosen"),
    [
        (GOOD, GOOD[2], "previous", "2"),
        (GOOD, GOOD[1], "previous", "1"),
        (MIXED, MIXED[3], "previous", "2"),
        (GOOD, GOOD[2], "1", "1"),
        (GOOD, GOOD[2], GOOD[0].id, "1"),
    ],
)
def test_the_release_to_go_back_to(known: list[Release], current: Release, wanted: str, chosen: str) -> None:
    assert releases.choose(known, current, wanted).version == chosen


@pytest.mark.parametrize(
    ("known", "wanted", "message"),
    [
        (GOOD[:1], "previous", "release: there is no earlier release to go back to"),
        ([], "7", "release: 7 is not known on this host; set one of: none"),
        (MIXED, "3", "never worked (failed: never healthy)"),
    ],
)
def test_a_release_that_cannot_be_had_back(known: list[Release], wanted: str, message: str) -> None:
    with pytest.raises(ReleaseError) as refused:
        releases.choose(known, known[-1] if known else None, wanted)

    assert message in str(refused.value)


def test_migrations_since_a_release() -> None:
    known = [
        release(1, migrations=["a.0001"]),
        release(2, migrations=["a.0002"]),
        release(3, "failed", migrations=["b.0001"]),
    ]

    assert releases.migrations_since(known, known[0]) == ["a.0002", "b.0001"]
    assert releases.migrations_since(known, known[2]) == []


def test_migrations_are_read_from_what_django_says() -> None:
    said = "Running migrations:\n  Applying music.0002_songs... OK (0.01s)\n  Applying music.0003_x...\n"

    assert releases.applied_migrations(said) == ["music.0002_songs"]
    assert releases.applied_migrations("  No migrations to apply.\n") == []


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    kept = Releases(str(tmp_path))
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    own = [
        WantedFile("compose.yml", "services: {}\n", "0644", *owner),
        WantedFile(".env", "PASSWORD='secret'\n", "0600", *owner, secret=True),
    ]
    kept.add(release(1), own)
    kept.point_at(release(1))

    current = kept.current()

    assert current is not None
    assert [asdict(entry) for entry in kept.files(current)] == [asdict(entry) for entry in own]
    assert [entry.id for entry in kept.all()] == [current.id], "`current` is no release of its own"
    record = (tmp_path / "releases" / current.id / "release.json").read_text()
    assert "secret'" not in record
    assert json.loads(record)["by"] == "ada"


def test_a_folder_without_a_record_is_no_release(tmp_path: Path) -> None:
    kept = Releases(str(tmp_path))
    (tmp_path / "releases" / "20261101T000000Z-cut-off").mkdir(parents=True)
    (tmp_path / "releases" / "20261102T000000Z-half").mkdir()
    (tmp_path / "releases" / "20261102T000000Z-half" / "release.json").write_text('{"id": ')

    assert kept.all() == []
    assert kept.current() is None


def test_pruning_tells_the_images_that_nobody_needs(tmp_path: Path) -> None:
    kept = Releases(str(tmp_path))
    kept.add(release(1, images={"app:1": "sha256:1", "rabbitmq": "sha256:r"}), [])
    kept.add(release(2, images={"app:2": "sha256:2", "rabbitmq": "sha256:r"}), [])
    kept.point_at(release(2))

    removed, unused = kept.prune(1)

    assert [entry.version for entry in removed] == ["1"]
    assert unused == {"sha256:1"}
    assert [entry.version for entry in kept.all()] == ["2"]


def test_a_release_that_does_not_fit_on_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: str, _entry: WantedFile) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(releases, "write", full)

    with pytest.raises(OSError, match="No space left on device"):
        Releases(str(tmp_path)).add(release(1), [WantedFile("compose.yml", "services: {}\n")])

    assert list((tmp_path / "releases").iterdir()) == []


class Holding:
    """Stands for compose_docker.Engine: names of images and their ids."""

    def __init__(self, **names: str) -> None:
        self.ids = {**names, **{identity: identity for identity in names.values()}}

    def docker(self, *arguments: str) -> tuple[int, str, str]:
        assert arguments[:2] == ("image", "inspect"), "only asked, nothing is named anew"
        found = self.ids.get(arguments[-1], "")
        return int(not found), found + "\n", ""


def test_names_of_images_that_moved_on_are_found_and_left_alone() -> None:
    target = release(1, images={"app": "sha256:1", "broker": "sha256:b", "gone": "sha256:g"})
    engine: Any = Holding(app="sha256:2", broker="sha256:b")

    assert releases.moved_names(engine, target) == [("app", "sha256:1"), ("gone", "sha256:g")]
    assert releases.image_id(engine, "sha256:2") == "sha256:2"
    assert releases.image_id(engine, "sha256:1") == ""
