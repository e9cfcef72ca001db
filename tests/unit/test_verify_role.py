"""verify.yml asks what the catalogue promises: its sources fit the module, for every collector (G7, T15)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from plugins.module_utils.metric_probe_facts import sources_of
from plugins.modules.metric_probe import ARGUMENTS, BUDGET, DOCUMENTATION, QUESTION, SOURCE
from tests.render import Rendering

ROLE = Path(__file__).resolve().parents[2] / "roles" / "metric_verification"
COLLECTORS = ("grafana_agent", "alloy", "prometheus_agent")


def sources(collector: str, **inventory: Any) -> list[dict[str, Any]]:
    found = Rendering(settings={"collector": collector, **inventory}).value(
        "metric_catalogue_sources | probed_sources({'django': 8000, 'rabbitmq': 15692})"
    )
    assert isinstance(found, list)
    return found


def role_value(name: str, **settings: Any) -> Any:
    """A variable of the role, over an inventory."""
    own = {
        key: value
        for folder in ("defaults", "vars")
        for key, value in yaml.safe_load((ROLE / folder / "main.yml").read_text(encoding="utf-8")).items()
    }
    return Rendering(settings={**own, **settings}).value(name)


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


@pytest.mark.parametrize("collector", COLLECTORS)
def test_t16_the_budget_of_the_catalogue_fits_the_module(collector: str) -> None:
    settings = {"collector": collector, "scrape_interval": "30s", "postgres_exporter_enabled": False}
    budget = role_value("_metric_verification_budget", **settings)
    assert ArgumentSpecValidator(BUDGET).validate(budget).error_messages == []
    assert (budget["limit"], budget["included"]) == (10000, 1)
    jobs = ["django", "celery", "rabbitmq", "cadvisor", "node", "collector"]
    assert [(job["name"], job["seconds"]) for job in budget["jobs"]] == [(name, 30) for name in jobs]


def test_t16_each_source_names_the_variable_that_trims_it() -> None:
    """A sentence about a variable that does not exist would help nobody."""
    options = {
        name
        for spec in ROLE.parent.glob("*/meta/argument_specs.yml")
        for entry in yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"].values()
        for name in entry["options"]
    }
    for name, source in Rendering().value("metric_catalogue_sources").items():
        named = re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", source["trim"])
        assert named, name
        assert [word for word in named if word not in options | {f"metric_catalogue_{name}"}] == []


def test_g2_g3_the_questions_of_the_catalogue_fit_the_module() -> None:
    own = {"id": "requests", "kind": "panel", "source": "django", "title": "Requests", "empty_reason": ""}
    questions = role_value(
        "_metric_verification_questions",
        metric_catalogue_questions=[{**own, "guide": "G2.D1", "expr": "sum by (view) (rate(x[5m]))"}],
    )
    assert ArgumentSpecValidator(QUESTION).validate(questions[0]).error_messages == []
    assert (questions[0]["id"], questions[0]["metrics"]) == ("G2.D1 requests", ["x"])


@pytest.mark.parametrize(("destination", "rules"), [("embedded", ["Down"]), ("grafana_cloud", [])])
def test_rules_are_expected_of_the_embedded_backend_alone(destination: str, rules: list[str]) -> None:
    found = role_value(
        "_metric_verification_rules",
        metrics_destination=destination,
        metric_catalogue_prometheus_rules={"groups": [{"name": "g", "rules": [{"alert": "Down"}]}]},
    )
    assert [rule["name"] for rule in found] == rules


def test_a_source_that_is_not_deployed_is_not_asked() -> None:
    names = [source["name"] for source in sources("alloy", postgres_exporter_enabled=False)]
    assert "postgres" not in names


@pytest.mark.parametrize(
    ("interval", "fresh", "waiting"), [("15s", 60, 90), ("60s", 150, 180), ("1m", 150, 180)]
)
def test_the_waiting_covers_two_scrapes_and_a_step_of_a_subquery(
    interval: str, fresh: int, waiting: int
) -> None:
    assert role_value("metric_verification_fresh_seconds", scrape_interval=interval) == fresh
    assert role_value("metric_verification_timeout", scrape_interval=interval) == waiting


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
