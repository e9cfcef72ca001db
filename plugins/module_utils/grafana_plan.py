"""Decide what to change in Grafana: what is wanted and what was found in, changes and conflicts out. Pure.

What Soundcheck made is known by its mark, so that it may change and remove it, and nothing else:
- a dashboard by a uid that begins with `soundcheck-`, the tag `soundcheck`, and the folder it lies in;
- an alert rule and a contact point by a uid that begins with `soundcheck-`, which the UI cannot give;
- the route of the notification policy by its matcher on `grafana_folder`, which Grafana puts on each alert.
  The tree exists once for the organisation: this one child of its root is ours, the rest is kept.
Each host brings rules of its own, whose labels name it and its environment; all else the hosts share.
The folder may be anybody's. It is created when missing, renamed only when told to, never removed.

Whether a dashboard is as it was written is told by the message of its last version, which holds a digest of
what was wanted: Grafana rewrites models when it migrates them, and whoever else saves one makes a version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .grafana_compare import covers, digest, same_route

Document = Mapping[str, Any]

PREFIX = "soundcheck-"
TAG = "soundcheck"
FILE = "file"
HIDDEN = "(secret)"
# Required in each request, and cleared by Grafana in a recording rule.
_NOT_OF_RECORDING = {"condition", "noDataState", "execErrState", "for", "keep_firing_for"}
OVERWRITE = "or set grafana_provisioning_overwrite: true"


@dataclass(frozen=True)
class Wanted:
    """What Grafana shall hold."""

    folder: Document
    # Environment and host as the labels of the rules name them, and the inventory_hosts, which keep theirs.
    owner: Document
    dashboards: tuple[Document, ...] = ()
    rule_groups: tuple[Document, ...] = ()
    # With secrets among their settings; `secure` names those settings by uid.
    contact_points: tuple[Document, ...] = ()
    secure: Mapping[str, frozenset[str]] = field(default_factory=dict)
    policy: Document | None = None
    overwrite: bool = False
    # Whether what all hosts share is brought as well; otherwise the rules alone.
    shared: bool = True


@dataclass(frozen=True)
class Found:
    """What Grafana holds: of dashboards and groups those that are wanted, of the rest everything."""

    folder: Document | None = None
    # uid -> {dashboard, meta, message of the last version}
    dashboards: Mapping[str, Document] = field(default_factory=dict)
    in_folder: tuple[Document, ...] = ()
    groups: Mapping[str, Document] = field(default_factory=dict)
    rules: tuple[Document, ...] = ()
    contact_points: tuple[Document, ...] = ()
    # uid -> settings with the secrets in clear
    settings: Mapping[str, Document] = field(default_factory=dict)
    policy: Document | None = None


@dataclass(frozen=True)
class Change:
    """One write: what it is about, for people, and the request. Nothing before or after is None."""

    kind: str
    name: str
    before: Any
    after: Any
    method: str
    path: str
    body: Any = None
    # Whether the write carries X-Disable-Provenance; None: as the operator set it.
    editable: bool | None = None

    @property
    def action(self) -> str:
        if self.before is None:
            return "created"
        return "removed" if self.after is None else "updated"

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    def diff(self) -> dict[str, str]:
        """The shape that Ansible shows with --diff."""
        title = f"{self.kind} {self.name}"
        return {
            "before_header": title,
            "after_header": title,
            "before": _text(self.before),
            "after": _text(self.after),
        }


def plan(wanted: Wanted, found: Found) -> tuple[list[Change], list[str]]:
    """Changes in the order in which they must be made, and what stands in the way of making any."""
    conflicts: list[str] = []
    if not wanted.shared:
        changes = [
            *_folder(wanted, found, conflicts),
            *_rule_groups(wanted, found, conflicts),
            *_left_rules(wanted, found),
        ]
        return changes, conflicts
    changes = [
        *_folder(wanted, found, conflicts),
        *_dashboards(wanted, found, conflicts),
        *_contact_points(wanted, found, conflicts),
        *_policy(wanted, found, conflicts),
        *_rule_groups(wanted, found, conflicts),
        *_left_dashboards(wanted, found),
        *_left_rules(wanted, found),
        # A contact point that a route names cannot be removed: last.
        *_left_contact_points(wanted, found),
    ]
    return changes, conflicts


def invalid(wanted: Wanted) -> Iterator[str]:
    """What Grafana would refuse, or what could not be told from things made by hand."""
    entries = [("dashboards", entry) for entry in wanted.dashboards]
    entries += [("contact_points", entry) for entry in wanted.contact_points]
    entries += [("rule_groups", rule) for group in wanted.rule_groups for rule in group["rules"]]
    seen: set[str] = set()
    for place, entry in entries:
        uid = str(entry.get("uid") or "")
        called = entry.get("title") or entry.get("name") or "?"
        if not uid.startswith(PREFIX) or len(uid) > 40:
            rule = f"must begin with {PREFIX} and have 40 characters at most"
            yield f"{place}: uid `{uid}` of `{called}` {rule}"
        elif uid in seen:
            yield f"{place}: uid `{uid}` of `{called}` is used twice"
        seen.add(uid)


def _folder(wanted: Wanted, found: Found, conflicts: list[str]) -> Iterator[Change]:
    uid, title = str(wanted.folder["uid"]), str(wanted.folder["title"])
    after = {"uid": uid, "title": title}
    if found.folder is None:
        yield Change("folder", title, None, after, "POST", "/api/folders", after)
    elif found.folder["title"] != title:
        before = {"uid": uid, "title": found.folder["title"]}
        if not wanted.overwrite:
            conflicts.append(
                f"folder {uid} is titled `{before['title']}`, not `{title}`: "
                f"set grafana_provisioning_folder_title to that, {OVERWRITE}"
            )
        body = {"title": title, "version": found.folder.get("version"), "overwrite": False}
        yield Change("folder", title, before, after, "PUT", f"/api/folders/{quote(uid, safe='')}", body)


def marked(model: Document) -> dict[str, Any]:
    """A dashboard as it is stored: with the tag of Soundcheck, without the numbers that Grafana gives."""
    tags = [*model.get("tags", [])]
    tags += [] if TAG in tags else [TAG]
    return {name: value for name, value in model.items() if name not in ("id", "version")} | {"tags": tags}


def version_message(model: Document) -> str:
    return f"Soundcheck {digest(model)}"


def _dashboards(wanted: Wanted, found: Found, conflicts: list[str]) -> Iterator[Change]:
    folder = wanted.folder["uid"]
    uids = {dashboard["uid"] for dashboard in wanted.dashboards}
    for model in map(marked, wanted.dashboards):
        title = str(model["title"])
        message = version_message(model)
        body = {
            "dashboard": {"id": None} | model,
            "folderUid": folder,
            "message": message,
            "overwrite": False,
        }
        there = found.dashboards.get(model["uid"])
        if there is None:
            namesakes = [hit for hit in found.in_folder if hit["title"] == title and hit["uid"] not in uids]
            for hit in namesakes:
                if not _owned_hit(hit) and not wanted.overwrite:
                    conflicts.append(
                        f"dashboard `{title}` ({hit['uid']}) was made by hand: rename or remove it, "
                        f"{OVERWRITE}"
                    )
            yield Change("dashboard", title, None, model, "POST", "/api/dashboards/db", body)
            continue
        held, meta = there["dashboard"], there["meta"]
        if meta.get("provisioned"):
            conflicts.append(
                f"dashboard `{title}` ({model['uid']}) comes from a provisioning file: remove it there"
            )
            continue
        ours = TAG in (held.get("tags") or []) and meta.get("folderUid") == folder
        if ours and there["message"] == message:
            continue
        if not ours and not wanted.overwrite:
            conflicts.append(
                f"dashboard `{held.get('title')}` ({model['uid']}) in folder "
                f"`{meta.get('folderTitle') or 'General'}` was not made by Soundcheck: remove it, {OVERWRITE}"
            )
        # With the number and version that were read Grafana refuses when somebody saved it since.
        body["dashboard"] = model | {"id": held.get("id"), "version": held.get("version")}
        before = {name: value for name, value in held.items() if name not in ("id", "version")}
        yield Change("dashboard", title, before, model, "POST", "/api/dashboards/db", body)


def _owned_hit(hit: Document) -> bool:
    return str(hit["uid"]).startswith(PREFIX) and TAG in (hit.get("tags") or [])


def _left_dashboards(wanted: Wanted, found: Found) -> Iterator[Change]:
    uids = {dashboard["uid"] for dashboard in wanted.dashboards}
    for hit in found.in_folder:
        if _owned_hit(hit) and hit["uid"] not in uids:
            path = f"/api/dashboards/uid/{quote(hit['uid'], safe='')}"
            before = {"uid": hit["uid"], "title": hit["title"]}
            yield Change("dashboard", str(hit["title"]), before, None, "DELETE", path)


def _rule_groups(wanted: Wanted, found: Found, conflicts: list[str]) -> Iterator[Change]:
    folder = str(wanted.folder["uid"])
    elsewhere = {rule["uid"]: rule for rule in found.rules if rule["folderUID"] != folder}
    for group in wanted.rule_groups:
        title = str(group["title"])
        after = {"title": title, "folderUid": folder, "interval": group["interval"]}
        places = {"folderUID": folder, "ruleGroup": title, "orgID": 1}
        after["rules"] = [dict(rule) | places for rule in group["rules"]]
        before = found.groups.get(title)
        for rule in group["rules"]:
            stray = elsewhere.get(rule["uid"])
            if stray and not wanted.overwrite:
                conflicts.append(
                    f"alert rule `{stray['title']}` ({rule['uid']}) lies in folder {stray['folderUID']}, not "
                    f"in {folder}: it was moved, or made with another grafana_provisioning_folder_uid; "
                    f"remove it there, {OVERWRITE}"
                )
        held = list(before["rules"]) if before else []
        foreign = [rule for rule in held if not str(rule["uid"]).startswith(PREFIX)]
        if foreign and not wanted.overwrite:
            names = ", ".join(f"`{rule['title']}`" for rule in foreign)
            conflicts.append(
                f"alert rule {names} in group `{title}` was made by hand: move it to another group, "
                f"{OVERWRITE}"
            )
        if any(rule.get("provenance") == FILE for rule in held):
            conflicts.append(f"rule group `{title}` comes from a provisioning file: remove it there")
        if before and _same_group(after, before):
            continue
        path = f"/api/v1/provisioning/folder/{quote(folder, safe='')}/rule-groups/{quote(title, safe='')}"
        yield Change("rule group", title, before, after, "PUT", path, after)


def _same_group(wanted: Document, found: Document) -> bool:
    rules = []
    for rule in wanted["rules"]:
        # The number of the organisation is that of the token, whatever the request says.
        ignored = {"orgID"} | (_NOT_OF_RECORDING if rule.get("record") else set())
        rules.append({name: value for name, value in rule.items() if name not in ignored})
    return bool(wanted["interval"] == found["interval"]) and covers(rules, found["rules"])


def _left_rules(wanted: Wanted, found: Found) -> Iterator[Change]:
    """Rules of groups that are gone; those of a group that stays go with its update."""
    folder = wanted.folder["uid"]
    groups = {group["title"] for group in wanted.rule_groups}
    uids = {rule["uid"] for group in wanted.rule_groups for rule in group["rules"]}
    for rule in found.rules:
        ours = rule["folderUID"] == folder and str(rule["uid"]).startswith(PREFIX)
        unwanted = rule["ruleGroup"] not in groups and rule["uid"] not in uids
        if ours and unwanted and may_go(rule, wanted.owner):
            path = f"/api/v1/provisioning/alert-rules/{quote(rule['uid'], safe='')}"
            before = {"uid": rule["uid"], "title": rule["title"], "ruleGroup": rule["ruleGroup"]}
            yield Change("alert rule", str(rule["title"]), before, None, "DELETE", path)


def may_go(rule: Document, owner: Document) -> bool:
    """Whether an unwanted rule is nobody else's: its labels name this host, one that is gone, or none."""
    labels = rule.get("labels") or {}
    if not {"environment", "host"} <= set(labels):
        return True
    if labels["environment"] != owner["environment"]:
        return False
    return labels["host"] == owner["host"] or labels["host"] not in owner["inventory_hosts"]


def _contact_points(wanted: Wanted, found: Found, conflicts: list[str]) -> Iterator[Change]:
    path = "/api/v1/provisioning/contact-points"
    held = {point["uid"]: point for point in found.contact_points}
    names = {point["name"] for point in wanted.contact_points}
    for point in found.contact_points:
        foreign = point["name"] in names and not str(point["uid"]).startswith(PREFIX)
        if foreign and not wanted.overwrite:
            conflicts.append(
                f"contact point `{point['name']}` of type {point['type']} ({point['uid']}) was made by hand "
                f"under the same name: rename or remove it, {OVERWRITE}"
            )
    for point in wanted.contact_points:
        uid = str(point["uid"])
        secure = wanted.secure.get(uid, frozenset())
        before = held.get(uid)
        if before is None:
            shown = _shown(point, point["settings"], secure)
            yield Change("contact point", uid, None, shown, "POST", path, dict(point))
            continue
        if before.get("provenance") == FILE:
            conflicts.append(f"contact point {uid} comes from a provisioning file: remove it there")
            continue
        settings = found.settings.get(uid, {})
        if covers(point, dict(before) | {"settings": settings}):
            continue
        yield Change(
            "contact point",
            uid,
            _shown(before, settings, secure),
            _shown(point, point["settings"], secure, before=settings),
            "PUT",
            f"{path}/{quote(uid, safe='')}",
            dict(point),
        )


def _shown(
    point: Document, settings: Document, secure: frozenset[str], before: Document | None = None
) -> dict[str, Any]:
    """A contact point for people: of a secret only whether it is another one."""
    visible = {}
    for name, value in settings.items():
        changed = before is not None and before.get(name) != value
        visible[name] = (f"{HIDDEN}, another one" if changed else HIDDEN) if name in secure else value
    kept = ("uid", "name", "type", "disableResolveMessage")
    return {name: point[name] for name in kept if name in point} | {"settings": visible}


def _left_contact_points(wanted: Wanted, found: Found) -> Iterator[Change]:
    uids = {point["uid"] for point in wanted.contact_points}
    for point in found.contact_points:
        if str(point["uid"]).startswith(PREFIX) and point["uid"] not in uids:
            path = f"/api/v1/provisioning/contact-points/{quote(point['uid'], safe='')}"
            before = {name: point[name] for name in ("uid", "name", "type")}
            yield Change("contact point", str(point["uid"]), before, None, "DELETE", path)


def _policy(wanted: Wanted, found: Found, conflicts: list[str]) -> Iterator[Change]:
    title = str(wanted.folder["title"])
    titles = {title, str((found.folder or wanted.folder)["title"])}
    tree = found.policy
    if tree is None:
        if wanted.policy:
            conflicts.append(
                "Grafana has no notification policy: its Alertmanager is switched off or another one is used"
            )
        return
    routes = list(tree.get("routes") or [])
    ours = [index for index, route in enumerate(routes) if _owned_route(route, titles)]
    route = own_route(wanted.policy, title) if wanted.policy else None
    if route and len(ours) == 1 and same_route(route, routes[ours[0]]):
        return
    if not route and not ours:
        return
    if tree.get("provenance") == FILE:
        conflicts.append("the notification policy comes from a provisioning file: add the route there")
    # A new route goes first, where no wider one catches its alerts; one that was moved stays where it is.
    place = ours[0] if ours else 0
    kept = [other for index, other in enumerate(routes) if index not in ours]
    after = [*kept[:place], *([route] if route else []), *kept[place:]]
    body = {name: value for name, value in tree.items() if name != "provenance"} | {"routes": after}
    before = [routes[index] for index in ours]
    yield Change(
        "notification policy",
        f"route of folder {title}",
        before[0] if len(before) == 1 else before or None,
        route,
        "PUT",
        "/api/v1/provisioning/policies",
        body,
        # The tree is not ours: it stays editable in the UI when it was.
        editable=not tree.get("provenance"),
    )


def own_route(policy: Document, folder_title: str) -> dict[str, Any]:
    """The root of the wanted policy as a child of the tree that is there, for the alerts of our folder."""
    matchers = [["grafana_folder", "=", folder_title], *policy.get("object_matchers", [])]
    return {name: value for name, value in policy.items() if name != "provenance"} | {
        "object_matchers": matchers
    }


def _owned_route(route: Document, titles: set[str]) -> bool:
    matchers = [list(matcher) for matcher in route.get("object_matchers") or []]
    return any(["grafana_folder", "=", title] in matchers for title in titles)


def _text(document: Any) -> str:
    return "" if document is None else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
