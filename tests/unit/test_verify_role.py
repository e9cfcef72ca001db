"""verify.yml asks what the catalogue promises: its sources fit the module, for every collector (G7, T15)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from plugins.module_utils.metric_probe_facts import sources_of
from plugins.modules.metric_probe import ARGUMENTS, DOCUMENTATION, SOURCE
from tests.render import Rendering

ROLE = Path(__file__).resolve().parents[2] / "roles" / "metric_verification"
COLLECTORS = ("grafana_agent", "alloy", "prometheus_agent")


def sources(collector: str, **inventory: Any) -> list[dict[str, Any]]:
    found = Rendering(settings={"collector": collector, **inventory}).value(
        "metric_catalogue_sources | probed_sources({'django': 8000, 'rabbitmq': 15692})"
    )
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("collector", COLLECTORS)
def test_the_catalogue_fits_the_module(collector: str) -> None:
    for source in sources(collector):
        result = ArgumentSpecValidator(SOURCE).validate(source)
        assert result.error_messages == []


@pytest.mark.parametrize("collector", COLLECTORS)
def test_g7_every_source_is_asked_under_the_names_of_the_guide(collector: str) -> None:
    by_name = {source.name: source for source in sources_of(sources(collector), 60)}
    assert list(by_name) == ["django", "celery", "rabbitmq", "cadvisor", "node", "postgres", "collector"]
    assert by_name["django"].published_port == 8000
    assert by_name["rabbitmq"].published_port == 15692
    stored = {(promise.stored, promise.labels.get("status")) for promise in by_name["celery"].promised}
    assert {("celery_tasks_total", "success"), ("celery_tasks_total", "failure")} <= stored
    assert by_name["collector"].service == collector.replace("_", "-")


@pytest.mark.parametrize("collector", COLLECTORS)
def test_every_question_has_a_likely_cause(collector: str) -> None:
    for source in sources(collector):
        assert set(source["likely_causes"]) == {"endpoint", "samples", "target", "backend"}


def test_a_source_that_is_not_deployed_is_not_asked() -> None:
    names = [source["name"] for source in sources("alloy", postgres_exporter_enabled=False)]
    assert "postgres" not in names


@pytest.mark.parametrize(("interval", "seconds"), [("15s", 60), ("60s", 150), ("1m", 150)])
def test_the_waiting_covers_two_scrapes(interval: str, seconds: int) -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    for name in ("metric_verification_timeout", "metric_verification_fresh_seconds"):
        expression = defaults[name].removeprefix("{{").removesuffix("}}")
        assert Rendering(settings={"scrape_interval": interval}).value(expression) == seconds


def test_defaults_are_specified() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    spec = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    assert set(defaults) <= set(spec["argument_specs"]["main"]["options"])


def documented(options: dict[str, Any]) -> dict[str, Any]:
    return {name: documented(option.get("suboptions", {})) for name, option in options.items()}


def accepted(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: accepted(option.get("options", {})) for name, option in spec.items()}


def test_the_module_documents_what_it_accepts() -> None:
    assert documented(yaml.safe_load(DOCUMENTATION)["options"]) == accepted(ARGUMENTS)


def test_the_password_of_the_backend_is_never_logged() -> None:
    assert ARGUMENTS["backend_password"]["no_log"] is True
    tasks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
    assert next(task for task in tasks if "metric_probe" in task)["no_log"] is True
    tasks = yaml.safe_load((ROLE / "tasks" / "report.yml").read_text(encoding="utf-8"))
    assert next(task for task in tasks if "metric_history" in task)["no_log"] is True
