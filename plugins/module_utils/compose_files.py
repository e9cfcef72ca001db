"""Files of a compose project: compare what is wanted with what lies on the host, and write it atomically.

Pure enough to be tested in a temporary folder; nothing here knows Docker.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

STATE = ".soundcheck-state.json"
HIDDEN = "(secret: content not shown)\n"


@dataclass(frozen=True)
class WantedFile:
    """One file below the project's directory. `mode` is an octal string such as "0644"."""

    path: str
    content: str
    mode: str = "0644"
    owner: int = 0
    group: int = 0
    secret: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True)
class FileOnHost:
    """What a path holds now; `content` is None where there is no file."""

    content: str | None
    mode: str | None = None
    owner: int | None = None
    group: int | None = None


def problems_in_paths(files: list[WantedFile]) -> list[str]:
    """Refuse paths that would leave the project's directory, and two files of one path."""
    problems = []
    seen: set[str] = set()
    for wanted in files:
        normal = os.path.normpath(wanted.path)
        if os.path.isabs(wanted.path) or normal.startswith("..") or normal == STATE:
            problems.append(f"{wanted.path}: a file's path must stay below the project's directory")
        if normal in seen:
            problems.append(f"{wanted.path}: two files have this path")
        seen.add(normal)
    return problems


def read(path: str) -> FileOnHost:
    """Read one file with its mode and numeric owner; a file that is not UTF-8 counts as different."""
    try:
        status = os.stat(path)
        with open(path, encoding="utf-8", errors="replace") as stream:
            return FileOnHost(stream.read(), f"{status.st_mode & 0o7777:04o}", status.st_uid, status.st_gid)
    except FileNotFoundError:
        return FileOnHost(None)


def differs(wanted: WantedFile, found: FileOnHost) -> bool:
    return (wanted.content, wanted.mode, wanted.owner, wanted.group) != (
        found.content,
        found.mode,
        found.owner,
        found.group,
    )


def diff_entry(directory: str, wanted: WantedFile, found: FileOnHost) -> dict[str, str]:
    """One entry of Ansible's `diff`; a secret's content never appears in it, on neither side."""
    header = os.path.join(directory, wanted.path)
    if wanted.secret:
        before = "" if found.content is None else HIDDEN
        after = HIDDEN if found.content is None else f"(changed) {HIDDEN}"
        return {"before_header": header, "after_header": header, "before": before, "after": after}
    before, after = found.content or "", wanted.content
    if found.content is not None and before == after:
        before = f"mode {found.mode} owner {found.owner}:{found.group}\n"
        after = f"mode {wanted.mode} owner {wanted.owner}:{wanted.group}\n"
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def write(path: str, wanted: WantedFile) -> None:
    """Replace a file in one step; it never exists with a wider mode than wanted."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".soundcheck-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), int(wanted.mode, 8))
            os.fchown(stream.fileno(), wanted.owner, wanted.group)
            stream.write(wanted.content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def configuration_digest(files: Sequence[WantedFile], compose_file: str) -> str:
    """Of what Compose reads to work out its services: from the same text it works out the same."""
    read_by_compose = sorted(entry.sha256 for entry in files if entry.path in {compose_file, ".env"})
    return hashlib.sha256("".join(read_by_compose).encode()).hexdigest()


@dataclass(frozen=True)
class RecordedService:
    """Config hashes of a service after its last successful start.

    `wanted` is what `docker compose config --hash` says of the files, `running` is the containers' label. The
    two may differ: only the second resolves env files, for example.
    """

    wanted: str
    running: str


@dataclass(frozen=True)
class RecordedState:
    """What an earlier run left: the paths it wrote and the services it started."""

    files: tuple[str, ...] = ()
    services: dict[str, RecordedService] = field(default_factory=dict)
    configuration: str = ""
    """`configuration_digest` of the files by which it started them."""


def read_state(directory: str) -> RecordedState:
    """The record of the last run; a missing or damaged one means that nothing is known: all is done again."""
    try:
        with open(os.path.join(directory, STATE), encoding="utf-8") as stream:
            record = json.load(stream)
        services = {name: RecordedService(**hashes) for name, hashes in record["services"].items()}
        return RecordedState(tuple(record["files"]), services, record.get("configuration", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RecordedState()


def write_state(directory: str, state: RecordedState) -> None:
    content = json.dumps(asdict(state), indent=1, sort_keys=True) + "\n"
    write(os.path.join(directory, STATE), WantedFile(STATE, content))


def secret_values(files: list[WantedFile]) -> set[str]:
    """What must never be printed: the values of secret env files, or the whole of other secret files.

    A value that stands in a file for everyone, such as the name of a host, is none.
    """
    public = "\n".join(wanted.content for wanted in files if not wanted.secret)
    values: set[str] = set()
    for wanted in files:
        if not wanted.secret:
            continue
        for line in wanted.content.splitlines():
            assignment = re.match(r"\s*[A-Za-z_][A-Za-z0-9_]*=(.*)", line)
            value = (assignment.group(1) if assignment else line).strip().strip("'\"")
            if len(value) >= 6 and not line.lstrip().startswith("#") and value not in public:
                values.add(value)
    return values


def from_parameters(entries: list[dict[str, Any]], *, secret: bool) -> list[WantedFile]:
    return [WantedFile(secret=secret, **entry) for entry in entries]
