"""Each way in which a panel or alert shows nothing, and the one culprit that is named (G2, G3, T9, T10)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from plugins.module_utils.metric_probe_checks import evaluate
from plugins.module_utils.metric_probe_facts import Answer, Facts, Problem, Promise, Question, Rule, Rules
from plugins.module_utils.metric_probe_wording import CONSEQUENCE, FAILED, OK, SKIPPED, Check
from tests.unit._probe_facts import REFUSED, all_of, backend, healthy, stopped, stored, target_down

Mutation = Callable[[Facts], None]

REQUESTS = "django_requests_total"
RSS = "container_memory_rss"
QUESTIONS = (
    Question("G2.D1", "panel", "django", "Requests", f"sum(rate({REQUESTS}[5m]))", (REQUESTS,)),
    Question("G3.1", "alert", "cadvisor", "CPU high", f'sum({RSS}{{name="backend"}})', (RSS,)),
    Question("G3.3", "alert", "celery", "Failure rate", "a / b", ("a", "b"), "no task has run so far"),
    Question("N1", "panel", "node", "Cores", "node_load1 / machine_cores", ("node_load1", "machine_cores")),
    Question("R1", "alert", "celery", "Recorded rate", "status:tasks:total", ("status:tasks:total",)),
)
RULES = (("celery", "status:tasks:total"), ("celery", "Failure rate"))


def asked() -> Facts:
    """A healthy host whose backend answers every question."""
    facts = healthy()
    facts.questions, facts.expected_rules = QUESTIONS, RULES
    facts.answers = {question.id: Answer(values=(({}, 1.5),)) for question in QUESTIONS}
    facts.rules = Rules(loaded=tuple(Rule(group, name, "ok") for group, name in RULES))
    return facts


def empty(identity: str, *present: str, values: tuple[float, ...] = ()) -> Mutation:
    """No number for a question, while these of its metrics have samples."""

    def mutate(facts: Facts) -> None:
        facts.answers[identity] = Answer(values=tuple(({}, value) for value in values))
        facts.present = facts.present | set(present)

    return mutate


def refused(identity: str, problem: Problem) -> Mutation:
    def mutate(facts: Facts) -> None:
        facts.answers[identity] = Answer(problem)

    return mutate


def unasked(facts: Facts) -> None:
    facts.answers, facts.rules = {}, None


def rules(*loaded: Rule, problem: Problem | None = None) -> Mutation:
    def mutate(facts: Facts) -> None:
        facts.rules = Rules(problem, loaded)

    return mutate


def checks_by_name(facts: Facts) -> dict[str, Check]:
    return {f"{check.source} {check.check}": check for check in evaluate(facts)}


def names(facts: Facts, status: str) -> set[str]:
    return {name for name, check in checks_by_name(facts).items() if check.status == status}


BAD_DATA = Problem("status", "HTTP 400 Bad Request: parse error: unexpected character", 400)

# what is wrong, the culprit, what came, the likely cause, whether waiting may help
DEAD = {
    "a metric nobody exposes": (
        empty("N1", "node_load1"),
        "node panel N1",
        "Cores: no sample of machine_cores",
        "machine_cores is not exposed, or the relabelling of metric_catalogue_node drops it",
        True,
    ),
    "the selection matches nothing": (
        empty("G2.D1", REQUESTS),
        "django panel G2.D1",
        "Requests: no series although django_requests_total has samples",
        "label matchers",
        True,
    ),
    "two metrics whose labels do not meet": (
        empty("N1", "node_load1", "machine_cores"),
        "node panel N1",
        "Cores: no series although node_load1, machine_cores have samples",
        "the labels of its operands",
        True,
    ),
    "T10 only NaN": (
        empty("G2.D1", REQUESTS, values=(math.nan, math.nan)),
        "django panel G2.D1",
        "Requests: 2 series, all NaN",
        "it divides by nothing",
        True,
    ),
    "T9 only infinity": (
        empty("G3.1", RSS, values=(math.inf,)),
        "cadvisor alert G3.1",
        "CPU high: 1 series, all infinity",
        "or by zero",
        True,
    ),
    "the backend refuses the expression": (
        refused("G2.D1", BAD_DATA),
        "django panel G2.D1",
        "Requests: HTTP 400 Bad Request: parse error: unexpected character",
        "correct G2.D1 in role metric_catalogue",
        False,
    ),
    "T7 series of two containers collide": (
        refused("G3.1", Problem("status", "HTTP 422 Unprocessable Entity: duplicate series", 422)),
        "cadvisor alert G3.1",
        "CPU high: HTTP 422 Unprocessable Entity: duplicate series",
        "correct G3.1 in role metric_catalogue",
        True,
    ),
    "the backend is overloaded": (
        refused("G2.D1", Problem("status", "HTTP 503 Service Unavailable", 503)),
        "django panel G2.D1",
        "HTTP 503",
        "was not able to answer this query",
        True,
    ),
    "a rule has not recorded yet": (
        empty("R1"),
        "celery alert R1",
        "Recorded rate: no sample of status:tasks:total",
        "no rule has recorded status:tasks:total yet",
        True,
    ),
    "a rule is not loaded": (
        all_of(rules(Rule("celery", "Failure rate", "ok")), empty("R1")),
        "metrics_backend rules",
        "not loaded: celery/status:tasks:total",
        "run deploy.yml",
        False,
    ),
    "a rule fails": (
        rules(Rule(*RULES[0], "ok"), Rule(*RULES[1], "err", "many-to-many matching not allowed")),
        "metrics_backend rules",
        "failing: celery/Failure rate: many-to-many matching not allowed",
        "does not fit the stored series",
        True,
    ),
    "a rule of the same name in another group": (
        rules(Rule("other", RULES[0][1], "ok"), Rule(*RULES[1], "ok")),
        "metrics_backend rules",
        "not loaded: celery/status:tasks:total",
        "another rule file",
        False,
    ),
    "a rule was not evaluated yet": (
        rules(Rule(*RULES[0], "unknown"), Rule(*RULES[1], "ok")),
        "metrics_backend rules",
        "not evaluated yet: celery/status:tasks:total",
        "metrics_backend_evaluation_interval",
        True,
    ),
    "the rules cannot be asked": (
        rules(problem=Problem("status", "HTTP 404 Not Found", 404)),
        "metrics_backend rules",
        "HTTP 404 Not Found",
        "is it a Prometheus with rules?",
        True,
    ),
}


@pytest.mark.parametrize(("mutate", "culprit", "got", "cause", "waiting"), DEAD.values(), ids=DEAD)
def test_what_shows_nothing_is_named(
    mutate: Mutation, culprit: str, got: str, cause: str, waiting: bool
) -> None:
    facts = asked()
    mutate(facts)
    assert names(facts, FAILED) == {culprit}
    check = checks_by_name(facts)[culprit]
    assert got in check.got
    assert cause in check.likely_cause
    assert check.waiting is waiting


# what else is broken, the culprit, and the questions that are its consequence
CONSEQUENCES = {
    "cadvisor stopped": (
        all_of(stopped("cadvisor"), stored("cadvisor", series=()), empty("G3.1")),
        "cadvisor endpoint",
        {"cadvisor alert G3.1"},
    ),
    "its target down": (
        all_of(target_down("django"), stored("django", series=()), empty("G2.D1")),
        "django target",
        {"django panel G2.D1"},
    ),
    "its target down, its last samples still fresh": (
        all_of(target_down("django"), empty("G2.D1")),
        "django target",
        {"django panel G2.D1"},
    ),
    "a promised metric missing in the backend": (
        all_of(stored("django", series=()), empty("G2.D1")),
        "django backend",
        {"django panel G2.D1"},
    ),
    "T7 the selected container stopped, its series gone": (
        all_of(stopped("backend"), empty("G3.1", RSS)),
        "django endpoint",
        {"cadvisor alert G3.1"},
    ),
    "nothing arrives": (
        all_of(stored(series=(), age=600.0), empty("G2.D1"), empty("G3.1")),
        "collector remote write",
        {"django panel G2.D1", "cadvisor alert G3.1"},
    ),
    "collector stopped": (
        all_of(stopped("prometheus-agent"), empty("N1")),
        "collector endpoint",
        {"node panel N1"},
    ),
    "a rule is not loaded": (
        all_of(rules(Rule(*RULES[1], "ok")), empty("R1")),
        "metrics_backend rules",
        {"celery alert R1"},
    ),
    "the backend answers nothing": (
        all_of(backend(REFUSED), unasked),
        "metrics_backend query",
        {f"{q.source} {q.kind} {q.id}" for q in QUESTIONS} | {"metrics_backend rules"},
    ),
}


@pytest.mark.parametrize(("mutate", "culprit", "because"), CONSEQUENCES.values(), ids=CONSEQUENCES)
def test_what_is_empty_because_something_else_is_broken(
    mutate: Mutation, culprit: str, because: set[str]
) -> None:
    facts = asked()
    mutate(facts)
    checks = checks_by_name(facts)
    assert names(facts, FAILED) == {culprit}
    assert because <= names(facts, CONSEQUENCE)
    source, check = culprit.split(" ", 1)
    assert all(checks[name].likely_cause.endswith(f"see {source}, {check}") for name in because)


def test_a_metric_of_another_source_blames_that_source() -> None:
    facts = asked()
    facts.questions = (
        Question("N2", "panel", "node", "Per container", "node_load1 / x", ("node_load1", RSS)),
    )
    all_of(stopped("cadvisor"), stored("cadvisor", series=()), empty("N2", "node_load1"))(facts)
    assert names(facts, FAILED) == {"cadvisor endpoint"}
    assert "node panel N2" in names(facts, CONSEQUENCE)


def test_a_bad_expression_is_no_consequence() -> None:
    facts = asked()
    all_of(stopped("cadvisor"), refused("G3.1", BAD_DATA))(facts)
    assert names(facts, FAILED) == {"cadvisor endpoint", "cadvisor alert G3.1"}


def test_data_is_shown_with_its_first_values() -> None:
    facts = asked()
    series = tuple(({"view": str(number)}, number / 3) for number in range(30))
    facts.answers["G2.D1"] = Answer(values=(({"view": "none"}, math.nan), *series))
    check = checks_by_name(facts)["django panel G2.D1"]
    assert (check.status, check.got) == (OK, "31 series: 0, 0.3333, 0.6667, ...")
    assert check.details["series"] == 31
    assert len(check.details["values"]) == 20
    assert check.details["values"][:2] == [
        {"labels": {"view": "none"}, "value": "NaN"},
        {"labels": {"view": "0"}, "value": 0.0},
    ]
    assert (check.details["kind"], check.details["id"], check.details["title"]) == (
        *("panel", "G2.D1"),
        "Requests",
    )


@pytest.mark.parametrize(
    ("mutate", "got"),
    [
        (empty("G3.3", "a", "b"), "not yet: no data"),
        (empty("G3.3"), "not yet: no data, no sample of a, b"),
        (empty("G3.3", "a", "b", values=(math.nan,)), "not yet: 1 series, all NaN"),
    ],
)
def test_t10_what_waits_for_an_event_is_noted_with_its_reason(mutate: Mutation, got: str) -> None:
    facts = asked()
    mutate(facts)
    check = checks_by_name(facts)["celery alert G3.3"]
    assert (check.status, check.got, check.likely_cause) == (OK, got, "no task has run so far")
    assert check.details["has_data"] is False


def test_the_catalogue_excuses_a_metric_that_its_promise_excuses() -> None:
    facts = asked()
    name = "container_oom_events_total"
    facts.questions = (Question("A1", "alert", "cadvisor", "OOM kill", f"increase({name}[5m])", (name,)),)
    empty("A1")(facts)
    check = checks_by_name(facts)["cadvisor alert A1"]
    assert (check.status, check.likely_cause) == (OK, "container_oom_events_total: since 0.40")
    facts.questions = (replace(facts.questions[0], metrics=(name, "unheard_of")),)
    assert checks_by_name(facts)["cadvisor alert A1"].status == FAILED


def test_a_metric_that_is_promised_twice_once_without_a_condition_is_due() -> None:
    """container_memory_rss of `backend` has to be there, whatever is said of another service's."""
    facts = asked()
    conditional = Promise(RSS, RSS, {"name": "other"}, when="only with another service")
    facts.sources = tuple(
        replace(source, promised=(*source.promised, conditional)) if source.name == "cadvisor" else source
        for source in facts.sources
    )
    all_of(stored("cadvisor", series=()), empty("G3.1"))(facts)
    assert names(facts, FAILED) == {"cadvisor backend"}
    assert "cadvisor alert G3.1" in names(facts, CONSEQUENCE)


def test_without_expected_rules_the_backend_is_not_asked_for_any() -> None:
    """Grafana Cloud evaluates the rules in its Grafana."""
    facts = asked()
    facts.expected_rules, facts.rules = (), None
    assert "metrics_backend rules" not in checks_by_name(facts)


def check_mode(*mutations: Mutation) -> dict[str, Any]:
    facts = asked()
    facts.check_mode = True
    all_of(*mutations)(facts)
    return {name: check.status for name, check in checks_by_name(facts).items() if check.status != OK}


def test_check_mode_forgives_rules_that_a_deploy_would_load() -> None:
    assert check_mode(rules(Rule(*RULES[1], "ok")), empty("R1")) == {
        "metrics_backend rules": SKIPPED,
        "celery alert R1": SKIPPED,
    }


def test_check_mode_forgives_no_rule_that_fails() -> None:
    assert check_mode(rules(Rule(*RULES[1], "err", "boom"))) == {"metrics_backend rules": FAILED}


def test_check_mode_asks_nothing_of_what_is_not_deployed() -> None:
    def nothing_deployed(facts: Facts) -> None:
        facts.containers, facts.scrapes = (), {}

    found = check_mode(nothing_deployed, empty("G2.D1"), empty("N1"))
    assert (found["django panel G2.D1"], found["node panel N1"]) == (SKIPPED, SKIPPED)
    assert FAILED not in found.values()
