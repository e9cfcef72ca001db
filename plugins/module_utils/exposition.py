"""Read the Prometheus text exposition format (version 0.0.4) with the standard library alone.

The parser runs on the server, where nothing but Python can be expected. It keeps what a verification asks:
samples, the type of each metric family, and which families are announced by HELP or TYPE without samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\s*\{(.*)\}\s*|\s+)([^\s{}"]+)(?:\s+-?\d+)?\Z')
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\Z)')
_ESCAPE = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", '"': '"', "\\": "\\"}
_HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")

Labels = tuple[tuple[str, str], ...]


class ExpositionError(ValueError):
    """The page is not in the text format; the message names the line."""


@dataclass(frozen=True)
class Sample:
    """One line: the name, its labels in sorted order, the value."""

    name: str
    labels: Labels
    value: float

    @property
    def key(self) -> tuple[str, Labels]:
        """What makes a series on this page: two samples with one key are the same series."""
        return self.name, self.labels

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")


@dataclass
class Exposition:
    """One page of an endpoint."""

    samples: list[Sample] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    helps: set[str] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """How many samples each name has; a name that is only announced is absent."""
        found: dict[str, int] = {}
        for sample in self.samples:
            found[sample.name] = found.get(sample.name, 0) + 1
        return found

    def announced(self) -> set[str]:
        """Families with a HELP or TYPE line, with or without samples."""
        return self.helps | set(self.types)

    def counters(self, prefix: str) -> dict[tuple[str, Labels], float]:
        """Values that may never fall: counters, and the buckets, sums and counts of histograms."""
        return {
            sample.key: sample.value
            for sample in self.samples
            if sample.name.startswith(prefix) and self._never_falls(sample.name)
        }

    def _never_falls(self, name: str) -> bool:
        if self.types.get(name) == "counter" or self.types.get(name.removesuffix("_total")) == "counter":
            return True
        return any(
            name.endswith(suffix) and self.types.get(name.removesuffix(suffix)) == "histogram"
            for suffix in _HISTOGRAM_SUFFIXES
        )


def parse(text: str) -> Exposition:
    """Parse a page. Raises ExpositionError for a line that is neither comment nor sample."""
    page = Exposition()
    # Not splitlines(): label values may hold U+2028 and its like, which are no line ends in this format.
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            _comment(line, page)
        else:
            page.samples.append(_sample(line, number))
    return page


def _comment(line: str, page: Exposition) -> None:
    words = line[1:].split(None, 2)
    if len(words) >= 2 and words[0] == "HELP":
        page.helps.add(words[1])
    elif len(words) == 3 and words[0] == "TYPE":
        page.types[words[1]] = words[2].strip()


def _sample(line: str, number: int) -> Sample:
    match = _SAMPLE.match(line)
    if match is None:
        raise ExpositionError(f"line {number} is not a sample: {line[:80]}")
    name, labels, value = match.groups()
    try:
        return Sample(name, _labels(labels or "", number), float(value))
    except ValueError as error:
        if isinstance(error, ExpositionError):
            raise
        raise ExpositionError(f"line {number} has the value {value!r}, which is no number") from None


def _labels(text: str, number: int) -> Labels:
    labels: list[tuple[str, str]] = []
    position = 0
    while position < len(text) and text[position:].strip():
        match = _LABEL.match(text, position)
        if match is None:
            raise ExpositionError(f"line {number} has unreadable labels: {text[position : position + 80]}")
        labels.append((match[1], _ESCAPE.sub(lambda escape: _PLAIN.get(escape[1], escape[0]), match[2])))
        position = match.end()
    return tuple(sorted(labels))
