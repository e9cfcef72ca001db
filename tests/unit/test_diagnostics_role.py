"""What the role lands on a server: the tool as it lies here, and a configuration without a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from plugins.filter.diagnosis_config import diagnosis_file, diagnosis_variables, diagnosis_workers
from tests.render import ROOT, SECRETS, TEMPLATES, Rendering
from tests.unit.diagnosis_modules import MONITORING, PACKAGE, load_diagnosis


def configuration(**settings: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        Rendering(settings=settings).template("telemetry/monitoring/diagnosis.json.j2")
    )
    return read


def test_every_file_of_the_tool_is_taken() -> None:
    rendering = Rendering()
    entries = {entry["path"]: entry for entry in rendering.value("diagnostics_files")}
    lying = [*(path for path in MONITORING.iterdir() if path.is_file()), *PACKAGE.glob("*.py")]
    assert set(entries) == {
        str(path.relative_to(TEMPLATES / "telemetry")).removesuffix(".j2") for path in lying
    }
    assert entries["monitoring/debug_cpu_spike.sh"]["mode"] == "0755"
    assert {path for path, entry in entries.items() if "mode" in entry} == {"monitoring/debug_cpu_spike.sh"}
    # No container mounts them: a change restarts nothing.
    assert not any("services" in entry for entry in entries.values())
    assert all(entry in rendering.entries("telemetry") for entry in entries.values())


def test_the_guides_values_are_the_default() -> None:
    found = configuration()
    assert found["schema"] == 1
    assert found["web"] == {
        "service": "backend",
        "port": 8000,
        "workers": 3,
        "threads": 1,
        "conn_max_age": 60,
        "memory": 600 * 2**20,
    }
    assert [(worker["name"], worker["concurrency"], worker["memory"]) for worker in found["workers"]] == [
        ("celery", 2, 512 * 2**20),
        ("celery-ai", 1, 1024 * 2**20),
    ]
    assert found["periodic"] == [{"task": "music.tasks.charts.update_realtime_chart", "seconds": 600}]
    assert found["index"]["table"] == "music_playlogs"
    assert found["index"]["columns"] == ["played_at", "is_deleted", "music_id"]
    assert found["database"]["kind"] == "embedded"
    assert found["variables"]["celery"]["memory"] == "app_stack_workers[celery].memory"
    assert found["state"] == "/var/lib/soundcheck/diagnosis"


def test_the_argument_spec_knows_the_rules_thresholds() -> None:
    """Their numbers stand with the rules; the spec repeats names and reasons for whoever reads the role."""
    specs = yaml.safe_load((ROOT / "roles/diagnostics/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]["diagnostics_thresholds"]["options"]
    thresholds = load_diagnosis("thresholds").THRESHOLDS
    assert {name: option["description"] for name, option in options.items()} == {
        name: f"In {each.unit}; {each.default:g} by itself: {each.reason}."
        for name, each in thresholds.items()
    }


def test_what_an_inventory_sets_arrives() -> None:
    found = configuration(
        locale="ko",
        database="external",
        app_stack_database_host="db.example.com",
        diagnostics_table="stats.plays",
        diagnostics_statement="SELECT 'a \"b\"\n'",
        diagnostics_thresholds={"cpu_busy": 70},
        diagnostics_watch_keep="5",
        rabbitmq_prometheus_port="25692",
        celery_exporter_enabled=False,
    )
    assert found["locale"] == "ko"
    assert (found["database"]["kind"], found["database"]["host"]) == ("external", "db.example.com")
    assert found["database"]["sslmode"] == "require"
    assert found["index"]["statement"] == "SELECT 'a \"b\"\n'"
    assert found["thresholds"] == {"cpu_busy": 70}
    assert found["watch"]["keep"] == 5
    assert found["broker"]["port"] == 25692
    assert found["celery_exporter"] is None
    assert found["postgres_exporter"] == {"service": "postgres-exporter", "port": 9187}


def test_no_secret_is_among_it() -> None:
    text = json.dumps(configuration())
    assert not [name for name, value in SECRETS.items() if value in text]


def test_every_service_that_has_a_limit_names_its_variable() -> None:
    rendering = Rendering(settings={"app_stack_flower_enabled": True})
    variables = rendering.value("diagnostics_config")["variables"]
    for service in rendering.value("telemetry_services"):
        assert variables[service]["memory"] in rendering.variables, service
    for service in ("backend", "celery-beat", "rabbitmq", "postgres", "proxy", "flower"):
        assert variables[service]["memory"] in rendering.variables, service
    named = {name for of_service in variables.values() for name in of_service.values()}
    assert {name for name in named if "[" not in name} <= set(rendering.variables)


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ({"name": "a", "queues": ["x"], "concurrency": "4"}, {"concurrency": 4, "pool": "prefork"}),
        (
            {"name": "a", "queues": ["x"], "concurrency": 1, "pool": "solo", "time_limit": 60},
            {"pool": "solo", "time_limit": 60},
        ),
    ],
)
def test_a_worker_has_its_defaults(worker: dict[str, Any], expected: dict[str, Any]) -> None:
    defaults = {"pool": "prefork", "max_tasks_per_child": 0, "prefetch": 1, "time_limit": 0}
    (found,) = diagnosis_workers([worker], defaults, [512])
    assert found["memory"] == 512
    assert {name: found[name] for name in expected} == expected


def test_small_filters() -> None:
    assert diagnosis_variables([{"name": "mail"}])["mail"]["queues"] == "app_stack_workers[mail].queues"
    templates = str(ROOT / "templates")
    assert diagnosis_file(f"{templates}/telemetry/monitoring/a.timer.j2", templates) == {
        "path": "monitoring/a.timer",
        "template": "telemetry/monitoring/a.timer.j2",
    }
