"""The fake refuses what Grafana's API description refuses: a test against it can fail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_grafana import TOKEN, FakeGrafana, Refused
from tests.grafana_samples import dashboard, rule

PROVISIONING = "/api/v1/provisioning"
GROUP = f"PUT {PROVISIONING}/folder/soundcheck/rule-groups/g"
PLACES = {"folderUID": "soundcheck", "ruleGroup": "g", "orgID": 1}


def group(**changes: Any) -> dict[str, Any]:
    changed = rule("cpu", **PLACES) | changes
    return {"interval": 60, "rules": [{name: value for name, value in changed.items() if value is not ...}]}


def point(**changes: Any) -> dict[str, Any]:
    return {"uid": "a", "name": "A", "type": "slack", "settings": {"url": "u"}} | changes


def silence(**changes: Any) -> dict[str, Any]:
    matcher = {"name": "host", "value": "music-1", "isRegex": False}
    times = {"startsAt": "2026-11-24T08:00:00Z", "endsAt": "2026-11-24T09:00:00Z"}
    return {"matchers": [matcher], "createdBy": "kim", "comment": "x"} | times | changes


SOUND = [
    ("POST /api/folders", {"uid": "other", "title": "Other"}),
    (
        "POST /api/dashboards/db",
        {"dashboard": dashboard("x"), "folderUid": "soundcheck", "message": "", "overwrite": False},
    ),
    (GROUP, group()),
    (f"POST {PROVISIONING}/contact-points", point()),
    (f"PUT {PROVISIONING}/policies", {"receiver": "grafana-default-email"}),
    ("POST /api/annotations", {"text": "x", "tags": ["a"], "time": 1}),
    ("POST /api/alertmanager/grafana/api/v2/silences", silence()),
]
UNSOUND = [
    ("POST /api/folders", {"uid": "other"}, 400, "title is required"),
    ("POST /api/folders", {"uid": "soundcheck", "title": "x"}, 409, "already exists"),
    ("PUT /api/folders/soundcheck", {"title": "x", "version": 9}, 412, "changed by someone else"),
    ("POST /api/dashboards/db", {"folderUid": "soundcheck"}, 400, "dashboard is required"),
    (GROUP, group(condition=...), 400, "condition is required"),
    (GROUP, group(condition="Z"), 400, "condition Z does not exist"),
    (GROUP, group(noDataState="Unknown"), 400, "unknown noDataState"),
    (GROUP, group(orgID=True), 400, "orgID must be int"),
    (GROUP, group(**{"for": "soon"}), 400, "not a valid duration"),
    (GROUP, group(expr="up"), 400, "expr is no field"),
    (GROUP, group(data=[{"refId": "B"}]), 400, "datasourceUid and model are required"),
    (GROUP, group() | {"interval": 61}, 400, "multiple of the scheduler's 10 seconds"),
    (GROUP.replace("/soundcheck/", "/nowhere/"), group(), 404, "folder does not exist"),
    (f"POST {PROVISIONING}/contact-points", point(settings="u"), 400, "settings must be dict"),
    (f"POST {PROVISIONING}/contact-points", point(type="pager"), 400, "unknown receiver type"),
    (f"POST {PROVISIONING}/contact-points", point(uid="a b"), 400, "uid does not fit"),
    (f"PUT {PROVISIONING}/contact-points/none", point(), 404, "contact point not found"),
    (f"PUT {PROVISIONING}/policies", {"group_by": ["x"]}, 400, "must specify a default receiver"),
    (f"PUT {PROVISIONING}/policies", {"receiver": "nobody"}, 400, "receiver 'nobody' does not exist"),
    (
        f"PUT {PROVISIONING}/policies",
        {"receiver": "grafana-default-email", "routes": [{"object_matchers": [["a", "b"]]}]},
        400,
        "invalid object matcher",
    ),
    ("POST /api/annotations", {"tags": []}, 400, "text is required"),
    ("POST /api/annotations", {"text": "x", "time": 1.5}, 400, "time must be int"),
    ("POST /api/alertmanager/grafana/api/v2/silences", silence(matchers=[]), 400, "at least 1 items"),
    (
        "POST /api/alertmanager/grafana/api/v2/silences",
        silence(endsAt="2026-11-24T07:00:00Z"),
        400,
        "start time must be before end time",
    ),
    ("GET /api/health", None, 501, "the fake knows no GET /api/health"),
]


def asked(request: str, body: Any, token: str = TOKEN) -> int:
    fake = FakeGrafana()
    fake.folders["soundcheck"] = {"uid": "soundcheck", "title": "Soundcheck", "version": 1}
    method, path = request.split(" ")
    return fake.answer(method, path, {"Authorization": f"Bearer {token}"}, body)[0]


@pytest.mark.parametrize(("request_", "body"), SOUND, ids=[request for request, _ in SOUND])
def test_what_is_described_is_taken(request_: str, body: Any) -> None:
    assert asked(request_, body) in (200, 202)


@pytest.mark.parametrize(("request_", "body", "status", "message"), UNSOUND)
def test_what_is_not_described_is_refused(request_: str, body: Any, status: int, message: str) -> None:
    with pytest.raises(Refused, match=message) as refusal:
        asked(request_, body)
    assert refusal.value.status == status


def test_nobody_is_let_in_without_the_token() -> None:
    with pytest.raises(Refused, match="Invalid API key"):
        asked("POST /api/folders", {"uid": "other", "title": "Other"}, token="glsa_other")
