"""Panels and alerts of the catalogue, checked, in one language, their expressions restricted to one host.

The catalogue writes plain PromQL. Every series in the backend carries `environment` and `host`, and several
hosts may write to one backend. So each selector gets both: as variables of a dashboard, or as this host's
values in alerts and in the questions of the verification. It is done here alone: no expression of the
catalogue names them, and none can forget them.

`{service}` in a matcher is the dashboard's variable of that name; `{label}` in a legend or a message is the
label's value. The filters that print dashboards and rules put their own syntax there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
from ansible.errors import AnsibleFilterError

LOCALES = ("en", "ko")
SEVERITIES = ("critical", "warning")
# Key of an alert's threshold -> comparison.
COMPARISONS = {"above": ">", "at_least": ">=", "below": "<"}
KINDS = ("timeseries", "stat", "bargauge", "barchart")
RUNBOOK = ("meaning", "look_at", "remedy")
NO_DATA_STATES = ("OK", "NoData", "Alerting")
# Grafana's longest uid has 40 characters, of which a rule's takes 20 for itself.
IDENTIFIER = re.compile(r"[a-z][a-z0-9-]{1,19}")
DURATION = re.compile(r"[0-9]+[smhd]")
COLUMNS = 24
PANEL_KEYS = {
    *("id", "guide", "title", "description", "kind", "unit", "steps", "queries", "whole_range"),
    *("deviation", "empty"),
}
QUERY_KEYS = {"expr", "legend", "source"}
ALERT_KEYS = {
    *(
        "id",
        "guide",
        "title",
        "message",
        "severity",
        "needs",
        "enabled",
        "expr",
        *COMPARISONS,
        "for",
        "panel",
    ),
    *("runbook", "no_data", "deviation", "empty"),
}
# Labels that tell hosts apart, and the dashboards' variables for them.
VARIABLES = {"environment": "$environment", "host": "$instance"}

Sources = Mapping[str, Mapping[str, Any]]
Matchers = Mapping[str, str]


def catalogue_entries(
    sources: Sources,
    dashboards: Mapping[str, Mapping[str, Any]],
    locale: str,
    labels: Mapping[str, str],
    alert_for: Mapping[str, str],
) -> dict[str, Any]:
    """`dashboards`, each with its placed panels, and `alerts`, of the sources that are enabled.

    `labels`: environment and host, as the collector adds them. `alert_for`: alert id -> its `for`, where it
    shall differ from the catalogue's.
    """
    if locale not in LOCALES:
        raise AnsibleFilterError(f"locale: {locale!r} is unknown, one of {', '.join(LOCALES)} was expected")
    if missing := [label for label in VARIABLES if not labels.get(label)]:
        raise AnsibleFilterError(
            f"metric_catalogue_external_labels: {', '.join(missing)} must not be missing"
        )
    own = {label: str(labels[label]) for label in VARIABLES}
    seen: set[str] = set()
    panels = {panel["id"]: panel for panel in _panels(sources, locale, own, seen)}
    boards = [_dashboard(name, board, panels, locale, sources) for name, board in dashboards.items()]
    places = {panel["id"]: (board["name"], panel["number"]) for board in boards for panel in board["panels"]}
    for identifier in panels:
        if identifier not in places:
            raise AnsibleFilterError(f"panel {identifier}: stands in no row of a dashboard")
    alerts = list(_alerts(sources, locale, own, alert_for, places, seen))
    return {"dashboards": boards, "alerts": alerts}


def metric_questions(entries: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a verification asks of the backend: every expression, those of alerts without their comparison."""
    questions = []
    for board in entries["dashboards"]:
        for panel in board["panels"]:
            for number, query in enumerate(panel["queries"], 1):
                suffix = f"/{number}" if len(panel["queries"]) > 1 else ""
                question = _question(panel, "panel", query["asked"])
                questions.append({**question, "id": panel["id"] + suffix, "source": query["source"]})
    return questions + [_question(alert, "alert", alert["expr"]) for alert in entries["alerts"]]


def _question(entry: Mapping[str, Any], kind: str, expr: str) -> dict[str, str]:
    kept = {key: entry[key] for key in ("id", "guide", "source", "title", "empty_reason")}
    return {**kept, "kind": kind, "expr": expr}


def _panels(sources: Sources, locale: str, labels: Matchers, seen: set[str]) -> Iterator[dict[str, Any]]:
    for name, panel in _entries(sources, "panels"):
        where = _identified(panel, "panel", name, seen)
        _known(panel, PANEL_KEYS, where)
        if panel.get("kind") not in KINDS:
            raise AnsibleFilterError(f"{where}: kind is {panel.get('kind')!r}, not one of {', '.join(KINDS)}")
        queries = [
            _query(query, panel, name, where, sources, labels) for query in _filled(panel, "queries", where)
        ]
        queries = [query for query in queries if sources[query["source"]]["enabled"]]
        if not queries:
            continue
        yield {
            "id": panel["id"],
            "guide": panel.get("guide", ""),
            "source": name,
            "title": _text(panel, "title", locale, where),
            "description": " ".join(str(_filled(panel, "description", where)).split()),
            "deviation": panel.get("deviation", ""),
            "empty_reason": panel.get("empty", ""),
            "kind": panel["kind"],
            "unit": _filled(panel, "unit", where),
            "steps": [
                {"from": _number(step, "from", where), "colour": _filled(step, "colour", where)}
                for step in panel.get("steps", [])
            ],
            "queries": queries,
        }


def _query(
    query: Mapping[str, Any],
    panel: Mapping[str, Any],
    name: str,
    where: str,
    sources: Sources,
    labels: Matchers,
) -> dict[str, Any]:
    _known(query, QUERY_KEYS, where)
    source = query.get("source", name)
    if source not in sources:
        raise AnsibleFilterError(f"{where}: source {source!r} is unknown, known are {', '.join(sources)}")
    expr = _filled(query, "expr", where)
    shown = restricted(expr, VARIABLES, where)
    if whole_range := panel.get("whole_range"):
        if f"[{whole_range}]" not in shown:
            raise AnsibleFilterError(
                f"{where}: whole_range is {whole_range!r}, a range that {expr!r} does not have"
            )
        shown = shown.replace(f"[{whole_range}]", "[$__range]")
    return {
        "source": source,
        "written": _line(expr),
        "shown": shown.replace("{service}", "$service"),
        "asked": restricted(expr, labels, where).replace("{service}", ".+"),
        "legend": query.get("legend", ""),
    }


def _dashboard(
    name: str, board: Mapping[str, Any], panels: Mapping[str, dict[str, Any]], locale: str, sources: Sources
) -> dict[str, Any]:
    """The panels of a dashboard with their place: a row shares its width among those that have a source."""
    where = f"dashboard {name}"
    known = {panel["id"] for _, panel in _entries(sources, "panels")}
    placed: list[dict[str, Any]] = []
    top = 0
    for row in _filled(board, "rows", where):
        for identifier in row["panels"]:
            if identifier not in known:
                raise AnsibleFilterError(f"{where}: panel {identifier!r} is in no source of the catalogue")
        present = [panels[identifier] for identifier in row["panels"] if identifier in panels]
        for column, panel in enumerate(present):
            left, right = (COLUMNS * edge // len(present) for edge in (column, column + 1))
            placed.append(
                {**panel, "number": len(placed) + 1}
                | {"place": {"x": left, "y": top, "w": right - left, "h": row["height"]}}
            )
        top += row["height"] if present else 0
    return {
        "name": name,
        "title": _text(board, "title", locale, where),
        "description": _filled(board, "description", where),
        "panels": placed,
    }


def _alerts(
    sources: Sources,
    locale: str,
    labels: Matchers,
    alert_for: Mapping[str, str],
    places: Mapping[str, tuple[str, int]],
    seen: set[str],
) -> Iterator[dict[str, Any]]:
    known = {alert["id"] for _, alert in _entries(sources, "alerts") if "id" in alert}
    panels = {panel["id"] for _, panel in _entries(sources, "panels")}
    for name, alert in _entries(sources, "alerts"):
        where = _identified(alert, "alert", name, seen)
        _known(alert, ALERT_KEYS, where)
        needs = [name, *alert.get("needs", [])]
        for source in needs:
            if source not in sources:
                raise AnsibleFilterError(
                    f"{where}: source {source!r} is unknown, known are {', '.join(sources)}"
                )
        if alert.get("panel") not in panels:
            raise AnsibleFilterError(
                f"{where}: panel {alert.get('panel')!r} is in no source of the catalogue"
            )
        entry = _alert(alert, name, locale, labels, alert_for, where)
        if all(sources[source]["enabled"] for source in needs) and alert.get("enabled", True):
            dashboard, number = places.get(alert["panel"], ("", 0))
            yield {**entry, "dashboard": dashboard, "panel_number": number}
    for identifier in alert_for:
        if identifier not in known:
            raise AnsibleFilterError(f"metric_catalogue_alert_for: there is no alert {identifier!r}")


def _alert(
    alert: Mapping[str, Any],
    name: str,
    locale: str,
    labels: Matchers,
    alert_for: Mapping[str, str],
    where: str,
) -> dict[str, Any]:
    given = [key for key in COMPARISONS if key in alert]
    if len(given) != 1:
        raise AnsibleFilterError(
            f"{where}: one of {', '.join(COMPARISONS)} was expected, not {given or 'none'}"
        )
    if alert.get("severity") not in SEVERITIES:
        raise AnsibleFilterError(
            f"{where}: severity is {alert.get('severity')!r}, not one of {', '.join(SEVERITIES)}"
        )
    runbook = alert.get("runbook") or {}
    _known(runbook, set(RUNBOOK), f"{where}: runbook")
    for part in RUNBOOK:
        if not str(runbook.get(part, "")).strip():
            raise AnsibleFilterError(f"{where}: its runbook has no {part}; {', '.join(RUNBOOK)} are needed")
    pending = str(alert_for.get(alert["id"], _filled(alert, "for", where)))
    if not DURATION.fullmatch(pending):
        raise AnsibleFilterError(f"{where}: for is {pending!r}, a duration such as 5m was expected")
    no_data = _filled(alert, "no_data", where)
    _known(no_data, {"state", "reason"}, f"{where}: no_data")
    if no_data.get("state") not in NO_DATA_STATES or not no_data.get("reason"):
        raise AnsibleFilterError(
            f"{where}: no_data needs a state of {', '.join(NO_DATA_STATES)} and a reason"
        )
    expr = _filled(alert, "expr", where)
    asked = restricted(expr, labels, where)
    return {
        "id": alert["id"],
        "guide": alert.get("guide", ""),
        "source": name,
        "title": _text(alert, "title", locale, where),
        "message": _text(alert, "message", locale, where),
        "severity": alert["severity"],
        "written": _line(expr),
        "expr": asked,
        "line": _line(asked),
        "comparison": COMPARISONS[given[0]],
        "threshold": _number(alert, given[0], where),
        "for": pending,
        "runbook": {part: " ".join(str(runbook[part]).split()) for part in RUNBOOK},
        "no_data": dict(no_data),
        "deviation": alert.get("deviation", ""),
        "empty_reason": alert.get("empty", ""),
    }


def restricted(expr: str, matchers: Matchers, where: str) -> str:
    """The expression with the matchers in each of its selectors, laid out by the parser."""
    added = ",".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in matchers.items())

    def visit(node: promql_parser.Expr) -> promql_parser.Expr | None:
        if not isinstance(node, promql_parser.VectorSelector):
            return None
        if not node.name:
            raise AnsibleFilterError(f"{where}: a selector without the name of a metric in {expr!r}")
        rest = node.prettify().removeprefix(node.name)
        own = f",{rest[1:]}" if rest.startswith("{") else f"}}{rest}"
        wider: promql_parser.Expr = promql_parser.parse(f"{node.name}{{{added}{own}")
        return wider

    try:
        tree = promql_parser.transform(promql_parser.parse(expr), None, visit)
    except ValueError as error:
        raise AnsibleFilterError(f"{where}: {expr!r} is no PromQL: {error}") from error
    return tree.prettify()


def _line(expr: str) -> str:
    """The expression in one line, for files and tables."""
    return re.sub(r"(?<=\()\s+|\s+(?=\))", "", " ".join(expr.split()))


def _entries(sources: Sources, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, entry) for name, source in sources.items() for entry in source[key])


def _identified(entry: Mapping[str, Any], what: str, source: str, seen: set[str]) -> str:
    """What errors call the entry; its id must be new."""
    identifier = entry.get("id")
    if not isinstance(identifier, str) or not IDENTIFIER.fullmatch(identifier):
        raise AnsibleFilterError(
            f"{what} of source {source}: id is {identifier!r}, "
            "up to 20 lower-case letters, digits and - were expected"
        )
    if identifier in seen:
        raise AnsibleFilterError(f"{what} {identifier}: the id is used twice")
    seen.add(identifier)
    return f"{what} {identifier}"


def _known(entry: Mapping[str, Any], keys: set[str], where: str) -> None:
    """A misspelt key would be a default in silence."""
    if unknown := [key for key in entry if key not in keys]:
        raise AnsibleFilterError(f"{where}: has no {unknown[0]!r}, only {', '.join(sorted(keys))}")


def _filled(entry: Mapping[str, Any], key: str, where: str) -> Any:
    value = entry.get(key)
    if value is None or value == "" or value == []:
        raise AnsibleFilterError(f"{where}: {key} is missing")
    return value


def _text(entry: Mapping[str, Any], key: str, locale: str, where: str) -> str:
    texts: Mapping[str, str] = _filled(entry, key, where)
    for needed in LOCALES:
        if not texts.get(needed):
            raise AnsibleFilterError(f"{where}: {key} has no text in {needed}")
    return texts[locale]


def _number(entry: Mapping[str, Any], key: str, where: str) -> float:
    value = entry.get(key)
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(str(value))
    except ValueError:
        raise AnsibleFilterError(f"{where}: {key} is {value!r}, a number was expected") from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"catalogue_entries": catalogue_entries, "metric_questions": metric_questions}
