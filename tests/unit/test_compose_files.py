"""Files of a compose project: comparison, secrecy, atomic writing and the record of the last run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins.module_utils import compose_files as files
from plugins.module_utils.compose_files import FileOnHost, RecordedService, RecordedState, WantedFile


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (["/etc/passwd"], "must stay below"),
        (["../outside"], "must stay below"),
        (["a/../../outside"], "must stay below"),
        ([files.STATE], "must stay below"),
        (["a", "b/../a"], "two files have this path"),
    ],
)
def test_path_outside_of_the_project_is_refused(paths: list[str], problem: str) -> None:
    assert problem in files.problems_in_paths([WantedFile(path, "") for path in paths])[0]


def test_written_file_has_content_and_mode_and_no_longer_differs(tmp_path: Path) -> None:
    wanted = WantedFile("conf/app.env", "A=1\n", "0600", os.getuid(), os.getgid())
    target = tmp_path / wanted.path

    assert files.differs(wanted, files.read(str(target)))
    files.write(str(target), wanted)

    assert target.read_text() == "A=1\n"
    assert target.stat().st_mode & 0o7777 == 0o600
    assert not files.differs(wanted, files.read(str(target)))
    assert os.listdir(target.parent) == ["app.env"], "the temporary file must be gone"


def test_wider_mode_alone_is_a_difference(tmp_path: Path) -> None:
    wanted = WantedFile("app.env", "A=1\n", "0600", os.getuid(), os.getgid())
    files.write(str(tmp_path / "app.env"), wanted)
    os.chmod(tmp_path / "app.env", 0o644)

    found = files.read(str(tmp_path / "app.env"))

    assert files.differs(wanted, found)
    assert "mode 0644" in files.diff_entry("/x", WantedFile("app.env", "A=1\n", "0600"), found)["before"]


@pytest.mark.parametrize("found", [FileOnHost(None), FileOnHost("PASSWORD=old-secret\n", "0600", 0, 0)])
def test_diff_of_a_secret_file_shows_neither_side(found: FileOnHost) -> None:
    entry = files.diff_entry("/x", WantedFile(".env", "PASSWORD=new-secret\n", secret=True), found)

    assert "secret\n" not in entry["before"].replace("(secret", "")
    assert "new-secret" not in str(entry)
    assert "old-secret" not in str(entry)
    assert entry["before"] != entry["after"], "an equal diff would print as no change"


def test_secret_values_are_those_of_env_lines_and_whole_files() -> None:
    values = files.secret_values(
        [
            WantedFile(".env", "# comment\nPASSWORD='s3cret-1'\nSHORT=abc\nHOST='postgres'\n", secret=True),
            WantedFile("token", "s3cret-2", secret=True),
            WantedFile("open", "A=visible-value\nB=postgres:5432\n"),
        ]
    )

    assert values == {"s3cret-1", "s3cret-2"}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (WantedFile("compose.yml", "services: {a: {}, b: {}}"), False),
        (WantedFile(".env", "TAG=2"), False),
        (WantedFile("web.conf", "port 81"), True),
        (WantedFile("compose.yml", "services: {a: {}}", mode="0600"), True),
    ],
)
def test_the_configuration_is_what_compose_reads(changed: WantedFile, same: bool) -> None:
    deployed = [
        WantedFile("compose.yml", "services: {a: {}}"),
        WantedFile(".env", "TAG=1"),
        WantedFile("web.conf", "port 80"),
    ]
    after = [changed if entry.path == changed.path else entry for entry in deployed]

    digests = [files.configuration_digest(entries, "compose.yml") for entries in (deployed, after)]

    assert (digests[0] == digests[1]) is same


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    state = RecordedState(("a", "b"), {"backend": RecordedService("h1", "h2")}, "digest")

    files.write_state(str(tmp_path), RecordedState())
    files.write_state(str(tmp_path), state)

    assert files.read_state(str(tmp_path)) == state


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"files": 3, "services": {}}', '{"files": [], "services": {"a": 1}}']
)
def test_damaged_state_means_that_nothing_is_known(tmp_path: Path, content: str) -> None:
    (tmp_path / files.STATE).write_text(content)

    assert files.read_state(str(tmp_path)) == RecordedState()
