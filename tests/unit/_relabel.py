"""Prometheus' text format and relabelling, as far as the catalogue uses them.

Written from Prometheus' documentation and not from the project's code: a test that relabels with it compares
the catalogue with something it did not make.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "exporters"
Labels = dict[str, str]
Sample = tuple[Labels, float]

_LINE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)",?')


def page(name: str) -> list[Sample]:
    """The samples of a recorded page."""
    return list(parse((FIXTURES / name).read_text(encoding="utf-8")))


def parse(text: str) -> Iterable[Sample]:
    """Samples with `__name__` among their labels; an empty label is no label, as in Prometheus."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        pairs = {key: item for key, item in _LABEL.findall(labels or "") if item}
        yield {"__name__": name, **pairs}, float(value)


def relabel(samples: Iterable[Sample], rules: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Apply metric_relabel_configs."""
    kept = ((_relabelled(labels, rules), value) for labels, value in samples)
    return [(labels, value) for labels, value in kept if labels is not None]


def select(samples: Iterable[Sample], metric: str, /, **labels: str) -> list[Sample]:
    """Samples of one name that carry the labels."""
    wanted = {"__name__": metric, **labels}
    return [sample for sample in samples if wanted.items() <= sample[0].items()]


def _relabelled(labels: Labels, rules: Sequence[Mapping[str, Any]]) -> Labels | None:
    labels = dict(labels)
    for rule in rules:
        action = rule.get("action", "replace")
        pattern = re.compile(rule.get("regex", "(.*)"))
        if action == "labeldrop":
            labels = {name: value for name, value in labels.items() if not pattern.fullmatch(name)}
            continue
        source = rule.get("separator", ";").join(labels.get(name, "") for name in rule["source_labels"])
        match = pattern.fullmatch(source)
        if (action == "keep" and not match) or (action == "drop" and match):
            return None
        if action == "replace" and match:
            value = _expanded(rule.get("replacement", "$1"), match)
            labels[rule["target_label"]] = value
            labels = {name: item for name, item in labels.items() if item}
        assert action in ("keep", "drop", "replace"), action
    return labels


def _expanded(replacement: str, match: re.Match[str]) -> str:
    """Go's Regexp.Expand for numbered groups: `$1`, `${1}` and `$$`."""

    def group(reference: re.Match[str]) -> str:
        number = reference.group(1) or reference.group(2)
        return "$" if number is None else match.group(int(number)) or ""

    return re.sub(r"\$(?:(\d+)|\{(\d+)\}|\$)", group, replacement)
