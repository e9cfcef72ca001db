"""A fake of Grafana's HTTP API, built from the official API description; no Grafana was asked.

Sources, all in github.com/grafana/grafana: the Swagger file public/api-merged.json, whose definitions
BODIES holds under their own names, and the documentation of the HTTP API
(docs/sources/developers/http_api/: folder.md, dashboard.md, dashboard_versions.md, annotations.md,
alerting_provisioning.md), from which answers and statuses come. Behaviour that is in neither names the Go
file where it was read.

It keeps state, refuses what the description refuses, and injects the faults it is given.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "glsa_fakeServiceAccountToken0000000000_00000000"
REDACTED = "[REDACTED]"
# contactpoints.go, SecretKeys of each type.
SECURE = {"slack": {"url", "token"}, "discord": {"url"}, "telegram": {"bottoken"}, "email": set()}

text, number, flag, items, mapping = str, int, bool, list, dict
# Definition -> fields: type, and whether it is required.
BODIES: dict[str, dict[str, tuple[type, bool]]] = {
    "CreateFolderCommand": {"uid": (text, False), "title": (text, True), "parentUid": (text, False)},
    "UpdateFolderCommand": {"title": (text, False), "version": (number, False), "overwrite": (flag, False)},
    "SaveDashboardCommand": {
        "dashboard": (mapping, True),
        "folderUid": (text, False),
        "message": (text, False),
        "overwrite": (flag, False),
    },
    "AlertRuleGroup": {
        "title": (text, False),
        "folderUid": (text, False),
        "interval": (number, False),
        "rules": (items, False),
    },
    "ProvisionedAlertRule": {
        "uid": (text, False),
        "orgID": (number, True),
        "folderUID": (text, True),
        "ruleGroup": (text, True),
        "title": (text, True),
        "condition": (text, True),
        "data": (items, True),
        "noDataState": (text, True),
        "execErrState": (text, True),
        "for": (text, True),
        "annotations": (mapping, False),
        "labels": (mapping, False),
        "isPaused": (flag, False),
        "keep_firing_for": (text, False),
        "missingSeriesEvalsToResolve": (number, False),
        "notification_settings": (mapping, False),
        "record": (mapping, False),
    },
    "EmbeddedContactPoint": {
        "uid": (text, False),
        "name": (text, True),
        "type": (text, True),
        "settings": (mapping, True),
        "disableResolveMessage": (flag, False),
    },
    "Route": {
        "receiver": (text, False),
        "group_by": (items, False),
        "object_matchers": (items, False),
        "matchers": (items, False),
        "mute_time_intervals": (items, False),
        "active_time_intervals": (items, False),
        "continue": (flag, False),
        "group_wait": (text, False),
        "group_interval": (text, False),
        "repeat_interval": (text, False),
        "routes": (items, False),
    },
    "PostAnnotationsCmd": {
        "text": (text, True),
        "tags": (items, False),
        "time": (number, False),
        "timeEnd": (number, False),
    },
    "postableSilence": {
        "matchers": (items, True),
        "startsAt": (text, True),
        "endsAt": (text, True),
        "createdBy": (text, True),
        "comment": (text, True),
    },
    "matcher": {
        "name": (text, True),
        "value": (text, True),
        "isRegex": (flag, True),
        "isEqual": (flag, False),
    },
}
STATES = {
    "noDataState": {"Alerting", "NoData", "OK", "KeepLast"},
    "execErrState": {"OK", "Alerting", "Error", "KeepLast"},
}


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that fit.

    status: that answer instead of the right one; drop: the connection ends without an answer; truncate: the
    answer ends early; page: an HTML page comes; dead: from here on nothing is answered. `after`: the request
    takes effect all the same.
    """

    request: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    drop: bool = False
    truncate: bool = False
    page: bool = False
    dead: bool = False
    after: bool = False
    times: int = 1


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message} | ({"status": reason} if reason else {})


class FakeGrafana:
    """The state of one organisation, and the requests that it answered."""

    def __init__(self) -> None:
        self.url = ""
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.intervals: dict[tuple[str, str], int] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.contact_points: dict[str, dict[str, Any]] = {}
        self.policy: dict[str, Any] = {"receiver": "grafana-default-email", "group_by": ["grafana_folder"]}
        self.annotations: list[dict[str, Any]] = []
        self.silences: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        # Requests, as regular expressions, for which the token has no permission.
        self.denied: list[str] = []
        self.requests: list[str] = []
        self.dead = False

    @property
    def writes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET ")]

    def answer(self, method: str, target: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and JSON of one request, or Refused."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid API key")
        if any(re.search(pattern, f"{method} {target}") for pattern in self.denied):
            raise Refused(403, "You'll need additional permissions to perform this action.")
        # The header's mere presence counts, whatever its value (api_provisioning.go, determineProvenance).
        provenance = "" if "X-Disable-Provenance" in headers else "api"
        for pattern, handler in self._routes():
            found = re.fullmatch(pattern, f"{method} {path}")
            if found:
                return handler(found.groups(), query, body, provenance)
        # Not 404, which means that a thing is not there.
        raise Refused(501, f"the fake knows no {method} {path}")

    def _routes(self) -> list[tuple[str, Callable[..., tuple[int, Any]]]]:
        provisioning = "/api/v1/provisioning"
        return [
            (r"GET /api/folders/([^/]+)", self._get_folder),
            (r"POST /api/folders", self._post_folder),
            (r"PUT /api/folders/([^/]+)", self._put_folder),
            (r"GET /api/search", self._search),
            (r"GET /api/dashboards/uid/([^/]+)", self._get_dashboard),
            (r"GET /api/dashboards/uid/([^/]+)/versions", self._get_versions),
            (r"POST /api/dashboards/db", self._post_dashboard),
            (r"DELETE /api/dashboards/uid/([^/]+)", self._delete_dashboard),
            (rf"GET {provisioning}/alert-rules", self._get_rules),
            (rf"DELETE {provisioning}/alert-rules/([^/]+)", self._delete_rule),
            (rf"GET {provisioning}/folder/([^/]+)/rule-groups/(.+)", self._get_group),
            (rf"PUT {provisioning}/folder/([^/]+)/rule-groups/(.+)", self._put_group),
            (rf"GET {provisioning}/contact-points", self._get_contact_points),
            (rf"GET {provisioning}/contact-points/export", self._export_contact_points),
            (rf"POST {provisioning}/contact-points", self._post_contact_point),
            (rf"PUT {provisioning}/contact-points/([^/]+)", self._put_contact_point),
            (rf"DELETE {provisioning}/contact-points/([^/]+)", self._delete_contact_point),
            (rf"GET {provisioning}/policies", self._get_policy),
            (rf"PUT {provisioning}/policies", self._put_policy),
            (r"POST /api/annotations", self._post_annotation),
            (r"POST /api/alertmanager/grafana/api/v2/silences", self._post_silence),
        ]

    def _get_folder(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        return 200, _present(self.folders, groups[0], "folder not found")

    def _post_folder(self, _groups: Any, _query: Any, body: Any, _p: str) -> tuple[int, Any]:
        check("CreateFolderCommand", body)
        if body["uid"] in self.folders:
            raise Refused(409, "a folder with the same uid already exists")
        self.folders[body["uid"]] = {"uid": body["uid"], "title": body["title"], "version": 1}
        return 200, self.folders[body["uid"]]

    def _put_folder(self, groups: Any, _query: Any, body: Any, _p: str) -> tuple[int, Any]:
        check("UpdateFolderCommand", body)
        folder = _present(self.folders, groups[0], "folder not found")
        if not body.get("overwrite") and body.get("version") != folder["version"]:
            raise Refused(412, "The folder has been changed by someone else", "version-mismatch")
        folder.update(title=body["title"], version=folder["version"] + 1)
        return 200, folder

    def _search(self, _groups: Any, query: dict[str, str], _body: Any, _p: str) -> tuple[int, Any]:
        if query.get("type") != "dash-db":
            raise Refused(400, "the fake searches dashboards alone")
        return 200, [
            {
                "uid": uid,
                "title": held["model"]["title"],
                "tags": held["model"].get("tags", []),
                "type": "dash-db",
            }
            for uid, held in self.dashboards.items()
            if held["folderUid"] == query["folderUIDs"]
        ]

    def _get_dashboard(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        held = _present(self.dashboards, groups[0], "Dashboard not found")
        folder = self.folders.get(held["folderUid"], {})
        meta = {"folderUid": held["folderUid"], "folderTitle": folder.get("title", "General")}
        return 200, {
            "dashboard": held["model"],
            "meta": meta | {"provisioned": held.get("provisioned", False)},
        }

    def _get_versions(self, groups: Any, query: dict[str, str], _body: Any, _p: str) -> tuple[int, Any]:
        held = _present(self.dashboards, groups[0], "Dashboard not found")
        newest = list(reversed(held["versions"]))[: int(query["limit"])]
        return 200, {"continueToken": "", "versions": newest}

    def _post_dashboard(self, _groups: Any, _query: Any, body: Any, _p: str) -> tuple[int, Any]:
        check("SaveDashboardCommand", body)
        model = copy.deepcopy(body["dashboard"])
        if not model.get("title"):
            raise Refused(400, "Dashboard title cannot be empty")
        if body["folderUid"] not in self.folders:
            raise Refused(400, "folder not found")
        held = self.dashboards.get(model["uid"])
        if held and not body["overwrite"]:
            if "version" not in model:
                raise Refused(412, "A dashboard with the same uid already exists", "name-exists")
            if model["version"] != held["model"]["version"]:
                message = "The dashboard has been changed by someone else"
                raise Refused(412, message, "version-mismatch")
        self.save_dashboard(model, body["folderUid"], body["message"])
        return 200, {"uid": model["uid"], "status": "success", "version": model["version"]}

    def save_dashboard(self, model: dict[str, Any], folder: str, message: str = "") -> None:
        """A save through the API or in the UI: a new version, and a model that Grafana has migrated."""
        held = self.dashboards.setdefault(model["uid"], {"versions": []})
        model.update(id=len(self.dashboards), version=len(held["versions"]) + 1, schemaVersion=99)
        held.update(model=model, folderUid=folder)
        held["versions"].append({"version": model["version"], "message": message})

    def _delete_dashboard(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        _present(self.dashboards, groups[0], "Dashboard not found")
        title = self.dashboards.pop(groups[0])["model"]["title"]
        return 200, {"title": title, "message": f"Dashboard {title} deleted"}

    def _get_rules(self, _groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        return 200, list(self.rules.values())

    def _delete_rule(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        self.rules.pop(groups[0], None)
        return 204, None

    def _get_group(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        folder, title = groups
        rules = self.group(folder, title)
        if not rules:
            raise Refused(404, "rule group not found")
        return 200, {"title": title, "folderUid": folder, "interval": self.intervals[groups], "rules": rules}

    def group(self, folder: str, title: str) -> list[dict[str, Any]]:
        return [r for r in self.rules.values() if (r["folderUID"], r["ruleGroup"]) == (folder, title)]

    def _put_group(self, groups: Any, _query: Any, body: Any, provenance: str) -> tuple[int, Any]:
        check("AlertRuleGroup", body)
        folder, title = groups
        if folder not in self.folders:
            raise Refused(404, "folder does not exist")
        if body["interval"] <= 0 or body["interval"] % 10:
            raise Refused(400, "interval must be a multiple of the scheduler's 10 seconds")
        for rule in body["rules"]:
            check("ProvisionedAlertRule", rule)
            _check_rule(rule)
            held = self.rules.get(rule["uid"])
            # validation/provenance.go, CanUpdateProvenanceInRuleGroup
            if held and held["provenance"] not in ("", "api", provenance):
                raise Refused(409, f"cannot change provenance from '{held['provenance']}' to '{provenance}'")
        for rule in self.group(folder, title):
            del self.rules[rule["uid"]]
        for index, rule in enumerate(body["rules"]):
            stored = copy.deepcopy(rule) | {"folderUID": folder, "ruleGroup": title, "orgID": 1}
            stored |= {"id": index, "provenance": provenance, "for": _canonical(rule["for"])}
            stored["updated"] = "2026-11-24T00:00:00Z"
            if "record" in stored:
                # models/alert_rule.go, ClearRecordingRuleIgnoredFields
                stored |= {"condition": "", "noDataState": "", "execErrState": "", "for": "0s"}
            for query in stored["data"]:
                # models/alert_query.go, PreSave: the model gets what it lacks.
                query["model"] = {"intervalMs": 1000, "maxDataPoints": 43200} | query["model"]
            # Empty maps carry omitempty.
            for name in ("labels", "annotations"):
                if not stored.get(name):
                    stored.pop(name, None)
            self.rules[rule["uid"]] = stored
        self.intervals[folder, title] = body["interval"]
        return 200, body

    def _get_contact_points(self, _groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        return 200, [_redacted(point) for point in self.contact_points.values()]

    def _export_contact_points(
        self, _groups: Any, query: dict[str, str], _body: Any, _p: str
    ) -> tuple[int, Any]:
        points = [point for point in self.contact_points.values() if point["name"] == query["name"]]
        if query.get("decrypt") != "true":
            points = [_redacted(point) for point in points]
        receivers = [
            {name: point[name] for name in ("uid", "type", "settings", "disableResolveMessage")}
            for point in points
        ]
        exported = {"orgId": 1, "name": query["name"], "receivers": receivers}
        return 200, {"apiVersion": 1, "contactPoints": [exported] if points else []}

    def _post_contact_point(self, _groups: Any, _query: Any, body: Any, provenance: str) -> tuple[int, Any]:
        check("EmbeddedContactPoint", body)
        _check_contact_point(body)
        if body["uid"] in self.contact_points:
            raise Refused(400, f"receiver configuration with UID '{body['uid']}' already exists")
        self.contact_points[body["uid"]] = copy.deepcopy(body) | {"provenance": provenance}
        return 202, _redacted(self.contact_points[body["uid"]])

    def _put_contact_point(self, groups: Any, _query: Any, body: Any, provenance: str) -> tuple[int, Any]:
        check("EmbeddedContactPoint", body)
        _check_contact_point(body)
        held = _present(self.contact_points, groups[0], "contact point not found")
        settings = {
            name: held["settings"].get(name) if value == REDACTED else value
            for name, value in body["settings"].items()
        }
        self.contact_points[groups[0]] = copy.deepcopy(body) | {
            "settings": settings,
            "provenance": provenance,
        }
        return 202, {"message": "contactpoint updated"}

    def _delete_contact_point(self, groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        point = self.contact_points.get(groups[0])
        if point:
            alone = [p for p in self.contact_points.values() if p["name"] == point["name"]] == [point]
            if alone and point["name"] in _receivers(self.policy):
                raise Refused(409, "Contact point is currently referenced by a notification policy.")
            del self.contact_points[groups[0]]
        return 202, {"message": "contactpoint deleted"}

    def _get_policy(self, _groups: Any, _query: Any, _body: Any, _p: str) -> tuple[int, Any]:
        return 200, self.policy

    def _put_policy(self, _groups: Any, _query: Any, body: Any, provenance: str) -> tuple[int, Any]:
        _check_route(body)
        if not body.get("receiver"):
            raise Refused(400, "invalid object specification: root route must specify a default receiver")
        known = {point["name"] for point in self.contact_points.values()} | {"grafana-default-email"}
        unknown = _receivers(body) - known
        if unknown:
            raise Refused(400, f"invalid object specification: receiver '{min(unknown)}' does not exist")
        self.policy = _stored_route(body)
        if provenance:
            self.policy["provenance"] = provenance
        return 202, {"message": "policies updated"}

    def _post_annotation(self, _groups: Any, _query: Any, body: Any, _p: str) -> tuple[int, Any]:
        check("PostAnnotationsCmd", body)
        if not body["text"]:
            raise Refused(400, "Failed to save annotation: text field should not be empty")
        self.annotations.append(body)
        return 200, {"message": "Annotation added", "id": len(self.annotations)}

    def _post_silence(self, _groups: Any, _query: Any, body: Any, _p: str) -> tuple[int, Any]:
        check("postableSilence", body)
        if not body["matchers"]:
            raise Refused(400, "matchers in body should have at least 1 items")
        for matcher in body["matchers"]:
            check("matcher", matcher)
        start, end = (datetime.fromisoformat(body[name]) for name in ("startsAt", "endsAt"))
        if end <= start:
            raise Refused(400, "invalid silence: start time must be before end time")
        self.silences.append(body)
        return 202, {"silenceID": str(uuid.uuid4())}


def check(definition: str, body: Any) -> None:
    """Refuse a body that lacks a required field or has one of another type."""
    if not isinstance(body, dict):
        raise Refused(400, f"bad request data: {definition} is no object")
    fields = BODIES[definition]
    for name, (kind, required) in fields.items():
        if body.get(name) is None:
            if required:
                raise Refused(400, f"{definition}: {name} is required")
        elif not isinstance(body[name], kind) or (kind is int and isinstance(body[name], bool)):
            raise Refused(
                400, f"{definition}: {name} must be {kind.__name__}, got {type(body[name]).__name__}"
            )
    unknown = set(body) - set(fields)
    if unknown:
        raise Refused(400, f"{definition}: {min(unknown)} is no field of it")


def _check_rule(rule: dict[str, Any]) -> None:
    for name, allowed in STATES.items():
        if rule[name] not in allowed:
            raise Refused(400, f"ProvisionedAlertRule: unknown {name} {rule[name]}")
    references = []
    for query in rule["data"]:
        if not {"refId", "datasourceUid", "model"} <= set(query):
            raise Refused(400, "AlertQuery: refId, datasourceUid and model are required")
        references.append(query["refId"])
    if rule["condition"] not in references:
        raise Refused(400, f"condition {rule['condition']} does not exist, must be one of {references}")
    _canonical(rule["for"])


def _check_contact_point(point: dict[str, Any]) -> None:
    if point["type"] not in SECURE:
        raise Refused(400, f"unknown receiver type '{point['type']}'")
    if not re.fullmatch(r"[a-zA-Z0-9\-_]{1,40}", point["uid"]):
        raise Refused(400, "EmbeddedContactPoint: uid does not fit its pattern")


def _check_route(route: dict[str, Any]) -> None:
    check("Route", route)
    for matcher in route.get("object_matchers", []):
        if len(matcher) != 3 or matcher[1] not in ("=", "!=", "=~", "!~"):
            raise Refused(400, f"invalid object matcher {matcher}")
    for name in ("group_wait", "group_interval", "repeat_interval"):
        if name in route:
            _canonical(route[name])
    for child in route.get("routes", []):
        _check_route(child)


def _stored_route(route: dict[str, Any]) -> dict[str, Any]:
    """Empty fields carry omitempty, durations come back in their canonical form."""
    stored = {
        name: value for name, value in copy.deepcopy(route).items() if value not in (None, "", [], False)
    }
    for name in ("group_wait", "group_interval", "repeat_interval"):
        if name in stored:
            stored[name] = _canonical(stored[name])
    if "routes" in stored:
        stored["routes"] = [_stored_route(child) for child in stored["routes"]]
    return stored


def _receivers(route: dict[str, Any]) -> set[str]:
    found = {route["receiver"]} if route.get("receiver") else set()
    return found.union(*(_receivers(child) for child in route.get("routes", [])))


def _redacted(point: dict[str, Any]) -> dict[str, Any]:
    hidden = {name: REDACTED for name in SECURE[point["type"]] if point["settings"].get(name)}
    return point | {"settings": point["settings"] | hidden}


def _canonical(duration: str) -> str:
    """prometheus/common model.Duration: the largest units first, none that is zero."""
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    if not re.fullmatch(r"(?:\d+[dhms])+|0", duration):
        raise Refused(400, f"not a valid duration string: {duration!r}")
    seconds = sum(int(n) * dict(units)[unit] for n, unit in re.findall(r"(\d+)([dhms])", duration))
    parts = ""
    for unit, size in units:
        if seconds >= size:
            parts += f"{seconds // size}{unit}"
            seconds %= size
    return parts or "0s"


def _present(held: dict[str, Any], uid: str, message: str) -> Any:
    if uid not in held:
        raise Refused(404, message)
    return held[uid]


@contextmanager
def running() -> Iterator[FakeGrafana]:
    """The fake behind a port of this machine."""
    grafana = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            request = f"{self.command} {self.path}"
            grafana.requests.append(request)
            fault = _next_fault(grafana, request)
            grafana.dead = grafana.dead or bool(fault and fault.dead)
            if grafana.dead:
                self.close_connection = True
                return
            if fault and not fault.after:
                self._fail(fault, b'{"message": ""}')
                return
            try:
                status, answer = grafana.answer(self.command, self.path, dict(self.headers), self._body(raw))
            except Refused as refusal:
                status, answer = refusal.status, refusal.body
            content = b"" if answer is None else json.dumps(answer).encode()
            if fault:
                self._fail(fault, content)
            else:
                self._send(status, content, "application/json; charset=UTF-8")

        do_POST = do_PUT = do_DELETE = do_GET

        def _body(self, raw: bytes) -> Any:
            if not raw:
                return None
            if self.headers.get("Content-Type") != "application/json":
                raise Refused(415, "Content-Type must be application/json")
            try:
                return json.loads(raw)
            except ValueError:
                raise Refused(400, "bad request data") from None

        def _fail(self, fault: Fault, content: bytes) -> None:
            if fault.status:
                body = json.dumps({"message": fault.message or "injected"}).encode()
                self._send(fault.status, body, "application/json", fault.headers)
            elif fault.page:
                self._send(200, b"<!DOCTYPE html><title>Log in</title>", "text/html")
            elif fault.truncate:
                self._send(200, content[: len(content) // 2], "application/json", announced=len(content) + 10)
                self.close_connection = True
            else:
                self.close_connection = True

        def _send(
            self,
            status: int,
            content: bytes,
            kind: str,
            headers: dict[str, str] | None = None,
            announced: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    grafana.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()


def _next_fault(grafana: FakeGrafana, request: str) -> Fault | None:
    for fault in grafana.faults:
        if fault.times and re.search(fault.request, request):
            fault.times -= 1
            return fault
    return None
