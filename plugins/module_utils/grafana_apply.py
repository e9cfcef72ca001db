"""Bring Grafana to the wanted state: read, plan, write; and look again after a write that left a doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from .grafana_api import Grafana, GrafanaError, Unsettled
from .grafana_plan import Change, Found, Wanted, plan


@dataclass(frozen=True)
class Outcome:
    """What was changed, or would be; or why nothing was."""

    changes: tuple[Change, ...] = ()
    conflicts: tuple[str, ...] = ()
    problem: str = ""


def provision(grafana: Grafana, wanted: Wanted, *, disable_provenance: bool, check_mode: bool) -> Outcome:
    """Never raises GrafanaError: what was done before a problem is part of the outcome."""
    done: list[Change] = []
    doubted: Change | None = None
    problem: GrafanaError | None = None
    for attempt in range(grafana.retries + 1):
        if attempt:
            grafana.pause(float(2 ** (attempt - 1)))
        try:
            changes, conflicts = plan(wanted, look(grafana, wanted))
            if conflicts:
                return Outcome(tuple(done), conflicts=tuple(conflicts))
            if check_mode:
                return Outcome(tuple(changes))
            if doubted and doubted.key not in {change.key for change in changes}:
                done.append(doubted)
            for change in changes:
                doubted = change
                _write(grafana, change, disable_provenance)
                done.append(change)
            return Outcome(tuple(done))
        except Unsettled as met:
            problem = met
        except GrafanaError as met:
            return Outcome(tuple(done), problem=str(met))
    return Outcome(tuple(done), problem=f"{problem}, {grafana.retries + 1} times")


def _write(grafana: Grafana, change: Change, disable_provenance: bool) -> None:
    editable = disable_provenance if change.editable is None else change.editable
    headers = {}
    if editable and change.path.startswith("/api/v1/provisioning/"):
        headers["X-Disable-Provenance"] = "true"
    try:
        grafana.write(change.method, change.path, change.body, headers)
    except Unsettled as problem:
        if change.method == "DELETE" and problem.status == 404:
            return
        raise


def look(grafana: Grafana, wanted: Wanted) -> Found:
    """What Grafana holds of what concerns us."""
    folder = quote(str(wanted.folder["uid"]), safe="")
    there = _object(grafana, f"/api/folders/{folder}")
    groups = _groups(grafana, wanted, folder) if there else {}
    rules = _list(grafana, "/api/v1/provisioning/alert-rules")
    if not wanted.shared:
        return Found(folder=there, groups=groups, rules=rules)
    query = urlencode({"type": "dash-db", "folderUIDs": wanted.folder["uid"], "limit": 5000})
    points = _list(grafana, "/api/v1/provisioning/contact-points")
    return Found(
        folder=there,
        dashboards=dict(_dashboards(grafana, wanted)),
        in_folder=_list(grafana, f"/api/search?{query}") if there else (),
        groups=groups,
        rules=rules,
        contact_points=points,
        settings=_settings(grafana, wanted, {str(point["uid"]) for point in points}),
        policy=_object(grafana, "/api/v1/provisioning/policies"),
    )


def _dashboards(grafana: Grafana, wanted: Wanted) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for dashboard in wanted.dashboards:
        path = f"/api/dashboards/uid/{quote(dashboard['uid'], safe='')}"
        there = _object(grafana, path)
        if there is None:
            continue
        answer = grafana.read(f"{path}/versions?limit=1")
        # Grafana 11 wrapped the list into an object.
        versions = answer.get("versions") if isinstance(answer, dict) else answer
        last = max(versions or [{}], key=lambda version: version.get("version", 0))
        found.append((dashboard["uid"], there | {"message": last.get("message", "")}))
    return found


def _groups(grafana: Grafana, wanted: Wanted, folder: str) -> dict[str, Any]:
    found = {}
    for group in wanted.rule_groups:
        title = quote(str(group["title"]), safe="")
        there = _object(grafana, f"/api/v1/provisioning/folder/{folder}/rule-groups/{title}")
        # Some releases answer for a group that is not there with one that has no rules.
        if there and there.get("rules"):
            found[str(group["title"])] = there
    return found


def _settings(grafana: Grafana, wanted: Wanted, present: set[str]) -> dict[str, Any]:
    """Settings of our contact points with the secrets in clear: only so can a changed secret be told."""
    names = sorted({str(point["name"]) for point in wanted.contact_points if point["uid"] in present})
    found: dict[str, Any] = {}
    for name in names:
        query = urlencode({"decrypt": "true", "format": "json", "name": name})
        answer = _object(grafana, f"/api/v1/provisioning/contact-points/export?{query}") or {}
        for point in answer.get("contactPoints") or []:
            for receiver in point.get("receivers") or []:
                found[receiver["uid"]] = receiver.get("settings") or {}
    return found


def _object(grafana: Grafana, path: str) -> dict[str, Any] | None:
    answer = grafana.read(path)
    if answer is not None and not isinstance(answer, dict):
        raise GrafanaError(f"GET {grafana.url}{path}: expected an object, got a {type(answer).__name__}")
    return answer


def _list(grafana: Grafana, path: str) -> tuple[Any, ...]:
    answer = grafana.read(path)
    if answer is None:
        hint = "is grafana_url a Grafana with its own alerting (unified_alerting)?"
        raise GrafanaError(f"GET {grafana.url}{path}: HTTP 404; {hint}")
    if not isinstance(answer, list):
        raise GrafanaError(f"GET {grafana.url}{path}: expected a list, got a {type(answer).__name__}")
    return tuple(answer)
