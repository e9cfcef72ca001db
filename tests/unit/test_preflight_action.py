"""The preflight as a playbook meets it: one run of Ansible, and the decisions of the action plugin."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.action import preflight
from tests.playbooks import ansible_playbook

ROOT = Path(__file__).resolve().parents[2]
SECRET = "k3EpThisOutOfMessages"

INVENTORY: dict[str, Any] = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "soundcheck_root": str(ROOT),
    "soundcheck_templates": f"{ROOT}/templates",
    "soundcheck_artifacts": "/nonexistent",
    "environment_name": "test",
    "locale": "en",
    "collector": "prometheus_agent",
    "database": "embedded",
    "metrics_destination": "embedded",
    "scrape_interval": "60s",
    "container_images_source": "debian",
    # No image is wanted: what the machine of this test holds is not the question.
    "container_images_wanted": [],
    "container_images_refs": {},
    "container_images_versions": {},
    "preflight_package_urls": [],
    "preflight_disk_minimum": "1M",
    "vault_django_secret_key": SECRET,
    "vault_database_password": SECRET,
    "vault_rabbitmq_password": SECRET,
    "vault_metrics_write_password": SECRET,
    "vault_metrics_read_password": SECRET,
}
PLAY = """---
- name: Check
  hosts: all
  gather_facts: false
  roles:
    - role: preflight
"""

PLAY_THAT_ASKS = """---
- name: Check
  hosts: all
  gather_facts: false
  tasks:
    - name: Know the sources
      ansible.builtin.import_role: {name: metric_catalogue, rolespec_validate: false}
    - name: Refuse what cannot work
      ansible.builtin.import_role: {name: preflight, rolespec_validate: false}
    - name: Ask, when nothing can be worked out any more
      ansible.builtin.debug:
        msg: >-
          asked: {{ (metric_catalogue_entries.alerts | rejectattr('guide', 'ne', 'G3.1') | first).title }},
          worked out before
      vars: {metric_catalogue_sources: {}}
"""

PLAY_THAT_LOOKS = (
    PLAY
    + """
  post_tasks:
    - name: Look at what is packed
      ansible.builtin.debug:
        msg: "packed: {{ lookup('pipe', 'ls -d $ANSIBLE_LOCAL_TEMP/*/ansiballz_cache/*') }}"
"""
)


def deploy(folder: Path, *options: str, play: str = PLAY, **changes: Any) -> str:
    """Run the role against this machine; the inventory's values as changed, None leaves one out."""
    options = options or ("--check",)
    variables = {name: value for name, value in {**INVENTORY, **changes}.items() if value is not None}
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(json.dumps(variables), encoding="utf-8")
    (folder / "hosts").write_text("server\n", encoding="utf-8")
    (folder / "play.yml").write_text(play, encoding="utf-8")
    done = ansible_playbook("-i", str(folder / "hosts"), str(folder / "play.yml"), *options)
    return done.stdout + done.stderr


def test_nothing_is_validated_before_preflight() -> None:
    """The dependencies of a role would be, by Ansible itself, which stops at the first problem."""
    metas = [yaml.safe_load(path.read_text("utf-8")) for path in ROOT.glob("roles/*/meta/main.yml")]

    assert [meta["galaxy_info"]["role_name"] for meta in metas if meta["dependencies"]] == []


def test_the_catalogue_is_worked_out_once_and_handed_on(tmp_path: Path) -> None:
    """Whoever asks for the entries afterwards gets those of preflight, whatever they are made of by then."""
    output = deploy(tmp_path, play=PLAY_THAT_ASKS, preflight_production=False)

    assert "asked: Backend CPU High, worked out before" in output, output


def test_the_next_module_is_packed_when_the_settings_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process that says nothing when it fails; no task of this play needs compose_project."""
    monkeypatch.setenv("ANSIBLE_LOCAL_TEMP", str(tmp_path))

    output = deploy(tmp_path, play=PLAY_THAT_LOOKS, preflight_production=False)

    packed = re.findall(r"ansiballz_cache/\S+?\.(\w+)-ZIP\S+", output)
    assert set(preflight.PACKED_AHEAD) <= set(packed), output


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    """Bad input: unknown collector and locale, misspelt variables, missing and placeholder secrets, sizes."""
    output = deploy(
        tmp_path,
        collector="grafana",
        locale="de",
        environment_name=None,
        app_stack_wrokers=[],
        app_stack_workers=[{"name": "w", "queues": ["default"], "concurency": 1, "memory": "512X"}],
        app_stack_backend_memory="512",
        app_stack_allowed_hosts="{{ [my_domain] }}",
        vault_django_secret_key=None,
        vault_rabbitmq_password="changeme",
        deploy_hooks={"post_deploi": "x.yml", "on_failure": "nowhere.yml"},
    )
    for expected in (
        "problems, nothing was changed:",
        "collector: `grafana` is unknown; did you mean grafana_agent?",
        "locale: `de` is unknown; set it to one of en, ko",
        "environment_name: is not set; set it: Value of the external label environment",
        "app_stack_wrokers: is not a variable of role app_stack; did you mean app_stack_workers?",
        "app_stack_workers[0].concurency: is not a key of app_stack_workers[0]; did you mean concurrency?",
        "app_stack_workers[0].concurrency: is missing",
        "app_stack_workers[0].memory: `512X`",
        "app_stack_backend_memory: `512`",
        "my_domain: is not set but needed by app_stack_allowed_hosts",
        "vault_django_secret_key: is not set; set it in the vault file",
        "vault_rabbitmq_password: is still a placeholder",
        "deploy_hooks.post_deploi: is not a key of deploy_hooks; did you mean post_deploy?",
        f"deploy_hooks.on_failure: there is no file `{tmp_path}/nowhere.yml`",
    ):
        assert expected in output, output
    assert "metric_catalogue_external_labels" not in output
    assert "Traceback" not in output
    assert SECRET not in output
    assert "changed=0" in output


def test_half_a_contact_point_is_refused_and_its_secrets_do_not_show(tmp_path: Path) -> None:
    """Bad input: the missing half is named, together with what else is wrong."""
    output = deploy(
        tmp_path,
        contact_points={
            "email": {"addresses": ["ops"], "smtp": {"host": "mail", "from": "a@b", "username": "alerts"}},
            "slack": None,
            "discord": {"channel": "#ops"},
            "telegram": {"chat_id": "@ops"},
            "slak": {},
        },
        vault_discord_webhook_url=f"ftp://discord.com/{SECRET}",
        vault_telegram_bot_token=f"bot{SECRET}",
    )
    for expected in (
        "contact_points.email.addresses[0]: `ops`; write one address",
        "vault_smtp_password: is not set; set it in the vault file",
        "vault_slack_webhook_url: is not set; set it in the vault file",
        "contact_points.discord.channel: is not a key of contact_points.discord",
        "vault_discord_webhook_url: is no address of a webhook",
        "contact_points.telegram.chat_id: `@ops`; set it to a whole number",
        "vault_telegram_bot_token: is no token of a Telegram bot",
        "contact_points.slak: is not a key of contact_points; did you mean slack?",
    ):
        assert expected in output, output
    assert SECRET not in output
    assert "Traceback" not in output


LOCK = {
    **{"holder": "bob@ci-7", "controller": "ci-7", "pid": 12, "pid_started": "99"},
    **{"since": "2026-11-24 20:01:00 UTC", "what": "deploy of music:2"},
}


def test_a_host_that_another_run_has_is_refused_with_all_else_that_is_wrong(tmp_path: Path) -> None:
    lock = tmp_path / "deploy.lock"
    lock.write_text(json.dumps(LOCK), encoding="utf-8")

    output = deploy(tmp_path, "--diff", deploy_lock_path=str(lock), locale="de")

    assert "2 problems, nothing was changed:" in output, output
    assert f"{lock}: bob@ci-7 deploys to this host since 2026-11-24 20:01:00 UTC: deploy of music:2" in output
    assert json.loads(lock.read_text("utf-8")) == LOCK
    assert "changed=0" in output


def test_the_survey_takes_the_lock_and_a_check_does_not(tmp_path: Path) -> None:
    lock = tmp_path / "soundcheck" / "deploy.lock"
    deploy(tmp_path, "--check", deploy_lock_path=str(lock))
    assert not lock.exists()

    output = deploy(tmp_path, "--diff", deploy_lock_path=str(lock), preflight_purpose="test")

    assert json.loads(lock.read_text("utf-8"))["what"] == "test", output
    assert "changed=0" in output


def test_alerts_that_reach_nobody_are_reported(tmp_path: Path) -> None:
    output = deploy(tmp_path)
    assert "contact_points: is not set; alerts reach nobody: set contact_points" in " ".join(output.split())


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            {"metric_catalogue_backend_cpu_percent": "high"},
            "metric_catalogue_backend_cpu_percent: `high`; set it to a number",
        ),
        (
            {"metric_catalogue_alert_for": {"backend-cpu": "1m"}},
            "1. metric_catalogue_entries: metric_catalogue_alert_for: there is no alert 'backend-cpu'",
        ),
        (
            {"metric_catalogue_beat_task": 'a"b'},
            "1. metric_catalogue_entries: alert beat-silent: ",
        ),
    ],
)
def test_bad_panels_and_alerts_are_refused(tmp_path: Path, setting: dict[str, Any], expected: str) -> None:
    """By preflight, before anything changes: a threshold that is no number, an unknown alert, no PromQL."""
    output = deploy(tmp_path, **setting)

    assert "1 problem, nothing was changed:" in output, output
    assert expected in output
    assert "changed=0" in output


def test_an_unknown_sizing_is_refused(tmp_path: Path) -> None:
    output = deploy(tmp_path, sizing="magic")
    assert "1. sizing: `magic` is unknown; set it to one of manual, auto" in output, output


def test_auto_shows_its_plan_and_keeps_to_what_the_inventory_states(tmp_path: Path) -> None:
    """On this machine, whose memory is what it is."""
    output = deploy(
        tmp_path,
        sizing="auto",
        app_stack_beat_memory="97M",
        app_stack_workers=[
            {"name": "celery", "queues": ["default", "ai_queue"]},
            {"name": "mail", "queues": ["mail"], "memory": "225M", "concurrency": 3},
        ],
    )
    assert re.search(r"server: sizing of [\d.]+ GiB and \d+ cores", output), output
    assert re.search(r"^  app_stack_backend_memory: \d+M$", output, re.M)
    assert re.search(r"^  app_stack_workers\[celery\]: \d+M x\d+$", output, re.M)
    assert "  app_stack_workers[mail]: 225M x3" in output
    assert "  app_stack_beat_memory" not in output
    assert "changed=0" in output


def test_auto_refuses_a_server_that_is_too_small(tmp_path: Path) -> None:
    """Too small for what the inventory states, which counts as well."""
    output = deploy(tmp_path, sizing="auto", app_stack_rabbitmq_memory="4000G")

    assert "1 problem, nothing was changed:" in output, output
    assert "1. sizing: `auto` needs 40" in output
    assert "or go without: the worker celery-ai, its queues given to another (512 MiB)" in output


@pytest.mark.parametrize(
    ("survey", "settled"),
    [
        ({"docker": {"reachable": True}, "images_missing": []}, True),
        ({"docker": {"reachable": False}, "images_missing": []}, False),
        ({"docker": {"reachable": True}, "images_missing": ["rabbitmq:4"]}, False),
        ({}, False),
    ],
)
def test_a_survey_is_taken_again_when_an_earlier_play_had_work_to_do(
    survey: dict[str, Any], settled: bool
) -> None:
    assert preflight.settled(survey) is settled


def test_an_undefined_variable_becomes_a_sentence() -> None:
    (problem,) = preflight.error_problems("app_stack_url", "Error while resolving: 'domain' is undefined")
    assert str(problem) == (
        "domain: is not set but needed by app_stack_url; set it in group_vars of the inventory"
    )
    # Secrets have a rule of their own, which says in which file.
    assert preflight.error_problems("app_stack_broker_url", "'vault_rabbitmq_password' is undefined") == []
    (problem,) = preflight.error_problems("app_stack_url", "Syntax error\n  in template")
    assert str(problem) == "app_stack_url: Syntax error in template; correct its template"


def test_roles_that_do_not_run_need_no_variables() -> None:
    settings = {
        "collector": "alloy",
        "metrics_destination": "grafana_cloud",
        "postgres_exporter_enabled": False,
    }
    assert preflight.idle_roles(settings) == {"grafana_agent", "prometheus_agent", "postgres_exporter"}


@pytest.mark.parametrize(
    ("source", "probed", "urls", "directory"),
    [
        ("registry", True, [], None),
        ("debian", False, ["http://mirror"], None),
        ("archive", False, [], "/srv/archives"),
    ],
)
def test_each_image_source_asks_its_own_question(
    source: str, probed: bool, urls: list[str], directory: str | None
) -> None:
    arguments = preflight.survey_arguments(
        {
            "container_images_source": source,
            "container_images_archive_directory": "/srv/archives",
            "container_images_refs": {"app": "music:1", "flower": "flower:1"},
            "container_images_wanted": ["app"],
            "preflight_package_urls": ["http://mirror"],
            "app_stack_directory": "/opt/app",
            "app_domain": "music.soundcheck.dev",
        }
    )
    assert arguments == {
        "images": ["music:1"],
        "probe_registries": probed,
        "urls": urls,
        "names": ["music.soundcheck.dev"],
        "archive_directory": directory,
        "disk_paths": ["/opt/app"],
    }


def test_the_survey_is_asked_with_what_is_worked_out_before_it() -> None:
    """The rest is worked out while the host answers: what is not in that set would be missing in silence."""
    read: set[str] = set()

    class Settings(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    for source in ("registry", "debian", "archive"):
        settings = Settings(
            container_images_source=source, app_domain="music.soundcheck.dev", telemetry_directory="/opt"
        )
        preflight.survey_arguments(settings)
        preflight.lock_arguments(settings, "deploy")

    assert read == preflight.NEEDED_BY_SURVEY


def test_vault_files_are_looked_for_beside_the_inventory(tmp_path: Path) -> None:
    vault = tmp_path / "group_vars" / "all" / "vault.yml"
    vault.parent.mkdir(parents=True)
    vault.write_text("vault_a: b\n", encoding="utf-8")
    found = preflight.inventory_files({"inventory_dir": str(tmp_path)})
    assert found == [("group_vars/all/vault.yml", "vault_a: b\n")]
