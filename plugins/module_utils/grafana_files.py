"""Grafana's provisioning files: the same dashboards, rules, contact points and policy as over the API. Pure.

All of it is JSON, which Grafana reads as it reads YAML. A rule or contact point that is gone from its file
stays in Grafana until a file asks to delete it: so the files ask for whatever the earlier ones held.
Each host has a file of rules to itself; that of a host which left asks for their deletion from then on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .grafana_plan import HIDDEN, marked, may_go

Document = Mapping[str, Any]

DASHBOARDS = "dashboards/soundcheck"
PROVIDER = "dashboards/soundcheck.yml"
# A pattern: one for each host, see rules_path.
RULES = "alerting/soundcheck-rules*.json"
CONTACT_POINTS = "alerting/soundcheck-contact-points.json"
POLICIES = "alerting/soundcheck-policies.json"
ORGANISATION = 1
# The API's names of the places of a rule, which a file states once for the group.
_NOT_IN_FILES = {"orgID", "folderUID", "ruleGroup", "id", "updated", "provenance"}
_FILE_NAMES = {
    "keep_firing_for": "keepFiringFor",
    "missingSeriesEvalsToResolve": "missing_series_evals_to_resolve",
}


@dataclass(frozen=True)
class File:
    """A file below the folder of the provisioning, and how it may be shown."""

    content: str
    shown: str
    secret: bool = False


def files(
    *,
    folder: Document,
    mount: str,
    dashboards: Sequence[Document],
    rule_groups: Sequence[Document],
    contact_points: Sequence[Document],
    policy: Document | None,
    owner: Document,
    shared: bool,
    earlier: Mapping[str, Document],
) -> dict[str, File]:
    """Path -> file. `earlier`: what the files of contact points, policies and rules of any host hold now."""
    found = _all_rules(folder, rule_groups, owner, earlier)
    if not shared:
        return found
    found |= {PROVIDER: _plain(_provider(folder, mount))}
    for dashboard in dashboards:
        found[f"{DASHBOARDS}/{dashboard['uid']}.json"] = _plain(marked(dashboard))
    points = _contact_points(contact_points, earlier.get(CONTACT_POINTS, {}), hide=False)
    if points:
        shown = _contact_points(contact_points, earlier.get(CONTACT_POINTS, {}), hide=True)
        found[CONTACT_POINTS] = File(_text(points), _text(shown), secret=True)
    policies = _policies(policy, earlier.get(POLICIES, {}))
    if policies:
        found[POLICIES] = _plain(policies)
    return found


def hidden(content: str) -> str:
    """An earlier file of contact points as it may be shown: it does not say which settings are secrets."""
    try:
        document = json.loads(content)
    except ValueError:
        return ""
    for point in document.get("contactPoints", []):
        for receiver in point["receivers"]:
            receiver["settings"] = dict.fromkeys(receiver["settings"], HIDDEN)
    return _text(document)


def _provider(folder: Document, mount: str) -> dict[str, Any]:
    provider = {
        "name": "soundcheck",
        "orgId": ORGANISATION,
        "folder": folder["title"],
        "folderUid": folder["uid"],
        "type": "file",
        # A dashboard whose file is gone goes too.
        "disableDeletion": False,
        "allowUiUpdates": False,
        "options": {"path": f"{mount.rstrip('/')}/{DASHBOARDS}"},
    }
    return {"apiVersion": 1, "providers": [provider]}


def rules_path(owner: Document) -> str:
    """The file of a host's rules; no quoted name holds an @, so that no two hosts have the same."""
    host, environment = (quote(str(owner[label]), safe="") for label in ("host", "environment"))
    return f"alerting/soundcheck-rules-{host}@{environment}.json"


def _all_rules(
    folder: Document, groups: Sequence[Document], owner: Document, earlier: Mapping[str, Document]
) -> dict[str, File]:
    own = rules_path(owner)
    documents = {own: _rules(folder, groups, earlier.get(own, {}))}
    wanted = {rule["uid"] for group in groups for rule in group["rules"]}
    for path, document in earlier.items():
        if path != own and path not in (CONTACT_POINTS, POLICIES):
            documents[path] = _rules_of_others(document, _literal(dict(owner)), wanted)
    return {path: _plain(document) for path, document in documents.items() if document}


def _rules_of_others(document: Document, owner: Document, wanted: set[str]) -> dict[str, Any]:
    """A file of rules that is not this host's, without those that may go."""
    kept, gone = [], []
    for group in document.get("groups", []):
        gone += [rule["uid"] for rule in group["rules"] if may_go(rule, owner)]
        rules = [rule for rule in group["rules"] if not may_go(rule, owner)]
        kept += [group | {"rules": rules}] if rules else []
    asked = _gone(gone, wanted, document.get("deleteRules", []))
    return _document("groups", kept, "deleteRules", asked)


def _rules(folder: Document, groups: Sequence[Document], earlier: Document) -> dict[str, Any]:
    written = [
        {
            "orgId": ORGANISATION,
            "name": _literal(group["title"]),
            "folder": _literal(folder["title"]),
            "interval": f"{group['interval']}s",
            "rules": [_rule(rule) for rule in group["rules"]],
        }
        for group in groups
    ]
    wanted = {rule["uid"] for group in groups for rule in group["rules"]}
    before = [rule["uid"] for group in earlier.get("groups", []) for rule in group["rules"]]
    return _document("groups", written, "deleteRules", _gone(before, wanted, earlier.get("deleteRules", [])))


def _rule(rule: Document) -> dict[str, Any]:
    written = {_FILE_NAMES.get(key, key): value for key, value in rule.items() if key not in _NOT_IN_FILES}
    # Queries and annotations are taken as they stand: there `$` begins macros and labels.
    for key in ("title", "labels", "condition"):
        if key in written:
            written[key] = _literal(written[key])
    return written


def _contact_points(points: Sequence[Document], earlier: Document, *, hide: bool) -> dict[str, Any]:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        secrets = point.get("secure_settings") or {}
        shown = dict.fromkeys(secrets, HIDDEN) if hide else dict(secrets)
        receiver = {
            "uid": point["uid"],
            "type": point["type"],
            "settings": dict(point["settings"]) | shown,
            "disableResolveMessage": point["disable_resolve_message"],
        }
        by_name.setdefault(str(point["name"]), []).append(receiver)
    written = [
        {"orgId": ORGANISATION, "name": _literal(name), "receivers": receivers}
        for name, receivers in by_name.items()
    ]
    before = [
        receiver["uid"] for point in earlier.get("contactPoints", []) for receiver in point["receivers"]
    ]
    gone = _gone(before, {point["uid"] for point in points}, earlier.get("deleteContactPoints", []))
    return _document("contactPoints", written, "deleteContactPoints", gone)


def _policies(policy: Document | None, earlier: Document) -> dict[str, Any]:
    """A file holds the whole tree of the organisation; without one the default comes back."""
    if policy:
        return {"apiVersion": 1, "policies": [{"orgId": ORGANISATION} | _literal(dict(policy))]}
    return {"apiVersion": 1, "resetPolicies": [ORGANISATION]} if earlier else {}


def _gone(before: Sequence[str], wanted: set[str], asked: Sequence[Document]) -> list[dict[str, Any]]:
    uids = [*(entry["uid"] for entry in asked), *before]
    return [{"orgId": ORGANISATION, "uid": uid} for uid in sorted(set(uids) - wanted)]


def _document(key: str, written: list[Any], delete_key: str, gone: list[Any]) -> dict[str, Any]:
    if not written and not gone:
        return {}
    return {"apiVersion": 1} | ({key: written} if written else {}) | ({delete_key: gone} if gone else {})


def _literal(value: Any) -> Any:
    """Grafana replaces $NAME in these strings by an environment variable; $$ is a dollar."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _literal(entry) for key, entry in value.items()}
    return [_literal(entry) for entry in value] if isinstance(value, list) else value


def _plain(document: Document) -> File:
    text = _text(document)
    return File(text, text)


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
