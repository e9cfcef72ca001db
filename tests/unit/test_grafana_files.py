"""Provisioning files hold what the API would get, ask for the deletion of what left, and show no secret."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from plugins.filter.grafana_contact_points import grafana_contact_points
from plugins.module_utils.grafana_files import CONTACT_POINTS, POLICIES, PROVIDER, files, rules_path
from plugins.modules.grafana_files import ARGUMENTS, DOCUMENTATION
from tests.grafana_samples import SECRETS, arguments, owner, rule, rules_of

ROOT = Path(__file__).resolve().parents[2]
RULES = rules_path(owner("music-1"))


def documents(given: dict[str, Any], earlier: dict[str, Any] | None = None) -> dict[str, Any]:
    written = files(mount="/etc/grafana/provisioning/", earlier=earlier or {}, **given)
    return {path: json.loads(file.content) for path, file in written.items()}


def given(**changes: Any) -> dict[str, Any]:
    points = [{"disable_resolve_message": False} | point for point in arguments()["contact_points"]]
    return arguments() | {"contact_points": points, "shared": True} | changes


def test_the_files_hold_everything() -> None:
    held = documents(given())
    assert list(held) == [
        "alerting/soundcheck-rules-music-1@test.json",
        "dashboards/soundcheck.yml",
        "dashboards/soundcheck/soundcheck-django.json",
        "dashboards/soundcheck/soundcheck-celery.json",
        "alerting/soundcheck-contact-points.json",
        "alerting/soundcheck-policies.json",
    ]
    (provider,) = held[PROVIDER]["providers"]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards/soundcheck"
    assert (provider["folder"], provider["folderUid"]) == ("Soundcheck", "soundcheck")
    first, second = held[RULES]["groups"]
    assert (first["orgId"], first["name"], first["folder"], first["interval"]) == (
        1,
        "django",
        "Soundcheck",
        "60s",
    )
    assert [entry["uid"] for entry in first["rules"]] == ["soundcheck-cpu", "soundcheck-memory"]
    assert second["rules"][0]["record"]["metric"] == "status:celery_tasks:total"
    (point,) = held[CONTACT_POINTS]["contactPoints"]
    assert [receiver["settings"].get("url") for receiver in point["receivers"]] == [SECRETS["slack"], None]
    assert held[POLICIES]["policies"][0]["receiver"] == "Soundcheck"


def test_a_provisioning_file_is_also_yaml() -> None:
    written = files(mount="/x", earlier={}, **given())
    assert yaml.safe_load(written[PROVIDER].content) == json.loads(written[PROVIDER].content)


def test_the_apis_names_become_those_of_a_file() -> None:
    api = rule(
        "cpu",
        orgID=1,
        folderUID="soundcheck",
        ruleGroup="django",
        keep_firing_for="5m",
        missingSeriesEvalsToResolve=2,
    )
    group = {"title": "django", "interval": 60, "rules": [api]}
    (written,) = documents(given(rule_groups=[group]))[RULES]["groups"][0]["rules"]
    assert {"orgID", "folderUID", "ruleGroup", "keep_firing_for"}.isdisjoint(written)
    assert (written["keepFiringFor"], written["missing_series_evals_to_resolve"]) == ("5m", 2)


def test_a_dollar_is_a_dollar_where_grafana_looks_for_variables() -> None:
    query = {"refId": "A", "datasourceUid": "p", "model": {"expr": "rate(x[$__rate_interval])"}}
    api = rule("cpu", title="5$", labels={"price": "$1"}, data=[query], annotations={"a": "{{ $labels.x }}"})
    policy = {"receiver": "Soundcheck", "object_matchers": [["team", "=~", "a$"]]}
    held = documents(given(rule_groups=[{"title": "g", "interval": 60, "rules": [api]}], policy=policy))
    (written,) = held[RULES]["groups"][0]["rules"]
    assert (written["title"], written["labels"]) == ("5$$", {"price": "$$1"})
    assert written["data"][0]["model"]["expr"] == "rate(x[$__rate_interval])"
    assert written["annotations"] == {"a": "{{ $labels.x }}"}
    assert held[POLICIES]["policies"][0]["object_matchers"] == [["team", "=~", "a$$"]]


def test_what_left_is_asked_to_be_deleted_for_good() -> None:
    first = documents(given())
    less = given(rule_groups=[], contact_points=given()["contact_points"][:1], policy=None)
    second = documents(less, first)
    gone = [{"orgId": 1, "uid": f"soundcheck-{name}"} for name in ("by-status", "cpu", "memory")]
    assert second[RULES] == {"apiVersion": 1, "deleteRules": gone}
    assert second[CONTACT_POINTS]["deleteContactPoints"] == [{"orgId": 1, "uid": "soundcheck-telegram"}]
    assert second[POLICIES] == {"apiVersion": 1, "resetPolicies": [1]}
    assert documents(less, second) == second
    # What comes back is no longer deleted.
    third = documents(given(), second)
    assert "deleteRules" not in third[RULES]
    assert "deleteContactPoints" not in third[CONTACT_POINTS]


def of_host(host: str, *inventory: str, environment: str = "test") -> dict[str, Any]:
    """The files that a host brings besides the first one of an inventory."""
    who = owner(host, environment, inventory or ("music-1", "music-2"))
    return given(rule_groups=[rules_of(host, environment)], owner=who, shared=False)


def test_each_host_has_a_file_of_rules_and_what_all_share_is_there_once() -> None:
    held = documents(of_host("music-1") | {"shared": True})
    second = documents(of_host("music-2"), held)
    assert list(second) == ["alerting/soundcheck-rules-music-2@test.json", RULES]
    assert second[RULES] == held[RULES]
    # Staging's are in a file of their own, and leave the others' alone.
    staging = documents(of_host("music-9", "music-9", environment="staging"), second)
    assert list(staging) == [rules_path(owner("music-9", "staging")), *second]
    assert {path: staging[path] for path in second} == second


def test_the_rules_of_a_host_that_left_are_asked_to_be_deleted_until_it_comes_back() -> None:
    both = documents(of_host("music-2"), documents(of_host("music-1")))
    gone = [{"orgId": 1, "uid": f"soundcheck-{name}-test-music-2"} for name in ("cpu", "memory")]
    alone = documents(of_host("music-1", "music-1"), both)
    assert alone == both | {rules_path(owner("music-2")): {"apiVersion": 1, "deleteRules": gone}}
    assert documents(of_host("music-1", "music-1"), alone) == alone
    assert documents(of_host("music-2"), alone) == both


def test_rules_that_move_to_the_file_of_their_host_are_not_deleted() -> None:
    before = documents(of_host("music-1"))[RULES]
    after = documents(of_host("music-1"), {"alerting/soundcheck-rules.json": before})
    assert after == {RULES: before}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (owner("b", "a"), owner("a", "b")),
        (owner("c", "a-b"), owner("b-c", "a")),
        (owner("c@b", "a"), owner("c", "b@a")),
        (owner("../x", "a"), owner("x", "a")),
    ],
)
def test_no_two_hosts_share_a_file(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert rules_path(one) != rules_path(other)
    assert rules_path(one).count("/") == 1


def test_secrets_stand_apart() -> None:
    api = {"uid": "soundcheck-slack", "name": "S", "type": "slack", "disableResolveMessage": True}
    (point,) = grafana_contact_points([api | {"settings": {"url": "u", "token": "t", "title": "x"}}])
    assert point["settings"] == {"title": "x"}
    assert point["secure_settings"] == {"url": "u", "token": "t"}
    assert point["disable_resolve_message"] is True


def test_an_unknown_kind_of_contact_point_is_refused() -> None:
    expected = "contact point soundcheck-x: type `pager` is none of discord, email, slack, telegram"
    with pytest.raises(AnsibleFilterError, match=expected):
        grafana_contact_points([{"uid": "soundcheck-x", "name": "x", "type": "pager", "settings": {}}])


def play(folder: Path, arguments: dict[str, Any], *options: str) -> str:
    """The module through Ansible, with everything that it prints."""
    # Braces in what a filter returns are no template; in the text of a play they would be one.
    (folder / "given.json").write_text(json.dumps(arguments), encoding="utf-8")
    given = f"lookup('ansible.builtin.file', '{folder}/given.json') | from_json"
    passed = {name: f"{{{{ ({given}).{name} }}}}" for name in arguments}
    tasks = [{"name": "Write", "grafana_files": passed}]
    plays = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(folder / "play.yml"), "-vvv", *options],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
    return done.stdout


def test_the_module_writes_once_and_shows_no_secret(tmp_path: Path) -> None:
    directory = tmp_path / "provisioning"
    wanted = given(directory=str(directory))
    assert "changed=1" in play(tmp_path, wanted, "--check", "--diff")
    assert not directory.exists()
    output = play(tmp_path, wanted, "--diff")
    assert "changed=1" in output
    assert "(secret)" in output
    assert "changed=0" in play(tmp_path, wanted, "--diff")
    secret = directory / CONTACT_POINTS
    assert SECRETS["slack"] in secret.read_text(encoding="utf-8")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o640
    secret.chmod(0o644)
    (directory / "dashboards" / "soundcheck" / "soundcheck-old.json").write_text("{}", encoding="utf-8")
    (directory / "dashboards" / "mine.json").write_text("{}", encoding="utf-8")
    output = play(tmp_path, wanted, "--diff")
    assert "changed=1" in output
    assert stat.S_IMODE(secret.stat().st_mode) == 0o640
    assert not (directory / "dashboards" / "soundcheck" / "soundcheck-old.json").exists()
    assert (directory / "dashboards" / "mine.json").exists()


def documented(options: dict[str, Any]) -> dict[str, Any]:
    return {name: documented(option.get("suboptions", {})) for name, option in options.items()}


def accepted(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: accepted(option.get("options", {})) for name, option in spec.items()}


def test_the_module_documents_what_it_accepts() -> None:
    assert documented(yaml.safe_load(DOCUMENTATION)["options"]) == accepted(ARGUMENTS)
