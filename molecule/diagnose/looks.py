"""What one run of the diagnosis said: its status, its words, its findings, and what it cost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Bash's `time` says it on a line of its own, after whatever the command itself said.
TIMEFORMAT = "took %R %U %S"
TOOK = re.compile(r"^took ([\d.]+) ([\d.]+) ([\d.]+)\n?\Z", re.M)


@dataclass(frozen=True)
class Look:
    """`output` is what it printed, `errors` what it said on the other channel."""

    status: int
    output: str
    errors: str
    seconds: float
    cpu_seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        try:
            document: dict[str, Any] = json.loads(self.output)
        except ValueError:
            raise ValueError(f"expected JSON, got status {self.status} and {self.said[-500:]!r}") from None
        return document

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Best first."""
        found: list[dict[str, Any]] = self.document["findings"]
        return found

    @property
    def ids(self) -> list[str]:
        return [finding["id"] for finding in self.findings]

    @property
    def top(self) -> str:
        """The first finding's cause; nothing where there is none."""
        return next(iter(self.ids), "")

    @property
    def said(self) -> str:
        """Both channels."""
        return self.output + self.errors

    def section(self, name: str) -> dict[str, Any]:
        """Whether a section could be asked, and what was in its way."""
        section: dict[str, Any] = self.document["facts"]["sections"][name]
        return section

    def sections(self, state: str) -> set[str]:
        """Those that are `ok`, `partial` or `unable`."""
        sections = self.document["facts"]["sections"]
        return {name for name, section in sections.items() if section["state"] == state}

    @property
    def due(self) -> int:
        """The status that belongs to it: an incomplete look that found nothing is not clean."""
        return 1 if self.ids else 2 if self.sections("unable") or self.sections("partial") else 0


def look(status: int, output: str, errors: str) -> Look:
    """From a run under bash's `time` with TIMEFORMAT."""
    took = TOOK.search(errors)
    if took is None:
        raise ValueError(f"expected the time on the last line of standard error, got {errors[-200:]!r}")
    seconds, user, system = map(float, took.groups())
    return Look(status, output, errors[: took.start()], seconds, round(user + system, 3))


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with other values; an object keeps what is not named. An unknown key is a mistake."""
    if unknown := set(changes) - set(config):
        raise ValueError(f"expected keys of diagnosis.json ({', '.join(config)}), got {', '.join(unknown)}")
    both = {
        key: {**config[key], **value} if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }
    return {**config, **both}
