"""Releases of a compose project: what each deploy put on the host, kept so that it can be had back.

A release is a folder `<UTC time>-<version>` with `files/` (what was rendered, secrets included, hence for its
owner alone) and `release.json`. `current` points at the one that serves.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.compose_docker import Engine
from ansible.module_utils.compose_files import WantedFile, write

FOLDER = "releases"
CURRENT = "current"
RECORD = "release.json"
DEPLOYED = "deployed"


@dataclass(frozen=True)
class Release:
    """One deploy. `images` is reference -> image id; `files` all of a file but its content."""

    id: str
    version: str
    at: str
    by: str
    result: str = DEPLOYED
    reason: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    migrations: Sequence[str] = ()
    """Migrations that this deploy applied."""
    files: Sequence[Mapping[str, Any]] = ()
    rollout: Mapping[str, Any] = field(default_factory=dict)


class ReleaseError(Exception):
    """Why a release cannot be had back, with what to set."""


def new_id(version: str, now: datetime) -> str:
    """Sorts by time; whatever a version holds, it is one folder's name."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", version)[:80] or "unnamed"
    return f"{now.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}-{name}"


@dataclass(frozen=True)
class Releases:
    """The releases below a project's directory."""

    directory: str

    @property
    def folder(self) -> str:
        return os.path.join(self.directory, FOLDER)

    def all(self) -> list[Release]:
        """Oldest first. A folder whose record cannot be read is none: a deploy was cut off while writing."""
        found = []
        names = sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []
        for name in (name for name in names if name != CURRENT):
            try:
                with open(os.path.join(self.folder, name, RECORD), encoding="utf-8") as stream:
                    found.append(Release(**json.load(stream)))
            except (OSError, ValueError, TypeError):
                continue
        return found

    def current(self) -> Release | None:
        try:
            name = os.readlink(os.path.join(self.folder, CURRENT))
        except OSError:
            return None
        return next((release for release in self.all() if release.id == name), None)

    def files(self, release: Release) -> list[WantedFile]:
        wanted = []
        for entry in release.files:
            path = os.path.join(self.folder, release.id, "files", entry["path"])
            with open(path, encoding="utf-8") as stream:
                wanted.append(WantedFile(content=stream.read(), **entry))
        return wanted

    def add(self, release: Release, files: Iterable[WantedFile]) -> None:
        """Write a release whole, its record last, or leave nothing of it: a full disk gets no fuller."""
        base = os.path.join(self.folder, release.id)
        files = list(files)
        try:
            os.makedirs(os.path.join(base, "files"), mode=0o755, exist_ok=True)
            os.chmod(os.path.join(base, "files"), 0o700)
            for entry in files:
                write(os.path.join(base, "files", entry.path), entry)
            listed = [{k: v for k, v in asdict(entry).items() if k != "content"} for entry in files]
            self.write(replace(release, files=listed))
        except OSError:
            shutil.rmtree(base, ignore_errors=True)
            raise

    def write(self, release: Release) -> None:
        content = json.dumps(asdict(release), indent=1, sort_keys=True) + "\n"
        write(os.path.join(self.folder, release.id, RECORD), WantedFile(RECORD, content))

    def point_at(self, release: Release) -> None:
        temporary = os.path.join(self.folder, f".{CURRENT}")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(release.id, temporary)
        os.replace(temporary, os.path.join(self.folder, CURRENT))

    def prune(self, keep: int) -> tuple[list[Release], set[str]]:
        """Remove old releases; return them, and the image ids that no kept one uses."""
        releases, current = self.all(), self.current()
        kept = kept_releases(releases, current, keep)
        removed = [release for release in releases if release not in kept]
        for release in removed:
            shutil.rmtree(os.path.join(self.folder, release.id))
        used = {identity for release in kept for identity in release.images.values()}
        return removed, {identity for release in removed for identity in release.images.values()} - used


def kept_releases(releases: Sequence[Release], current: Release | None, keep: int) -> list[Release]:
    """The newest good ones, the current one at any age, and those failed ones that are newer than they."""
    good = [release for release in releases if release.result == DEPLOYED][-keep:]
    oldest = good[0].id if good else ""
    failed = [release for release in releases if release.result != DEPLOYED and release.id > oldest][-keep:]
    chosen = {release.id for release in (*good, *failed, *([current] if current else []))}
    return [release for release in releases if release.id in chosen]


def choose(releases: Sequence[Release], current: Release | None, wanted: str) -> Release:
    """The release to go back to: `previous`, or one by its id or version."""
    known = ", ".join(release.id for release in releases) or "none"
    if wanted == "previous":
        earlier = [
            release
            for release in releases
            if release.result == DEPLOYED and (current is None or release.id < current.id)
        ]
        if not earlier:
            raise ReleaseError(f"release: there is no earlier release to go back to (known: {known})")
        return earlier[-1]
    matching = [release for release in releases if wanted in (release.id, release.version)]
    if not matching:
        raise ReleaseError(f"release: {wanted} is not known on this host; set one of: {known}")
    if matching[-1].result != DEPLOYED:
        raise ReleaseError(
            f"release: {matching[-1].id} never worked ({matching[-1].result}: {matching[-1].reason});"
            f" known: {known}"
        )
    return matching[-1]


def migrations_since(releases: Sequence[Release], target: Release) -> list[str]:
    """Migrations applied after a release, which its code does not know."""
    return [name for release in releases if release.id > target.id for name in release.migrations]


def moved_names(engine: Engine, release: Release) -> list[tuple[str, str]]:
    """References of the release that mean another image by now, or none, with the id that they had."""
    return [pair for pair in release.images.items() if image_id(engine, pair[0]) != pair[1]]


def image_id(engine: Engine, reference: str) -> str:
    """Id of an image by its name or id; empty where the host does not hold it."""
    return engine.docker("image", "inspect", "--format", "{{.Id}}", reference)[1].strip()


APPLIED = re.compile(r"^\s*Applying (\S+?)\.\.\. OK", re.MULTILINE)


def applied_migrations(output: str) -> list[str]:
    """What `manage.py migrate` says it applied."""
    return APPLIED.findall(output)
