"""Variables against argument specs, misspelt names, and secrets that lie unencrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS

from plugins.module_utils.preflight_variables import missing_problem, unknown_variables, value_problems
from plugins.module_utils.preflight_vault import unencrypted

ROLES = Path(__file__).resolve().parents[2] / "roles"


def options(role: str, entry: str = "main") -> dict[str, Any]:
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["argument_specs"][entry]["options"]
    return found


SPECS = {**options("app_stack"), **options("preflight", "project")}
WORKER = {"name": "celery", "queues": ["default"], "concurrency": 2, "memory": "512M"}

REFUSED = [
    (
        "collector",
        "grafana-agent",
        "collector: `grafana-agent` is unknown; did you mean grafana_agent?; set it to",
    ),
    ("locale", "de", "locale: `de` is unknown; set it to one of en, ko"),
    ("proxy", "traefik", "proxy: `traefik` is unknown; set it to one of caddy, external"),
    (
        "app_stack_workers",
        [WORKER, {**WORKER, "concurency": 2}],
        "app_stack_workers[1].concurency: is not a key of app_stack_workers[1]; did you mean concurrency?",
    ),
    (
        "app_stack_workers",
        [{key: WORKER[key] for key in WORKER if key != "queues"}],
        "app_stack_workers[0].queues: is missing; set it: Queues it consumes",
    ),
    ("app_stack_workers", [{**WORKER, "queues": None}], "app_stack_workers[0].queues: is empty; set it"),
    (
        "app_stack_workers",
        [{**WORKER, "queues": "default"}],
        "app_stack_workers[0].queues: `default` is not a list",
    ),
    ("app_stack_workers", [{**WORKER, "queues": [None]}], "app_stack_workers[0].queues[0]: is empty"),
    (
        "app_stack_workers",
        [{**WORKER, "concurrency": "two"}],
        "app_stack_workers[0].concurrency: `two`; set it to a",
    ),
    (
        "app_stack_workers",
        [{**WORKER, "pool": "preforked"}],
        "app_stack_workers[0].pool: `preforked` is unknown; did you",
    ),
    ("app_stack_workers", "celery", "app_stack_workers: `celery` is not a list; write it as a YAML list"),
    (
        "app_stack_workers",
        ["celery"],
        "app_stack_workers[0]: `celery` is not a dict; write it as a YAML dict",
    ),
    ("app_stack_backend_port", "http", "app_stack_backend_port: `http`; set it to a whole number"),
    ("app_stack_flower_enabled", "perhaps", "app_stack_flower_enabled: `perhaps`; set it to true or false"),
    ("app_stack_beat_memory", ["200M"], "app_stack_beat_memory: is a list; set it to text"),
    (
        "app_stack_celery_app",
        "config\n",
        "app_stack_celery_app: `config\\n` holds a line break or another control character; write it on",
    ),
    (
        "app_stack_celery_app",
        None,
        "app_stack_celery_app: is empty; set it, or remove the line for its default",
    ),
    ("environment_name", None, "environment_name: is empty; set it: Value of the external label"),
    (
        "grafana_cloud",
        {"remote_write_url": "https://a/api/prom/push", "query_url": "https://a/api/prom", "usrname": "1"},
        "grafana_cloud.usrname: is not a key of grafana_cloud; did you mean username?; keys are",
    ),
]


@pytest.mark.parametrize(("name", "value", "expected"), REFUSED, ids=lambda value: str(value)[:50])
def test_a_wrong_value_is_named_with_its_path(name: str, value: Any, expected: str) -> None:
    """Bad input: misspelt key inside a dict, unknown collector and locale, worker without queues."""
    found = [str(problem) for problem in value_problems(name, SPECS[name], value, DEFAULT_TYPE_VALIDATORS)]
    assert found[0].startswith(expected)
    # A misspelt required key is also a missing one; nothing else is claimed.
    assert len(found) == 1 or "grafana_cloud.username: is missing" in found[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_stack_workers", [WORKER]),
        ("app_stack_backend_port", "8000"),
        ("app_stack_flower_enabled", "true"),
        ("grafana_cloud", {"remote_write_url": "a", "query_url": "b", "username": 123456}),
        ("app_stack_environment", {"ANY": "thing"}),
    ],
)
def test_a_right_value_is_not_refused(name: str, value: Any) -> None:
    assert list(value_problems(name, SPECS[name], value, DEFAULT_TYPE_VALIDATORS)) == []


@pytest.mark.parametrize("path", sorted(ROLES.glob("*/defaults/main.yml")), ids=lambda path: path.parts[-3])
def test_the_defaults_of_every_role_satisfy_its_spec(path: Path) -> None:
    """Templates excepted, which have no value yet."""
    role = path.parts[-3]
    specs = options(role)
    for name, value in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
        assert name in specs, f"{name} is a default of {role} but not in its spec"
        if "{{" not in str(value):
            assert list(value_problems(name, specs[name], value, DEFAULT_TYPE_VALIDATORS)) == []


def test_a_secret_of_the_wrong_type_is_not_shown() -> None:
    spec = {"type": "int", "no_log": True}
    (problem,) = value_problems("vault_pin", spec, "hunter2-hunter2", DEFAULT_TYPE_VALIDATORS)
    assert str(problem) == "vault_pin: a secret; set it to a whole number"


def test_a_missing_variable_says_what_it_may_be() -> None:
    text = str(missing_problem("collector", SPECS["collector"]))
    assert text.startswith(
        "collector: is not set; set it to one of grafana_agent, alloy, prometheus_agent, in"
    )


def test_a_misspelt_variable_is_named_with_the_right_one() -> None:
    known = {
        "app_stack": {"app_stack_workers", "app_stack_beat_memory", "app_stack_services"},
        "alloy": {"alloy_memory", "alloy_port"},
        "grafana_agent": {"grafana_agent_port"},
    }
    names = ["app_stack_wrokers", "app_stack_workers", "alloy_colour", "my_alloy_memory", "ansible_host"]
    assert [str(problem) for problem in unknown_variables(names, known)] == [
        "alloy_colour: is not a variable of role alloy; correct or remove it",
        "app_stack_wrokers: is not a variable of role app_stack; did you mean app_stack_workers?; "
        "correct or remove it",
    ]


VAULT = "group_vars/all/vault.yml"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            VAULT,
            "---\nvault_a: plain text\n",
            f"{VAULT}: this vault file is not encrypted; run ansible-vault encrypt",
        ),
        (
            "host_vars/db/my-vault.yaml",
            "other: x\n",
            "host_vars/db/my-vault.yaml: this vault file is not encrypted",
        ),
        (
            "group_vars/all/main.yml",
            "locale: en\nvault_database_password: plain\n",
            "vault_database_password: stands unencrypted in group_vars/all/main.yml; move it",
        ),
        ("group_vars/all/main.yml", "vault_key: |\n  plain\n", "vault_key: stands unencrypted"),
    ],
)
def test_an_unencrypted_secret_is_refused_without_its_value(path: str, text: str, expected: str) -> None:
    """Bad input: a vault file that is not encrypted in production."""
    (problem,) = unencrypted([(path, text)])
    assert str(problem).startswith(expected)
    assert "plain" not in str(problem)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (VAULT, "$ANSIBLE_VAULT;1.1;AES256\n6162\n"),
        (VAULT, "---\nvault_a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"),
        ("group_vars/all/secrets.yml", "vault_a: \"{{ lookup('ansible.builtin.env', 'A') }}\"\n"),
        ("group_vars/all/vault.example.yml", "vault_a: changeme\n"),
        ("group_vars/all/main.yml", "locale: en\n# vault_a: changeme\n"),
        ("vault.example.yml", "vault_a: changeme\n"),
    ],
)
def test_an_encrypted_or_templated_secret_is_accepted(path: str, text: str) -> None:
    assert list(unencrypted([(path, text)])) == []
