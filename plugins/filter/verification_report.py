"""What a verification asks, taken from the catalogue, and its answer as table, text, JSON and JUnit XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ansible.errors import AnsibleFilterError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
# G7: a sample of the last five minutes is fresh where the exporter stamps samples with its own, older times.
_STAMPED_FRESH_SECONDS = 300
# Kinds of questions, and the name of the line that stands for all of one source.
_KINDS = {"panel": "panels", "alert": "alerts", "recording": "recordings"}
_WORST_FIRST = ("failed", "consequence", "skipped", "ok")
_WORDS = {"ok": "ok", "failed": "FAILED", "consequence": "consequence", "skipped": "skipped"}

Checks = Sequence[Mapping[str, Any]]


def prometheus_duration_seconds(duration: Any) -> int:
    """Seconds of a Prometheus duration such as 15s or 1m30s, rounded up."""
    text = str(duration)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise AnsibleFilterError(f"{text!r} is not a duration: write 15s, 1m or 1m30s")
    return -int(-sum(int(number) * _UNITS[unit] for number, unit in parts) // 1)


def probed_sources(
    catalogue: Mapping[str, Mapping[str, Any]], published: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The enabled sources of the catalogue with what metric_probe needs of them.

    `published`: source -> port on 127.0.0.1 of the host that must answer too.
    """
    sources = []
    for name, entry in catalogue.items():
        if not entry["enabled"]:
            continue
        source = {key: entry[key] for key in ("job", "project", "service", "port", "path")}
        source |= {"name": name, "published_port": int(published.get(name, 0))}
        source["promised"] = [
            {key: promise[key] for key in ("exposed", "stored", "labels", "when") if key in promise}
            for promise in entry["promised"]
        ]
        source |= {key: entry[key] for key in ("scheme", "likely_causes") if key in entry}
        if "scrape_timeout" in entry:
            source["timeout"] = float(prometheus_duration_seconds(entry["scrape_timeout"]))
        if entry.get("honor_timestamps"):
            source["fresh_seconds"] = _STAMPED_FRESH_SECONDS
        sources.append(source)
    return sources


def verification_failures(checks: Checks) -> list[Mapping[str, Any]]:
    """The checks that fail by themselves: consequences of another failure are not among them."""
    return [check for check in checks if check["status"] == "failed"]


def app_failures(checks: Checks) -> list[Mapping[str, Any]]:
    """The failures that an earlier release of the app would mend: what the app itself says, and its tasks.

    A backend that refuses the collector, or an exporter that died, is none of them.
    """
    own = {"django": ("endpoint", "monotonic"), "celery": ("canary",)}
    return [
        check
        for check in verification_failures(checks)
        if str(check["check"]).startswith(own.get(str(check["source"]), ()))
    ]


def verification_table(checks: Checks) -> str:
    """One line per check, and per source one for its panels and alerts; a source is named once."""
    rows = [("SOURCE", "CHECK", "RESULT", "WHAT CAME")]
    previous = ""
    for source, name, status, got in _lines(checks):
        rows.append(("" if source == previous else source, name, _WORDS[status], _shortened(got)))
        previous = source
    return _aligned(rows)


def _lines(checks: Checks) -> list[tuple[str, str, str, str]]:
    """Source, name, status and answer of each line; questions of one kind and source share one."""
    lines: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    for check in checks:
        source, kind = str(check["source"]), _kind(check)
        name = _KINDS.get(kind, str(check["check"]))
        alike = (
            [c for c in checks if (c["source"], _kind(c)) == (source, kind)] if kind in _KINDS else [check]
        )
        status = min((str(c["status"]) for c in alike), key=_WORST_FIRST.index)
        got = _questions_text(alike) if kind in _KINDS else str(check["got"])
        lines.setdefault((source, name), (source, name, status, got))
    return list(lines.values())


def _questions_text(questions: Checks) -> str:
    """How many of them have data, which are dead, and which wait for an event."""
    answered = sum(question["details"]["has_data"] for question in questions)
    parts = [f"{answered} of {len(questions)} answer"]
    dead = [
        f"{q['details']['id']}: {q['got'].removeprefix(q['details']['title'] + ': ')}"
        for q in questions
        if q["status"] == "failed"
    ]
    waiting = [
        f"{q['details']['id']} ({q['likely_cause']})"
        for q in questions
        if q["status"] == "ok" and not q["details"]["has_data"]
    ]
    unjudged = sum(question["status"] in ("consequence", "skipped") for question in questions)
    parts += [f"dead: {', '.join(dead)}"] if dead else []
    parts += [f"not yet: {', '.join(waiting)}"] if waiting else []
    parts += [f"not judged: {unjudged}"] if unjudged else []
    return "; ".join(parts)


def _kind(check: Mapping[str, Any]) -> str:
    return str((check.get("details") or {}).get("kind", ""))


def _aligned(rows: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """Columns below each other; numbers to the right, but for the first column."""
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last + 1)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numbers and column else cell.ljust(width if column < last else 0)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _budget_table(checks: Checks) -> str:
    """What each job costs of the plan; nothing where it was not counted."""
    budget = next((check["details"] for check in checks if _kind(check) == "budget"), None)
    if budget is None:
        return ""
    rows = [("BUDGET", "SERIES", "POINTS/MIN", "OF THE PLAN")]
    rows += [_cost("sum" if entry is budget else entry["job"], entry) for entry in [*budget["jobs"], budget]]
    return _aligned(rows, numbers=True)


def _cost(name: str, entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return name, str(entry["series"]), f"{entry['points_per_minute']:.0f}", f"{entry['share']:.1%}"


def _shortened(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def verification_summary(checks: Checks) -> str:
    """The culprits in one line, then a line for each failure."""
    failures = verification_failures(checks)
    culprits = list(dict.fromkeys(check["source"] for check in failures))
    if not failures:
        return f"All {len(checks)} checks passed."
    lines = [f"Verification failed: {', '.join(culprits)} ({len(failures)} of {len(checks)} checks)."]
    return "\n".join([*lines, *(f"{c['source']}, {c['check']}: {c['got']}" for c in failures)])


def verification_report(checks: Checks) -> str:
    """The tables; below them a paragraph per failure, and which checks are only consequences."""
    paragraphs = [table for table in (verification_table(checks), _budget_table(checks)) if table]
    for check in verification_failures(checks):
        paragraphs.append(
            f"{check['source']}, {check['check']}\n"
            f"  asked     {check['asked']}\n"
            f"  expected  {check['expected']}\n"
            f"  came      {check['got']}\n"
            f"  likely    {check['likely_cause'] or 'unknown'}"
        )
    reasons = sorted({check["likely_cause"] for check in checks if check["status"] == "consequence"})
    for reason in reasons:
        unjudged = [c for c in checks if (c["status"], c["likely_cause"]) == ("consequence", reason)]
        names = [f"{source} {_numbered(name, unjudged, source)}" for source, name, _s, _g in _lines(unjudged)]
        paragraphs.append(f"Not judged {reason}:\n  {', '.join(names)}")
    return "\n\n".join(paragraphs)


def _numbered(name: str, checks: Checks, source: str) -> str:
    """The name of a line, with the number of questions where it stands for several."""
    kind = next((kind for kind, plural in _KINDS.items() if plural == name), "")
    number = sum((check["source"], _kind(check)) == (source, kind) for check in checks)
    if not kind:
        return name
    return f"1 {kind}" if number == 1 else f"{number} {name}"


def verification_json(checks: Checks, host: str, finished: str, seconds: float) -> str:
    """The checks as a JSON document."""
    document = {
        "host": host,
        "finished": finished,
        "seconds": seconds,
        "passed": not verification_failures(checks),
        "checks": [
            {key: value for key, value in check.items() if key != "waiting" and (key != "details" or value)}
            for check in checks
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def verification_junit(checks: Checks, host: str, finished: str, seconds: float) -> str:
    """The checks as JUnit XML: a suite per source. Consequences are skipped cases that give their reason."""
    root = ElementTree.Element("testsuites", name=f"soundcheck {host}", time=f"{seconds:.1f}")
    _count(root, checks)
    for name in dict.fromkeys(check["source"] for check in checks):
        mine = [check for check in checks if check["source"] == name]
        suite = ElementTree.SubElement(
            root, "testsuite", name=str(name), hostname=host, timestamp=finished.removesuffix("Z")
        )
        _count(suite, mine)
        for check in mine:
            title = (check.get("details") or {}).get("title")
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"soundcheck.{name}",
                name=_printable(f"{check['check']}: {title}" if title else check["check"]),
            )
            _outcome(case, check)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _count(element: ElementTree.Element, checks: Checks) -> None:
    element.set("tests", str(len(checks)))
    element.set("failures", str(len(verification_failures(checks))))
    element.set("errors", "0")
    element.set("skipped", str(sum(check["status"] in ("consequence", "skipped") for check in checks)))


def _outcome(case: ElementTree.Element, check: Mapping[str, Any]) -> None:
    if check["status"] == "failed":
        failure = ElementTree.SubElement(case, "failure", message=_printable(check["got"]))
        reason = f"asked {check['asked']}; expected {check['expected']}; likely {check['likely_cause']}"
        failure.text = _printable("\n".join(filter(None, [reason, _budget_table([check])])))
    elif check["status"] == "consequence":
        reason = f"{check['got']}: {check['likely_cause']}"
        ElementTree.SubElement(case, "skipped", message=_printable(reason))
    elif check["status"] == "skipped":
        ElementTree.SubElement(case, "skipped", message=_printable(check["got"]))
    else:
        lines = [f"{check['asked']}: {check['got']}", check["likely_cause"], _budget_table([check])]
        text = "\n".join(line for line in lines if line)
        ElementTree.SubElement(case, "system-out").text = _printable(text)


def _printable(text: Any) -> str:
    """XML 1.0 forbids control characters, which an answer of a broken service may hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", str(text))


class FilterModule:
    """Filters of the verification."""

    def filters(self) -> dict[str, Any]:
        return {
            "prometheus_duration_seconds": prometheus_duration_seconds,
            "probed_sources": probed_sources,
            "verification_failures": verification_failures,
            "app_failures": app_failures,
            "verification_report": verification_report,
            "verification_summary": verification_summary,
            "verification_json": verification_json,
            "verification_junit": verification_junit,
        }
