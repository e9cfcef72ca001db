"""The roles for Grafana through real runs of Ansible against the fake; no secret is ever printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_grafana import TOKEN, FakeGrafana, Fault, running
from tests.grafana_samples import HOSTS, SECRETS, arguments, dashboard, rules_of

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = [
    {
        "name": "Provision",
        "ansible.builtin.import_role": {"name": "grafana_provisioning"},
        # Where the catalogue's default stands, which the variables of other hosts do not show either.
        "vars": {
            "metric_catalogue_external_labels": {"environment": "test", "host": "{{ inventory_hostname }}"}
        },
    }
]
# In the inventory, and no host of the play.
ABSENT = """music-3
music-4 metric_catalogue_external_labels='{"environment": "test", "host": "cellar"}'
"""
# As the playbooks do: a deploy that begins, changes something or fails, and ends.
TIMELINE: list[dict[str, Any]] = [
    {
        "name": "Begin",
        "ansible.builtin.import_role": {"name": "deploy_timeline", "tasks_from": "begin"},
    },
    {
        "name": "Deploy",
        "block": [
            {"name": "Work", "ansible.builtin.command": "{{ work }}", "register": "__work"},
        ],
        "always": [
            {
                "name": "Mark the failure",
                "ansible.builtin.import_role": {"name": "deploy_timeline", "tasks_from": "end"},
                "vars": {"deploy_timeline_result": "App not deployed"},
                "when": "__work is failed",
            }
        ],
    },
    {
        "name": "Mark the success",
        "ansible.builtin.import_role": {"name": "deploy_timeline", "tasks_from": "end"},
        "vars": {"deploy_timeline_result": "Deployed and verified"},
        "when": "__work is changed",
    },
]


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with running() as fake:
        yield fake


def api_contact_points() -> list[dict[str, Any]]:
    """As the role contact_points gives them, with secrets among the settings."""
    return [
        {name: point[name] for name in ("uid", "name", "type")}
        | {"settings": point["settings"] | point["secure_settings"], "disableResolveMessage": False}
        for point in arguments()["contact_points"]
    ]


class Play:
    """Plays against two hosts that are this machine."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        given = arguments()
        # Data, not templates: what the catalogue's filters return holds braces of Grafana's own.
        data = {
            "dashboards": given["dashboards"],
            "rule_groups": {host: [rules_of(host)] for host in HOSTS},
            "contact_points": api_contact_points(),
            "policy": given["policy"],
        }
        self.write(data)
        read = f"(lookup('ansible.builtin.file', '{folder}/data.json') | from_json)"
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "soundcheck_artifacts": str(folder / "artifacts"),
            "environment_name": "test",
            "metrics_backend_enabled": False,
            "container_images_refs": {"app": "music:2026-11-24"},
            "deploy_timeline_actor": "kim",
            "grafana_url": url,
            "vault_grafana_token": TOKEN,
            "metric_catalogue_dashboards": f"{{{{ {read}.dashboards }}}}",
            "metric_catalogue_grafana_rule_groups": f"{{{{ {read}.rule_groups[inventory_hostname] }}}}",
            "contact_points_grafana": f"{{{{ {read}.contact_points }}}}",
            "contact_points_policy": f"{{{{ {read}.policy }}}}",
        }

    def write(self, data: dict[str, Any]) -> None:
        (self.folder / "data.json").write_text(json.dumps(data), encoding="utf-8")

    def run(self, tasks: list[dict[str, Any]], *options: str, **variables: Any) -> tuple[int, str]:
        (self.folder / "hosts").write_text(f"music-1\nmusic-2\n{ABSENT}", encoding="utf-8")
        play = [{"name": "Test", "hosts": ",".join(HOSTS), "gather_facts": False, "tasks": tasks}]
        (self.folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
        settings = {name: value for name, value in (self.variables | variables).items() if value is not None}
        (self.folder / "group_vars").mkdir(exist_ok=True)
        (self.folder / "group_vars" / "all.yml").write_text(json.dumps(settings), encoding="utf-8")
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "hosts")),
                *(str(self.folder / "play.yml"), *options),
            ],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        output = done.stdout + done.stderr
        for secret in (*SECRETS.values(), "canary", TOKEN):
            assert secret not in output
        return done.returncode, output


def rules(fake: FakeGrafana) -> set[str]:
    return {group["ruleGroup"] for group in fake.rules.values()}


def earlier_rules(fake: FakeGrafana) -> None:
    """Of hosts outside the play: one left the inventory, two did not, one is of another environment."""
    for environment, host in (("test", "gone"), ("test", "music-3"), ("test", "cellar"), ("staging", "gone")):
        group = rules_of(host, environment)
        places = {"folderUID": "soundcheck", "ruleGroup": group["title"], "provenance": "api"}
        fake.rules |= {entry["uid"]: entry | places for entry in group["rules"]}


def test_a_whole_inventory_is_provisioned_once(grafana: FakeGrafana, tmp_path: Path) -> None:
    play = Play(tmp_path, grafana.url)
    earlier_rules(grafana)
    code, output = play.run(PROVISIONING, "-vvv", "--diff", "--check")
    assert (code, grafana.writes) == (0, [])
    assert '+  "title": "Django",' in output
    assert not (tmp_path / "artifacts").exists()

    code, output = play.run(PROVISIONING, "-vvv", "--diff")
    assert code == 0, output
    assert '"url": "(secret)"' in output
    assert set(grafana.dashboards) == {"soundcheck-django", "soundcheck-celery"}
    assert grafana.contact_points["soundcheck-slack"]["settings"]["url"] == SECRETS["slack"]
    assert grafana.rules["soundcheck-cpu-test-music-2"]["annotations"] == {"summary": "{{ $labels.host }}"}
    stayed = {f"soundcheck-{host}-django" for host in ("test-music-3", "test-cellar", "staging-gone")}
    assert rules(grafana) == stayed | {f"soundcheck-test-{host}-django" for host in HOSTS}
    written = len(grafana.writes)
    assert output.count("changed=1") == 2

    artifacts = tmp_path / "artifacts" / "grafana"
    assert (artifacts / "dashboards" / "soundcheck" / "soundcheck-django.json").exists()
    for host in HOSTS:
        assert (artifacts / "alerting" / f"soundcheck-rules-{host}@test.json").exists()
    assert not (artifacts / "alerting" / "soundcheck-contact-points.json").exists()

    code, output = play.run(PROVISIONING, "-vvv", "--diff")
    assert code == 0
    assert output.count("changed=0") == 2
    assert len(grafana.writes) == written

    # One host of two, with a weak token, and what Grafana quotes of it.
    grafana.denied.append("GET /api/v1/provisioning/contact-points/export")
    code, output = play.run(PROVISIONING, "--limit", "music-2")
    assert (code, len(grafana.writes)) == (2, written)
    assert "the service account needs alert.provisioning.secrets:read" in output


def test_an_empty_catalogue_does_not_empty_grafana(grafana: FakeGrafana, tmp_path: Path) -> None:
    code, output = Play(tmp_path, grafana.url).run(PROVISIONING, metric_catalogue_dashboards=None)
    assert code == 2
    assert "metric_catalogue_dashboards has 0 entries" in output
    assert grafana.requests == []


def test_without_a_grafana_there_are_files_to_import_and_nothing_is_marked(tmp_path: Path) -> None:
    play = Play(tmp_path, "")
    settings = {"vault_grafana_token": None, "work": "true", "grafana_silence_minutes": 15}
    code, output = play.run([*PROVISIONING, *TIMELINE], **settings)
    assert code == 0, output
    assert "WARNING" not in output
    assert (tmp_path / "artifacts" / "grafana" / "dashboards" / "soundcheck.yml").exists()


def test_a_grafana_of_ones_own_gets_files(tmp_path: Path) -> None:
    play = Play(tmp_path, "")
    directory = tmp_path / "provisioning"
    settings: dict[str, Any] = {
        "grafana_provisioning_delivery": "files",
        "grafana_provisioning_directory": str(directory),
        "grafana_provisioning_group": os.getgid(),
    }
    code, output = play.run(PROVISIONING, "-vvv", "--diff", **settings)
    assert code == 0, output
    assert SECRETS["telegram"] in (directory / "alerting" / "soundcheck-contact-points.json").read_text()
    assert (directory / "dashboards" / "soundcheck" / "soundcheck-celery.json").exists()
    one, other = (directory / "alerting" / f"soundcheck-rules-{host}@test.json" for host in HOSTS)
    before = one.read_text(encoding="utf-8")
    less = rules_of("music-2")
    less["rules"].pop()
    play.write({"dashboards": [dashboard("django")], "rule_groups": {"music-2": [less]}})
    nothing = {"contact_points_grafana": None, "contact_points_policy": None}
    # Whatever host it is about, the files are where Grafana runs.
    code, output = play.run(PROVISIONING, "-vv", "--limit", "music-2", **settings, **nothing)
    assert code == 0, output
    assert "changed: [music-2 -> music-1]" in output
    assert not (directory / "dashboards" / "soundcheck" / "soundcheck-celery.json").exists()
    assert one.read_text(encoding="utf-8") == before
    held = json.loads(other.read_text(encoding="utf-8"))
    assert held["deleteRules"] == [{"orgId": 1, "uid": "soundcheck-memory-test-music-2"}]


def test_a_deploy_is_on_the_timeline(grafana: FakeGrafana, tmp_path: Path) -> None:
    play = Play(tmp_path, grafana.url)
    code, output = play.run(TIMELINE, "-vvv", work="true", grafana_silence_minutes=15)
    assert code == 0, output
    assert {tuple(entry["tags"]) for entry in grafana.annotations} == {
        ("soundcheck-deploy", "test", "music-1"),
        ("soundcheck-deploy", "test", "music-2"),
    }
    assert all(
        entry["text"].startswith("Deployed and verified: music:2026-11-24, by kim, in ")
        for entry in grafana.annotations
    )
    hosts = [
        {matcher["name"]: matcher["value"] for matcher in entry["matchers"]} for entry in grafana.silences
    ]
    assert sorted(host["host"] for host in hosts) == ["music-1", "music-2"]
    assert {host["environment"] for host in hosts} == {"test"}


def test_a_failed_deploy_is_on_the_timeline_and_stays_failed(grafana: FakeGrafana, tmp_path: Path) -> None:
    code, output = Play(tmp_path, grafana.url).run(TIMELINE, "--limit", "music-1", work="false")
    assert code == 2
    assert "failed=1" in output
    assert [entry["text"].split(":")[0] for entry in grafana.annotations] == ["App not deployed"]
    assert grafana.silences == []


def test_a_grafana_that_takes_nothing_fails_no_deploy(grafana: FakeGrafana, tmp_path: Path) -> None:
    grafana.faults = [Fault("POST .*silences", drop=True), Fault("POST /api/annotations", status=403)]
    play = Play(tmp_path, grafana.url)
    code, output = play.run(TIMELINE, "--limit", "music-1", work="true", grafana_silence_minutes=15)
    assert code == 0, output
    assert "alerts are not silenced: POST" in output
    assert "the deploy is not on the timeline: POST" in output
    assert "the service account needs annotations:create" in output
