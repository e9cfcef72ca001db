"""Print Prometheus scrape jobs in the configuration syntax of Grafana Alloy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
# The samples a scrape adds about itself. Prometheus' metric_relabel_configs never see them; an Alloy relabel
# component sees all that its scrape component sends, so that a keep rule would take away `up`.
REPORT = "up|scrape_(?:duration_seconds|samples_scraped|samples_post_metric_relabeling|series_added)"
REPORT_COMPONENT = "report"
JOB_KEYS = (
    *("job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme"),
    *("honor_timestamps", "track_timestamps_staleness"),
)
RULE_KEYS = ("source_labels", "separator", "regex", "target_label", "replacement", "modulus", "action")


class Reference(str):
    """An expression that stands in the file without quotes, such as another component's receiver."""


def alloy_value(value: Any) -> str:
    """A literal in Alloy's syntax. Its strings know Go's escapes; `$` means nothing to them."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_character(character) for character in value) + '"'
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {alloy_value(item)}" for key, item in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(alloy_value(item) for item in value) + "]"
    raise AnsibleFilterError(f"{value!r}: {type(value).__name__} has no literal in Alloy's syntax")


def alloy_scrape(jobs: Sequence[Mapping[str, Any]], receiver: str) -> str:
    """A scrape and, where the job relabels, a relabel component for each job; all end at `receiver`."""
    target = Reference(receiver)
    lines: list[str] = []
    reporting = False
    for job in jobs:
        label = _label(job["job_name"])
        rules = job.get("metric_relabel_configs", [])
        forward = [target]
        if rules:
            reporting = True
            forward = [_receiver(label), _receiver(REPORT_COMPONENT)]
        for discovery in job.get("dns_sd_configs", []):
            lines += [*_block(f'discovery.dns "{label}"', discovery), ""]
        lines += [*_scrape(label, job, forward), ""]
        if rules:
            body: list[str] = []
            for rule in [{"source_labels": ["__name__"], "regex": REPORT, "action": "drop"}, *rules]:
                body += ["", *_block("rule", _rule(rule, label))]
            lines += [*_block(f'prometheus.relabel "{label}"', {"forward_to": [target]}, body), ""]
    if reporting:
        keep = _block("rule", {"source_labels": ["__name__"], "regex": REPORT, "action": "keep"})
        head = f'prometheus.relabel "{REPORT_COMPONENT}"'
        lines += [*_block(head, {"forward_to": [target]}, ["", *keep]), ""]
    return "\n".join(lines)


def _scrape(label: str, job: Mapping[str, Any], forward: list[Reference]) -> list[str]:
    unknown = set(job) - set(JOB_KEYS) - {"static_configs", "dns_sd_configs", "metric_relabel_configs"}
    if unknown:
        raise AnsibleFilterError(f"job {label}: Alloy's scrape component is not given {sorted(unknown)}")
    targets: Any = [
        {"__address__": address, **group.get("labels", {})}
        for group in job.get("static_configs", [])
        for address in group["targets"]
    ]
    if "dns_sd_configs" in job:
        targets = Reference(f"discovery.dns.{label}.targets")
    attributes = {
        "targets": targets,
        "forward_to": forward,
        **{key: job[key] for key in JOB_KEYS if key in job},
    }
    return _block(f'prometheus.scrape "{label}"', attributes)


def _rule(rule: Mapping[str, Any], label: str) -> dict[str, Any]:
    unknown = set(rule) - set(RULE_KEYS)
    if unknown:
        raise AnsibleFilterError(f"job {label}: a relabel rule has no {sorted(unknown)}")
    return {key: rule[key] for key in RULE_KEYS if key in rule}


def _block(head: str, attributes: Mapping[str, Any], body: Sequence[str] = ()) -> list[str]:
    """A block as `alloy fmt` lays it out: tabs, and equal signs under each other."""
    width = max(map(len, attributes))
    lines = [f"{name.ljust(width)} = {alloy_value(value)}" for name, value in attributes.items()]
    return [f"{head} {{", *_indented([*lines, *body]), "}"]


def _indented(lines: Sequence[str]) -> Iterator[str]:
    return (f"\t{line}" if line else line for line in lines)


def _receiver(label: str) -> Reference:
    return Reference(f"prometheus.relabel.{label}.receiver")


def _label(name: str) -> str:
    if not IDENTIFIER.fullmatch(name) or name == REPORT_COMPONENT:
        raise AnsibleFilterError(
            f"job {name!r}: an Alloy component needs letters, digits and underscores as name"
        )
    return str(name)


def _key(name: str) -> str:
    return str(name) if IDENTIFIER.fullmatch(name) else alloy_value(str(name))


def _character(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    return character if character >= " " and character != "\x7f" else f"\\u{ord(character):04x}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"alloy_scrape": alloy_scrape, "alloy_value": alloy_value}
