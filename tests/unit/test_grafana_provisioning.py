"""Dashboards, rules, contact points and a route reach Grafana over HTTP, and only what differs is written.

The Grafana is the fake of tests/fake_grafana.py; what it checks it took from the official API description.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from plugins.module_utils.grafana_api import Grafana, missing_permission
from plugins.module_utils.grafana_apply import Outcome, provision
from plugins.module_utils.grafana_compare import covers, milliseconds, same_route
from plugins.module_utils.grafana_plan import invalid
from plugins.modules.grafana_provisioning import (
    ARGUMENTS,
    DOCUMENTATION,
    failure_of,
    result_of,
    wanted_of,
)
from tests.fake_grafana import TOKEN, FakeGrafana, Fault, running
from tests.grafana_samples import HOSTS, SECRETS, arguments, dashboard, owner, rule, rules_of
from tests.render import Rendering

EVERYTHING = [
    ("folder", "Soundcheck", "created"),
    ("dashboard", "Django", "created"),
    ("dashboard", "Celery", "created"),
    ("contact point", "soundcheck-slack", "created"),
    ("contact point", "soundcheck-telegram", "created"),
    ("notification policy", "route of folder Soundcheck", "created"),
    ("rule group", "django", "created"),
    ("rule group", "celery / tasks", "created"),
]


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with running() as fake:
        yield fake


class Run:
    """What one run of the module did to the fake."""

    def __init__(self, fake: FakeGrafana, given: dict[str, Any], check_mode: bool, token: str) -> None:
        result = ArgumentSpecValidator(ARGUMENTS).validate({"url": fake.url, "token": token} | given)
        assert result.error_messages == []
        parameters = result.validated_parameters
        self.waits: list[float] = []
        before = len(fake.writes)
        self.outcome: Outcome = provision(
            Grafana(fake.url, token, timeout=5, pause=self.waits.append, secrets=tuple(SECRETS.values())),
            wanted_of(parameters),
            disable_provenance=parameters["disable_provenance"],
            check_mode=check_mode,
        )
        self.writes = fake.writes[before:]
        self.result = result_of(self.outcome)
        self.failure = failure_of(self.outcome)
        self.changes = [(c["kind"], c["name"], c["action"]) for c in self.result["changes"]]


def run(
    fake: FakeGrafana, given: dict[str, Any] | None = None, *, check_mode: bool = False, token: str = TOKEN
) -> Run:
    return Run(fake, arguments() if given is None else given, check_mode, token)


def settled(fake: FakeGrafana, given: dict[str, Any] | None = None) -> None:
    """Another run finds everything as it should be."""
    again = run(fake, given)
    assert (again.failure, again.changes, again.writes) == ("", [], [])


def test_the_first_run_creates_and_the_second_changes_nothing(grafana: FakeGrafana) -> None:
    first = run(grafana)
    assert first.failure == ""
    assert first.changes == EVERYTHING
    assert len(first.writes) == len(EVERYTHING)
    settled(grafana)


def test_check_mode_writes_nothing_and_shows_everything(grafana: FakeGrafana) -> None:
    checked = run(grafana, check_mode=True)
    assert (checked.writes, checked.changes) == ([], EVERYTHING)
    shown = {entry["before_header"]: entry for entry in checked.result["diff"]}
    assert shown["dashboard Django"]["before"] == ""
    assert json.loads(shown["dashboard Django"]["after"])["panels"][1]["title"] == "Latency"
    assert json.loads(shown["rule group django"]["after"])["rules"][0]["for"] == "120s"


def test_secrets_are_stored_and_never_shown(grafana: FakeGrafana) -> None:
    first = run(grafana)
    assert grafana.contact_points["soundcheck-slack"]["settings"]["url"] == SECRETS["slack"]
    given = arguments()
    given["contact_points"][0]["secure_settings"]["url"] = "https://hooks.slack.com/services/another-canary"
    second = run(grafana, given)
    assert second.changes == [("contact point", "soundcheck-slack", "updated")]
    (entry,) = second.result["diff"]
    assert json.loads(entry["before"])["settings"]["url"] == "(secret)"
    assert json.loads(entry["after"])["settings"]["url"] == "(secret), another one"
    shown = json.dumps([first.result, second.result])
    assert "canary" not in shown
    assert "-100200300" in shown
    settled(grafana, given)


def change(given: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split("/")
    target: Any = given
    for parent in parents:
        target = target[int(parent) if isinstance(target, list) else parent]
    target[int(last) if isinstance(target, list) else last] = value
    return given


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("dashboards/0/panels/0/title", "All requests", ("dashboard", "Django", "updated")),
        ("dashboards/0/panels", [{"id": 1, "title": "Requests"}], ("dashboard", "Django", "updated")),
        ("rule_groups/0/interval", 120, ("rule group", "django", "updated")),
        ("rule_groups/0/rules", [rule("cpu")], ("rule group", "django", "updated")),
        ("rule_groups/0/rules/0/for", "121s", ("rule group", "django", "updated")),
        ("rule_groups/0/rules/0/labels", {}, ("rule group", "django", "updated")),
        ("rule_groups/0/rules/0/isPaused", True, ("rule group", "django", "updated")),
        ("contact_points/1/settings/chatid", "-1", ("contact point", "soundcheck-telegram", "updated")),
        (
            "contact_points/1/disable_resolve_message",
            True,
            ("contact point", "soundcheck-telegram", "updated"),
        ),
        ("policy/routes", [], ("notification policy", "route of folder Soundcheck", "updated")),
        ("policy", None, ("notification policy", "route of folder Soundcheck", "removed")),
    ],
)
def test_one_difference_is_one_write(
    grafana: FakeGrafana, path: str, value: Any, expected: tuple[str, str, str]
) -> None:
    run(grafana)
    given = change(arguments(), path, value)
    second = run(grafana, given)
    assert (second.failure, second.changes) == ("", [expected])
    assert len(second.writes) == 1
    settled(grafana, given)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rule_groups/0/rules/0/for", "2m"),
        ("policy/repeat_interval", "4h"),
        ("policy/routes/0/continue", None),
    ],
)
def test_the_same_said_otherwise_is_no_difference(grafana: FakeGrafana, path: str, value: Any) -> None:
    run(grafana)
    settled(grafana, change(arguments(), path, value))


def test_what_left_the_catalogue_disappears(grafana: FakeGrafana) -> None:
    run(grafana)
    given = arguments()
    given["dashboards"].pop()
    given["rule_groups"].pop()
    given["contact_points"].pop()
    assert run(grafana, given).changes == [
        ("dashboard", "Celery", "removed"),
        ("alert rule", "by-status", "removed"),
        ("contact point", "soundcheck-telegram", "removed"),
    ]
    assert list(grafana.dashboards) == ["soundcheck-django"]
    settled(grafana, given)
    nothing = {"folder": given["folder"], "owner": given["owner"]}
    assert run(grafana, nothing).failure == ""
    assert (grafana.dashboards, grafana.rules, grafana.contact_points) == ({}, {}, {})
    assert "routes" not in grafana.policy
    settled(grafana, nothing)


def of_host(
    host: str, environment: str = "test", inventory: tuple[str, ...] = HOSTS, *, shared: bool = False
) -> dict[str, Any]:
    """What a host brings; one of an inventory also what all share."""
    own = {"rule_groups": [rules_of(host, environment)], "owner": owner(host, environment, inventory)}
    return arguments() | own | {"shared": shared}


def hosts_with_rules(fake: FakeGrafana) -> list[tuple[str, str]]:
    return sorted({(held["labels"]["environment"], held["labels"]["host"]) for held in fake.rules.values()})


def test_each_host_brings_its_rules_and_one_what_all_share(grafana: FakeGrafana) -> None:
    first, second = of_host("music-1", shared=True), of_host("music-2")
    assert len(run(grafana, first).changes) == 7
    others = copy.deepcopy((grafana.dashboards, grafana.contact_points, grafana.policy))
    assert run(grafana, second).changes == [("rule group", "soundcheck-test-music-2-django", "created")]
    assert hosts_with_rules(grafana) == [("test", "music-1"), ("test", "music-2")]
    assert (grafana.dashboards, grafana.contact_points, grafana.policy) == others
    # With --limit the second is the first of the run.
    for given in (first, second, second | {"shared": True}):
        settled(grafana, given)


def test_a_host_asks_for_its_rules_alone(grafana: FakeGrafana) -> None:
    run(grafana, of_host("music-2"))
    grafana.denied += ["contact-points", "policies", "/api/dashboards", "/api/search"]
    settled(grafana, of_host("music-2"))


def test_a_host_that_left_the_inventory_takes_its_rules_along(grafana: FakeGrafana) -> None:
    run(grafana, of_host("music-1", shared=True))
    run(grafana, of_host("music-2"))
    run(grafana, of_host("music-1", "staging", ("music-1",)))
    left = run(grafana, of_host("music-1", inventory=("music-1",)))
    assert left.changes == [("alert rule", f"{name}-test-music-2", "removed") for name in ("cpu", "memory")]
    assert hosts_with_rules(grafana) == [("staging", "music-1"), ("test", "music-1")]


@pytest.mark.parametrize(
    ("labels", "stays"),
    [
        ({"environment": "test", "host": "music-1"}, False),
        ({"environment": "test", "host": "music-2"}, True),
        ({"environment": "test", "host": "music-0"}, False),
        ({"environment": "staging", "host": "music-1"}, True),
        ({"environment": "staging", "host": "music-0"}, True),
        ({"environment": "test"}, False),
        ({"host": "music-2"}, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_only_what_nobody_else_owns_is_removed(
    grafana: FakeGrafana, labels: dict[str, str] | None, stays: bool, shared: bool
) -> None:
    run(grafana, of_host("music-1", shared=True))
    held = rule("left", folderUID="soundcheck", ruleGroup="left", provenance="api", labels=labels)
    grafana.rules["soundcheck-left"] = held
    removed = [] if stays else [("alert rule", "left", "removed")]
    assert run(grafana, of_host("music-1", shared=shared)).changes == removed
    assert ("soundcheck-left" in grafana.rules) is stays


def test_the_catalogue_as_it_is_is_created_once(grafana: FakeGrafana) -> None:
    """All dashboards, rules and contact points of the project, of two hosts."""

    def catalogue(host: str, *, shared: bool) -> dict[str, Any]:
        labels = {"environment": "test", "host": host}
        points: dict[str, Any] = {kind: {} for kind in ("slack", "discord")} | {"telegram": {"chat_id": -1}}
        rendering = Rendering(settings={"metric_catalogue_external_labels": labels, "contact_points": points})
        return {
            "folder": {"uid": "soundcheck", "title": "Soundcheck"},
            "dashboards": rendering.value("metric_catalogue_dashboards"),
            "rule_groups": rendering.value("metric_catalogue_grafana_rule_groups"),
            "contact_points": rendering.value("contact_points_grafana | grafana_contact_points"),
            "policy": rendering.value("contact_points_policy"),
            "owner": owner(host),
            "shared": shared,
        }

    hosts = [catalogue("music-1", shared=True), catalogue("music-2", shared=False)]
    first = [run(grafana, given) for given in hosts]
    assert [made.failure for made in first] == ["", ""]
    assert {action for made in first for _kind, _name, action in made.changes} == {"created"}
    rules = {entry["uid"] for given in hosts for group in given["rule_groups"] for entry in group["rules"]}
    assert set(grafana.rules) == rules
    assert set(grafana.dashboards) == {board["uid"] for board in hosts[0]["dashboards"]}
    assert len(grafana.contact_points) == 3
    for given in hosts:
        settled(grafana, given)


def test_an_edit_in_the_ui_is_brought_back(grafana: FakeGrafana) -> None:
    run(grafana)
    model = copy.deepcopy(grafana.dashboards["soundcheck-django"]["model"])
    model["panels"][0]["title"] = "renamed by hand"
    grafana.save_dashboard(model, "soundcheck")
    grafana.rules["soundcheck-cpu"]["annotations"]["note"] = "by hand"
    assert run(grafana).changes == [("dashboard", "Django", "updated"), ("rule group", "django", "updated")]
    assert grafana.dashboards["soundcheck-django"]["model"]["panels"][0]["title"] == "Requests"
    settled(grafana)


def by_hand(fake: FakeGrafana) -> None:
    """What a person made: dashboards in and out of our folder, a rule, a contact point, a route."""
    fake.save_dashboard({"uid": "byHand1", "title": "Mine", "tags": ["soundcheck"]}, "soundcheck")
    fake.save_dashboard({"uid": "byHand2", "title": "Django", "tags": []}, "elsewhere")
    mine = rule("x", uid="byHand3", title="cpu", folderUID="soundcheck", ruleGroup="mine", provenance="")
    fake.rules["byHand3"] = mine
    point = {"uid": "byHand4", "name": "Mine", "type": "email", "settings": {"addresses": "a@b.c"}}
    fake.contact_points["byHand4"] = point | {"disableResolveMessage": False, "provenance": ""}
    fake.policy["routes"] = [{"receiver": "Mine", "object_matchers": [["team", "=", "me"]]}]


def test_what_was_made_by_hand_survives(grafana: FakeGrafana) -> None:
    run(grafana)
    by_hand(grafana)
    kept = copy.deepcopy(grafana.policy["routes"])
    given = arguments() | {"dashboards": [dashboard("django", "Requests")]}
    assert run(grafana, given).failure == ""
    assert run(grafana, {"folder": given["folder"], "owner": given["owner"]}).failure == ""
    assert set(grafana.dashboards) == {"byHand1", "byHand2"}
    assert set(grafana.rules) == {"byHand3"}
    assert set(grafana.contact_points) == {"byHand4"}
    assert grafana.policy["routes"] == kept


def test_the_policy_of_others_keeps_its_routes_and_stays_editable(grafana: FakeGrafana) -> None:
    by_hand(grafana)
    assert run(grafana).failure == ""
    first, second = grafana.policy["routes"]
    assert first["object_matchers"] == [["grafana_folder", "=", "Soundcheck"]]
    assert second["receiver"] == "Mine"
    assert grafana.policy["receiver"] == "grafana-default-email"
    assert "provenance" not in grafana.policy
    # Moved in the UI below another route, it stays there.
    grafana.policy["routes"] = [second, first]
    settled(grafana)
    assert run(grafana, change(arguments(), "policy/group_wait", "1m")).failure == ""
    assert [route["receiver"] for route in grafana.policy["routes"]] == ["Mine", "Soundcheck"]
    # A tree that another tool provisions keeps that mark.
    grafana.policy["provenance"] = "api"
    run(grafana)
    assert grafana.policy["provenance"] == "api"


def handmade_group(fake: FakeGrafana) -> None:
    run(fake)
    fake.rules["byHand"] = fake.rules["soundcheck-cpu"] | {"uid": "byHand", "title": "Mine", "provenance": ""}


def handmade_dashboard(fake: FakeGrafana) -> None:
    fake.save_dashboard(
        {"uid": "soundcheck-django", "title": "Imported", "tags": ["soundcheck"]}, "elsewhere"
    )


def namesake_dashboard(fake: FakeGrafana) -> None:
    fake.folders["soundcheck"] = {"uid": "soundcheck", "title": "Soundcheck", "version": 1}
    fake.save_dashboard({"uid": "byHand", "title": "Django", "tags": []}, "soundcheck")


def namesake_contact_point(fake: FakeGrafana) -> None:
    point = {"uid": "byHand", "name": "Soundcheck", "type": "email", "settings": {"addresses": "a@b.c"}}
    fake.contact_points["byHand"] = point | {"disableResolveMessage": False, "provenance": ""}


def retitled_folder(fake: FakeGrafana) -> None:
    fake.folders["soundcheck"] = {"uid": "soundcheck", "title": "Music", "version": 7}


def moved_rule(fake: FakeGrafana) -> None:
    fake.rules["soundcheck-cpu"] = rule("cpu", folderUID="other", ruleGroup="django", provenance="api")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (handmade_group, "alert rule `Mine` in group `django` was made by hand: move it to another group"),
        (
            handmade_dashboard,
            "dashboard `Imported` (soundcheck-django) in folder `General` was not made by Soundcheck",
        ),
        (namesake_dashboard, "dashboard `Django` (byHand) was made by hand: rename or remove it"),
        (namesake_contact_point, "contact point `Soundcheck` of type email (byHand) was made by hand"),
        (retitled_folder, "folder soundcheck is titled `Music`, not `Soundcheck`"),
        (moved_rule, "alert rule `cpu` (soundcheck-cpu) lies in folder other, not in soundcheck"),
    ],
)
def test_what_stands_in_the_way_is_named_and_nothing_is_written(
    grafana: FakeGrafana, made: Callable[[FakeGrafana], None], expected: str
) -> None:
    made(grafana)
    refused = run(grafana)
    assert refused.failure.startswith("1 thing stands in the way, nothing was changed:\n  ")
    assert expected in refused.failure
    assert "or set grafana_provisioning_overwrite: true" in refused.failure
    assert (refused.writes, refused.changes) == ([], [])
    told = run(grafana, arguments() | {"overwrite": True})
    assert told.failure == ""
    assert told.changes
    settled(grafana, arguments() | {"overwrite": True})


def test_what_a_file_provisions_is_left_to_the_file(grafana: FakeGrafana) -> None:
    run(grafana)
    grafana.dashboards["soundcheck-django"]["provisioned"] = True
    grafana.rules["soundcheck-cpu"]["provenance"] = "file"
    grafana.contact_points["soundcheck-slack"]["provenance"] = "file"
    grafana.policy["provenance"] = "file"
    refused = run(grafana, change(arguments(), "policy/group_wait", "1m") | {"overwrite": True})
    assert refused.failure.count("provisioning file") == 4
    assert refused.writes == []


@pytest.mark.parametrize(("asked", "stored"), [(False, "api"), (True, "")])
def test_provenance_is_the_operators_choice(grafana: FakeGrafana, asked: bool, stored: str) -> None:
    given = arguments() | {"disable_provenance": asked}
    run(grafana, given)
    assert {held["provenance"] for held in grafana.rules.values()} == {stored}
    assert {held["provenance"] for held in grafana.contact_points.values()} == {stored}
    settled(grafana, given)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /api/folders", status=500),
        Fault("GET /api/v1/provisioning/policies", status=503, times=3),
        Fault("GET /api/v1/provisioning/alert-rules", truncate=True, after=True),
        Fault("GET /api/dashboards/uid", drop=True),
        Fault("GET /api/v1/provisioning/contact-points", page=True),
        Fault("POST /api/folders", drop=True, after=True),
        Fault("POST /api/folders", status=500),
        Fault("POST /api/dashboards/db", status=412, message="changed by someone else"),
        Fault("POST /api/dashboards/db", truncate=True, after=True),
        Fault("POST /api/dashboards/db", drop=True),
        Fault("POST /api/v1/provisioning/contact-points", drop=True, after=True),
        Fault("PUT /api/v1/provisioning/policies", status=409, message="version conflict"),
        Fault("PUT .*/rule-groups/django", status=500, after=True),
        Fault("PUT .*/rule-groups/django", status=404, message="folder does not exist"),
        Fault("PUT .*/rule-groups/django", page=True, after=True),
    ],
    ids=lambda fault: (
        f"{fault.request} {fault.status or ''}{fault.truncate}{fault.drop}{fault.page}{fault.after}"
    ),
)
def test_what_passes_is_sat_out(grafana: FakeGrafana, fault: Fault) -> None:
    grafana.faults.append(fault)
    first = run(grafana)
    assert (first.failure, sorted(first.changes)) == ("", sorted(EVERYTHING))
    assert first.waits
    settled(grafana)


@pytest.mark.parametrize(
    ("headers", "waited"),
    [({"Retry-After": "7"}, 7.0), ({"Retry-After": "Tue, 24 Nov 2020 10:00:00 GMT"}, 1.0), ({}, 1.0)],
)
@pytest.mark.parametrize("request_", ["GET /api/folders", "POST /api/dashboards/db"])
def test_429_waits_as_long_as_grafana_asks(
    grafana: FakeGrafana, request_: str, headers: dict[str, str], waited: float
) -> None:
    grafana.faults.append(Fault(request_, status=429, headers=headers))
    first = run(grafana)
    assert (first.failure, first.changes, first.waits) == ("", EVERYTHING, [waited])
    settled(grafana)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("GET /api/folders", status=500, times=9), "HTTP 500 Internal Server Error: injected, 4 times"),
        (
            Fault("GET .*/policies", drop=True, times=9),
            "Remote end closed connection without response, 4 times",
        ),
        (Fault("GET .*/policies", page=True, times=9), "the answer is not JSON (text/html), 4 times"),
        (Fault("GET .*/policies", truncate=True, after=True, times=9), "the answer breaks off after"),
        (Fault("POST /api/folders", status=429, times=9), "HTTP 429 Too Many Requests: injected, 4 times"),
        (
            Fault("POST /api/folders", status=429, headers={"Retry-After": "3600"}),
            "it asks to wait 3600 s: run again later",
        ),
        (Fault("POST /api/folders", status=409, times=9), "HTTP 409 Conflict: injected, 4 times"),
        (
            Fault("POST /api/dashboards", status=412, times=9),
            "HTTP 412 Precondition Failed: injected, 4 times",
        ),
        (Fault("GET .*/alert-rules", status=404), "HTTP 404; is grafana_url a Grafana with its own alerting"),
        (Fault("POST /api/folders", status=400, message="bad"), "HTTP 400 Bad Request: bad"),
        (
            Fault("POST .*/contact-points", status=400, message=f"invalid url {SECRETS['slack']}"),
            "HTTP 400 Bad Request: invalid url (secret)",
        ),
        (
            Fault("GET /api/folders", status=302, headers={"Location": "http://elsewhere/login"}),
            "HTTP 302 Found to http://elsewhere/login",
        ),
    ],
)
def test_what_does_not_pass_is_said_and_the_next_run_completes(
    grafana: FakeGrafana, fault: Fault, expected: str
) -> None:
    grafana.faults.append(fault)
    first = run(grafana)
    assert expected in first.failure
    assert "canary" not in first.failure
    assert len(first.waits) <= 9
    grafana.faults.clear()
    assert run(grafana).failure == ""
    settled(grafana)


def test_a_connection_that_dies_in_the_middle_is_completed_by_the_next_run(grafana: FakeGrafana) -> None:
    grafana.faults.append(Fault("PUT .*/policies", dead=True))
    first = run(grafana)
    assert "closed connection" in first.failure
    assert "5 changes were made before, the next run completes them" in first.failure
    assert first.changes == EVERYTHING[:5]
    grafana.dead = False
    second = run(grafana)
    assert (second.failure, second.changes) == ("", EVERYTHING[5:])
    settled(grafana)


def test_nobody_answers() -> None:
    with running() as fake:
        url = fake.url
    outcome = provision(
        Grafana(url, TOKEN, pause=lambda _seconds: None),
        wanted_of(
            ArgumentSpecValidator(ARGUMENTS)
            .validate(arguments() | {"url": url, "token": TOKEN})
            .validated_parameters
        ),
        disable_provenance=False,
        check_mode=False,
    )
    assert failure_of(outcome).endswith("connection refused, 4 times")


def test_a_wrong_token_is_said(grafana: FakeGrafana) -> None:
    refused = run(grafana, token="glsa_wrong")
    assert "HTTP 401 Unauthorized: Invalid API key" in refused.failure
    assert "vault_grafana_token" in refused.failure
    assert "glsa_wrong" not in refused.failure
    assert refused.waits == []


@pytest.mark.parametrize(
    ("denied", "permission"),
    [
        ("GET /api/folders", "folders:read"),
        ("POST /api/folders", "folders:create"),
        ("GET /api/dashboards/uid", "dashboards:read"),
        ("POST /api/dashboards/db", "dashboards:create and dashboards:write"),
        ("GET /api/v1/provisioning/policies", "alert.provisioning:read"),
        ("PUT /api/v1/provisioning/policies", "alert.provisioning:write"),
    ],
)
def test_a_weak_token_is_told_the_missing_permission(
    grafana: FakeGrafana, denied: str, permission: str
) -> None:
    grafana.denied.append(denied)
    refused = run(grafana)
    assert f"the service account needs {permission}; the basic role Admin has it" in refused.failure
    assert refused.waits == []


def test_reading_secrets_needs_a_permission_of_its_own(grafana: FakeGrafana) -> None:
    run(grafana)
    grafana.denied.append("decrypt=true")
    assert "needs alert.provisioning.secrets:read" in run(grafana).failure


@pytest.mark.parametrize(
    ("request_", "permission"),
    [
        ("PUT /api/folders/x", "folders:write"),
        ("DELETE /api/dashboards/uid/x", "dashboards:delete"),
        ("GET /api/dashboards/uid/x/versions?limit=1", "dashboards:write"),
        ("POST /api/annotations", "annotations:create"),
        ("POST /api/alertmanager/grafana/api/v2/silences", "alert.instances:create"),
        ("GET /api/unheard-of", "the basic role Admin"),
    ],
)
def test_every_request_has_its_permission(request_: str, permission: str) -> None:
    assert f"needs {permission}" in missing_permission(*request_.split(" "))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("dashboards/0/uid", "django", "dashboards: uid `django` of `Django` must begin with soundcheck-"),
        ("dashboards/0/uid", "soundcheck-" + "x" * 30, "and have 40 characters at most"),
        (
            "dashboards/1/uid",
            "soundcheck-django",
            "dashboards: uid `soundcheck-django` of `Celery` is used twice",
        ),
        ("rule_groups/0/rules/0/uid", None, "rule_groups: uid `` of `cpu` must begin with soundcheck-"),
        ("contact_points/0/uid", "slack", "contact_points: uid `slack` of `Soundcheck` must begin with"),
    ],
)
def test_uids_that_could_not_be_told_from_others_are_refused(path: str, value: Any, expected: str) -> None:
    given = change(arguments(), path, value) | {"url": "http://x", "token": "t"}
    # A missing uid of a contact point is the argument spec's business.
    wanted = wanted_of(ArgumentSpecValidator(ARGUMENTS).validate(given).validated_parameters)
    (problem,) = invalid(wanted)
    assert expected in problem


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"labels": {"a": "1"}}, {"labels": {"a": "1", "b": "2"}}, False),
        ({"labels": {}}, {}, True),
        ({"rules": []}, {}, True),
        ([1, 2], [1], False),
        ({"for": "90m"}, {"for": "1h30m"}, True),
        ({"for": "90m"}, {"for": "1h"}, False),
        ({"for": "later"}, {"for": "soon"}, False),
        ({"x": True}, {"x": 1}, False),
        ({"x": False}, {}, True),
        ({"x": 0}, {}, False),
        ({"x": {"y": 1}}, {"x": "y"}, False),
        ({"x": [1]}, {"x": "1"}, False),
    ],
)
def test_what_counts_as_a_difference(wanted: Any, found: Any, same: bool) -> None:
    assert covers(wanted, found) is same


def test_a_route_with_a_setting_too_many_differs() -> None:
    assert not same_route({"receiver": "a"}, {"receiver": "a", "group_wait": "1m"})
    assert milliseconds("1h30m5s10ms") == 5_405_010
    assert milliseconds("0") == 0
    assert milliseconds("5 minutes") is None


def documented(options: dict[str, Any]) -> dict[str, Any]:
    return {name: documented(option.get("suboptions", {})) for name, option in options.items()}


def accepted(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: accepted(option.get("options", {})) for name, option in spec.items()}


def test_the_module_documents_what_it_accepts() -> None:
    assert documented(yaml.safe_load(DOCUMENTATION)["options"]) == accepted(ARGUMENTS)
