"""Each way in which the metrics break, and the one culprit the verification names (G7, T1, T2, T5, T6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils.metric_probe_checks import evaluate
from plugins.module_utils.metric_probe_facts import Canary, Facts, Problem, Target
from plugins.module_utils.metric_probe_wording import CONSEQUENCE, FAILED, OK, SKIPPED, Check
from tests.unit._probe_facts import (
    REFUSED,
    SOURCES,
    all_of,
    backend,
    canary,
    container,
    healthy,
    repeated,
    scrape,
    stopped,
    stored,
    target_down,
    targets,
)

NOT_COUNTED = canary(counted={("default", "celery"): 4.0, ("ai_queue", "celery-ai"): 2.0})
AI_NOT_COUNTED = canary(counted={("default", "celery"): 5.0, ("ai_queue", "celery-ai"): 2.0})

# what breaks, the culprit (source, check), what came, the likely cause, whether waiting may help
FAILURES = {
    "cadvisor stopped": (
        all_of(stopped("cadvisor"), stored("cadvisor", series=(), age=70.0)),
        ("cadvisor", "endpoint"),
        "container telemetry-cadvisor-1 is exited with status 137",
        "somebody stopped it: `docker start telemetry-cadvisor-1`",
        False,
    ),
    "exporter killed by the OOM killer": (
        container("node-exporter", status="exited", exit_code=137, oom_killed=True),
        ("node", "endpoint"),
        "is exited",
        "raise the memory of service node-exporter",
        False,
    ),
    "exporter crashed": (
        container("node-exporter", status="exited", exit_code=1),
        ("node", "endpoint"),
        "with status 1",
        "it ended by itself: read `docker logs telemetry-node-exporter-1`",
        False,
    ),
    "exporter restarts in a loop": (
        container("node-exporter", status="restarting"),
        ("node", "endpoint"),
        "is restarting",
        "it ends right after each start",
        True,
    ),
    "exporter paused": (
        container("node-exporter", status="paused"),
        ("node", "endpoint"),
        "is paused",
        "docker unpause telemetry-node-exporter-1",
        False,
    ),
    "container on no network": (
        container("node-exporter", address=""),
        ("node", "endpoint"),
        "has no address",
        "it is on no network of this host",
        True,
    ),
    "nothing listens": (
        all_of(scrape("node", 0, problem=REFUSED, samples={}), target_down("node")),
        ("node", "endpoint"),
        "http://172.18.0.2:9100/metrics: connection refused",
        "the container runs but nothing listens on port 9100: catalogue endpoint",
        True,
    ),
    "G7 port published elsewhere": (
        scrape("django", 1, problem=REFUSED, samples={}),
        ("django", "endpoint"),
        "http://127.0.0.1:8000/metrics: connection refused",
        "not through the published port",
        True,
    ),
    "Django refuses the host name": (
        scrape("django", 0, problem=Problem("status", "HTTP 400 Bad Request", 400), samples={}),
        ("django", "endpoint"),
        "HTTP 400",
        "catalogue endpoint",
        False,
    ),
    "metrics page redirects": (
        scrape("django", 0, problem=Problem("status", "HTTP 301 to https://backend/", 301), samples={}),
        ("django", "endpoint"),
        "HTTP 301 to https://backend/",
        "SECURE_REDIRECT_EXEMPT",
        False,
    ),
    "a login page instead of metrics": (
        scrape("django", 0, problem=Problem("content", "not a metrics page: line 1"), samples={}),
        ("django", "endpoint"),
        "not a metrics page",
        "catalogue endpoint",
        False,
    ),
    "T1 HELP without samples": (
        all_of(
            scrape(
                "celery",
                0,
                samples={"celery_task_succeeded_total": 1},
                announced=frozenset({"celery_task_failed"}),
            ),
            stored("celery", series=({"__name__": "celery_tasks_total", "status": "success"},)),
        ),
        ("celery", "endpoint"),
        "1 of 2; announced by HELP but without samples: celery_task_failed_total",
        "catalogue samples",
        True,
    ),
    "T3 metric absent at one replica": (
        scrape("django", 1, samples={}),
        ("django", "endpoint"),
        "0 of 1; absent: django_requests_total",
        "catalogue samples",
        True,
    ),
    "database down": (
        all_of(stopped("postgres"), scrape("postgres", 0, samples={}), stored("postgres", series=())),
        ("postgres", "endpoint"),
        "absent: pg_size_bytes",
        "docker start app-postgres-1",
        True,
    ),
    "target down although the endpoint answers": (
        all_of(target_down("celery", "context deadline exceeded"), stored("celery", series=())),
        ("celery", "target"),
        "http://celery-exporter:9808/metrics is down: context deadline exceeded",
        "catalogue target",
        True,
    ),
    "collector does not know the job": (
        targets(without="node"),
        ("node", "target"),
        "no such target",
        "no such job, or finds no container: run deploy.yml",
        True,
    ),
    "not scraped yet": (
        targets(unknown="node"),
        ("node", "target"),
        "not scraped yet",
        "scrape_interval",
        True,
    ),
    "collector stopped": (
        all_of(stopped("prometheus-agent"), targets(REFUSED), stored(series=(), age=300.0)),
        ("collector", "endpoint"),
        "container telemetry-prometheus-agent-1 is exited",
        "docker start telemetry-prometheus-agent-1",
        False,
    ),
    "nothing arrives": (
        stored(series=()),
        ("collector", "remote write"),
        "none of 7 sources",
        "vault_metrics_write_password",
        True,
    ),
    "the backend refuses the collector": (
        all_of(stored(series=()), lambda facts: setattr(facts, "refused", "401")),
        ("collector", "remote write"),
        "the backend answers the collector with 401",
        "correct vault_metrics_write_password",
        True,
    ),
    "the backend refuses the collector, and one source has older times of its own": (
        all_of(
            stored("django", "celery", "rabbitmq", "node", "postgres", "collector", series=()),
            lambda facts: setattr(facts, "refused", "401"),
        ),
        ("collector", "remote write"),
        "1 of 7 sources; the backend answers the collector with 401",
        "correct vault_metrics_write_password",
        True,
    ),
    "backend stopped": (
        all_of(stopped("metrics-backend"), backend(REFUSED)),
        ("metrics_backend", "query"),
        "connection refused",
        "docker start telemetry-metrics-backend-1",
        False,
    ),
    "backend starts": (
        backend(Problem("status", "HTTP 503 Service Unavailable", 503)),
        ("metrics_backend", "query"),
        "HTTP 503",
        "the backend still starts",
        True,
    ),
    "backend refuses the password": (
        backend(Problem("status", "HTTP 401 Unauthorized", 401)),
        ("metrics_backend", "query"),
        "HTTP 401 Unauthorized",
        "vault_metrics_read_password",
        False,
    ),
    "G7 one source stale": (
        stored("node", series=(), age=312.4),
        ("node", "backend"),
        "none of 1 metrics, since 312 s",
        "catalogue backend",
        True,
    ),
    "G7 one source never arrived": (
        stored("node", series=(), age=None),
        ("node", "backend"),
        "none of 1 metrics, for an hour at least",
        "catalogue backend",
        True,
    ),
    "T7 samples without the service name": (
        stored("cadvisor", series=({"__name__": "container_memory_rss", "name": "app-backend-1"},)),
        ("cadvisor", "backend"),
        'no fresh container_memory_rss{name="backend"}',
        "catalogue backend",
        True,
    ),
    "backend refuses one query": (
        stored("node", series=(), problem=Problem("status", "HTTP 422: bad", 422)),
        ("node", "backend"),
        "HTTP 422: bad",
        "refuses this query",
        True,
    ),
    "worker stopped": (
        all_of(stopped("celery-ai"), AI_NOT_COUNTED),
        ("celery", "canary ai_queue"),
        "sent to ai_queue, but no worker reported its success; container app-celery-ai-1 is exited",
        "docker start app-celery-ai-1",
        False,
    ),
    "T5 nobody consumes the queue": (
        all_of(AI_NOT_COUNTED, canary(consumers={"default": 1, "ai_queue": 0})),
        ("celery", "canary ai_queue"),
        "no worker reported its success",
        "no worker consumes ai_queue (celery-ai should): app_stack_workers",
        True,
    ),
    "T6 consumed by the wrong worker": (
        canary(counted={("default", "celery"): 5.0, ("ai_queue", "celery"): 1.0}),
        ("celery", "canary ai_queue"),
        "consumed by celery instead of celery-ai",
        "another worker consumes this queue",
        False,
    ),
    "sent events are off": (
        canary(counted={("default", "celery"): 5.0, ("celery", "celery-ai"): 1.0}),
        ("celery", "canary ai_queue"),
        "counted under queue_name=celery",
        "task_send_sent_event",
        True,
    ),
    "T1 events do not reach the exporter": (
        all_of(AI_NOT_COUNTED, canary(consumers={})),
        ("celery", "canary ai_queue"),
        "no worker reported its success",
        "catalogue samples",
        True,
    ),
    "canary on its way to the backend": (
        canary(stored={("default", "celery"): 5.0, ("ai_queue", "celery-ai"): 2.0}),
        ("celery", "canary ai_queue"),
        "consumed by celery-ai and counted, but celery_tasks_total has not followed in the backend",
        "catalogue backend",
        True,
    ),
    "T2 counters jump": (
        repeated(falls=("django_requests_total{view=a} 104 -> 94",)),
        ("django", "monotonic"),
        "1 falls, such as django_requests_total{view=a} 104 -> 94",
        "PROMETHEUS_MULTIPROC_DIR",
        False,
    ),
    "T2 no counter to watch": (
        repeated(counters=0),
        ("django", "monotonic"),
        "no counter",
        "catalogue samples",
        True,
    ),
    "scrape lost on the way": (
        repeated(problem=Problem("timeout", "no answer within 10 s")),
        ("django", "monotonic"),
        "no answer within 10 s",
        "catalogue endpoint",
        True,
    ),
}


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.status == FAILED]


def test_a_healthy_stack_has_no_failure_and_a_row_for_every_question() -> None:
    checks = evaluate(healthy())
    assert {check.status for check in checks} == {OK}
    assert [(c.source, c.check) for c in checks if c.source in ("django", "celery")] == [
        ("django", "endpoint"),
        ("django", "target"),
        ("django", "backend"),
        ("django", "monotonic"),
        ("celery", "endpoint"),
        ("celery", "target"),
        ("celery", "backend"),
        ("celery", "canary ai_queue"),
        ("celery", "canary default"),
    ]
    assert not any(check.waiting for check in checks)


@pytest.mark.parametrize("name", FAILURES)
def test_names_exactly_the_culprit(name: str) -> None:
    mutate, culprit, got, cause, waiting = FAILURES[name]
    facts = healthy()
    mutate(facts)
    found = failed(evaluate(facts))
    assert [(check.source, check.check) for check in found] == [culprit]
    assert got in found[0].got
    assert cause in found[0].likely_cause
    assert found[0].asked
    assert found[0].expected
    assert found[0].waiting is waiting


def consequences(facts: Facts) -> dict[tuple[str, str], str]:
    return {(c.source, c.check): c.likely_cause for c in evaluate(facts) if c.status == CONSEQUENCE}


def test_broker_down_celery_is_a_consequence() -> None:
    """T5, T13: rabbitmq alone is named although the exporter, the canary and their series fail as well."""
    facts = healthy()
    all_of(
        stopped("rabbitmq"),
        scrape("celery", 0, problem=Problem("status", "HTTP 500", 500), samples={}),
        target_down("celery", "server returned HTTP status 500"),
        stored("celery", "rabbitmq", series=()),
        canary(problem="not sent: the broker does not run", sent=()),
    )(facts)
    assert [(check.source, check.check) for check in failed(evaluate(facts))] == [("rabbitmq", "endpoint")]
    because = "because rabbitmq is broken: see rabbitmq, endpoint"
    assert consequences(facts) == {
        ("celery", "endpoint"): because,
        ("celery", "target"): because,
        ("celery", "backend"): because,
        ("celery", "canary ai_queue"): because,
        ("celery", "canary default"): because,
        ("rabbitmq", "target"): because,
        ("rabbitmq", "backend"): because,
    }


def test_celery_exporter_down_the_canary_belongs_to_it() -> None:
    facts = healthy()
    all_of(stopped("celery-exporter"), NOT_COUNTED)(facts)
    assert [(check.source, check.check) for check in failed(evaluate(facts))] == [("celery", "endpoint")]
    assert set(consequences(facts)) == {
        ("celery", "target"),
        ("celery", "canary ai_queue"),
        ("celery", "canary default"),
    }


def test_collector_down_all_staleness_is_its_consequence() -> None:
    facts = healthy()
    FAILURES["collector stopped"][0](facts)
    found = consequences(facts)
    assert {check for _source, check in found} == {"target", "backend"}
    assert len(found) == 2 * len(SOURCES)
    assert set(found.values()) == {
        "because the collector does not run or does not answer: see collector, endpoint"
    }


def test_backend_down_its_questions_are_consequences_that_nobody_waits_for() -> None:
    facts = healthy()
    FAILURES["backend stopped"][0](facts)
    checks = evaluate(facts)
    assert {check.check for check in checks if check.status == CONSEQUENCE} == {"backend"}
    assert not any(check.waiting for check in checks)


def test_web_service_down_its_container_series_are_a_consequence() -> None:
    """cAdvisor promises series of name="backend" (T7): without that container it is not to blame."""
    facts = healthy()
    all_of(
        stopped("backend"),
        stored("cadvisor", series=({"__name__": "container_memory_rss", "name": "celery"},)),
        repeated(problem=REFUSED),
    )(facts)
    assert [(check.source, check.check) for check in failed(evaluate(facts))] == [("django", "endpoint")]
    assert ("cadvisor", "backend") in consequences(facts)
    assert ("django", "monotonic") in consequences(facts)


def test_alloy_is_asked_through_the_backend() -> None:
    facts = healthy()
    facts.collector = "alloy"
    targets(Problem("refused", "connection refused"))(facts)
    backend(REFUSED)(facts)
    assert [(check.source, check.check) for check in failed(evaluate(facts))] == [
        ("metrics_backend", "query")
    ]


def test_a_target_of_a_scaled_service_counts_each_replica() -> None:
    facts = healthy()
    assert facts.targets is not None
    second = Target("django", "http://172.18.0.9:8000/metrics", "up")
    facts.targets = replace(facts.targets, found=(*facts.targets.found, second))
    assert (
        next(c for c in evaluate(facts) if (c.source, c.check) == ("django", "target")).got == "2 targets up"
    )


def test_a_metric_that_waits_for_an_event_is_noted_not_failed() -> None:
    check = next(c for c in evaluate(healthy()) if (c.source, c.check) == ("cadvisor", "endpoint"))
    assert check.status == OK
    assert check.got == "1 of 2 metrics have samples; not yet container_oom_events_total"
    assert check.likely_cause == "container_oom_events_total: since 0.40"


def test_a_restarted_exporter_counts_from_nothing() -> None:
    """Its old, higher value in the backend is no proof."""
    facts = healthy()
    counted = {("default", "celery"): 1.0, ("ai_queue", "celery-ai"): 1.0}
    canary(counted=counted, stored={("default", "celery"): 1.0, ("ai_queue", "celery-ai"): 2.0})(facts)
    assert [check.check for check in failed(evaluate(facts))] == ["canary ai_queue"]


def test_check_mode_forgives_what_is_not_deployed_and_sends_nothing() -> None:
    facts = healthy()
    facts.check_mode, facts.containers, facts.scrapes = True, (), {}
    facts.backend_problem = REFUSED
    facts.canary = Canary(skipped="check mode sends no task")
    facts.repeated = None
    assert {check.status for check in evaluate(facts)} == {SKIPPED}


def test_without_an_engine_there_is_one_answer() -> None:
    facts = healthy()
    facts.engine_problem = "Cannot connect to the Docker daemon"
    assert [(c.source, c.status) for c in evaluate(facts)] == [("docker", FAILED)]
    facts.check_mode = True
    assert [(c.source, c.status) for c in evaluate(facts)] == [("docker", SKIPPED)]
