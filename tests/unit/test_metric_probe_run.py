"""A whole run against a small host in memory: what is asked, how often, and when the waiting ends."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from plugins.module_utils import metric_probe_run
from plugins.module_utils.exposition import Exposition, parse
from plugins.module_utils.metric_probe_asking import Backend
from plugins.module_utils.metric_probe_facts import (
    Budget,
    Container,
    Job,
    Problem,
    Promise,
    Question,
    Rule,
    Rules,
    Scrape,
    Source,
    Worker,
)
from plugins.module_utils.metric_probe_run import Plan, Run
from plugins.module_utils.metric_probe_wording import CONSEQUENCE, FAILED, OK, SKIPPED, Check

SERVICES = {"backend": "app", "rabbitmq": "app", "celery": "app", "celery-ai": "app"}
SERVICES |= {"celery-exporter": "telemetry", "prometheus-agent": "telemetry"}
WORKER_OF = {"default": "celery", "ai_queue": "celery-ai"}


def source(name: str, service: str, promised: str, published: int = 0) -> Source:
    project, port = SERVICES[service], {"celery": 9808}.get(name, 8000)
    promise = (Promise(promised, promised),)
    return Source(name, name, project, service, port, published_port=published, promised=promise)


@dataclass
class Host:
    """Containers, endpoints, collector and backend, with faults to switch on; time passes in sleeps alone."""

    time: float = 0.0
    stopped: set[str] = field(default_factory=set)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    events_from: float = 0.0  # before that time the exporter misses events
    arrives_after: float = 0.0  # seconds until the backend holds what is exposed
    canary_answer: tuple[int, str, str] | None = None
    web_counters: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    scraped: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    up: dict[str, int] = field(default_factory=dict)
    questions_answered_after: float = 0.0  # seconds until a rate has its second sample
    backend_silent_until: float = 0.0
    silence: str = "timeout"  # kind of the problem meanwhile
    log: str = ""  # of the collector
    canaries_arrive: bool = True  # in the backend, whatever else does
    refused: str = ""  # beginning of the expressions that the backend cannot evaluate

    def containers(self, _projects: list[str]) -> tuple[tuple[Container, ...], str]:
        found = []
        for service, project in SERVICES.items():
            running = service not in self.stopped
            found.append(
                Container(
                    service,
                    f"{project}-{service}-1",
                    project,
                    service,
                    "running" if running else "exited",
                    address="172.18.0.2" if running else "",
                )
            )
        return tuple(found), ""

    def docker(self, *arguments: str, timeout: float = 0) -> tuple[int, str, str]:
        assert timeout > 0
        if arguments[0] == "logs":
            return 0, "", self.log
        self.commands.append(list(arguments))
        if self.canary_answer:
            return self.canary_answer
        queues = arguments[-1].split(",")
        for queue in queues:
            if WORKER_OF[queue] not in self.stopped and self.time >= self.events_from:
                key = (queue, WORKER_OF[queue])
                self.counters[key] = self.counters.get(key, 0) + 1
        return 0, "a line of the app's own\n" + json.dumps({"sent": dict.fromkeys(queues, "id")}) + "\n", ""

    def page(self, url: str) -> str:
        if ":9808" in url:
            canary = 'celery_task_succeeded_total{name="soundcheck.canary"'
            lines = [
                f'{canary},queue_name="{queue}",hostname="{worker}"}} {value}'
                for (queue, worker), value in self.counters.items()
            ]
            return "\n".join(["celery_worker_up 1", *lines])
        if self.web_counters:
            return "# TYPE django_http_total counter\nup 1\n" + self.web_counters.pop(0)
        return "# TYPE django_http_total counter\ndjango_http_total 1\nup 1\n"

    def scrape(self, url: str, _host: str, _timeout: float) -> tuple[Scrape, Exposition]:
        self.scraped.append(url)
        page = parse(self.page(url))
        return Scrape(url, samples=page.counts()), page

    def fetch(self, url: str, _timeout: float) -> tuple[bytes, Problem | None]:
        jobs = ("django", "celery", "rabbitmq", "collector")
        targets = [{"labels": {"job": job}, "scrapeUrl": url, "health": "up"} for job in jobs]
        return json.dumps({"data": {"activeTargets": targets}}).encode(), None

    def query(self, expression: str) -> tuple[list[dict[str, Any]], Problem | None]:
        self.queries.append(expression)
        if self.time < self.backend_silent_until:
            return [], Problem(self.silence, "no answer within 15 s")
        if self.refused and expression.startswith(self.refused):
            return [], Problem("status", "HTTP 422: too many samples", 422)
        if self.time < self.arrives_after:
            return [], None
        if expression.startswith("max by (queue_name"):
            return [
                {"metric": {"queue_name": q, "hostname": w}, "value": [0, str(value)]}
                for (q, w), value in self.counters.items()
                if self.canaries_arrive
            ], None
        if expression.startswith("rate("):
            answered = self.time >= self.questions_answered_after
            return [{"metric": {}, "value": [0, "1.5"]}] if answered else [], None
        if expression.startswith("count by (job)"):
            return [{"metric": {"job": "django"}, "value": [0, "100"]}], None
        if expression.startswith("up{"):
            return [{"metric": {"job": job}, "value": [0, str(v)]} for job, v in self.up.items()], None
        name = re.search(r'__name__=~"([^"]+)"', expression)
        return [{"metric": {"__name__": name[1]}, "value": [0, "1"]}] if name else [], None

    def rules(self) -> Rules:
        return Rules(loaded=(Rule("django", "Requests", "ok"),))

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    for name in ("containers", "docker", "scrape", "fetch"):
        monkeypatch.setattr(metric_probe_run, name, getattr(made, name))
    monkeypatch.setattr(Backend, "query", lambda _backend, expression: made.query(expression))
    monkeypatch.setattr(Backend, "rules", lambda _backend: made.rules())
    return made


PLAN = Plan(
    sources=(
        source("django", "backend", "up", published=18000),
        source("celery", "celery-exporter", "celery_worker_up"),
        source("rabbitmq", "rabbitmq", "up"),
        source("collector", "prometheus-agent", "up"),
    ),
    workers=(Worker("celery", ("default",)), Worker("celery-ai", ("ai_queue",))),
    projects=("app", "telemetry"),
    collector="prometheus_agent",
    backend=Backend("http://127.0.0.1:9090", "reader", "secret", {"host": "vm"}),
    timeout=60,
    monotonic_source="django",
    monotonic_prefix="django_http_",
    monotonic_scrapes=20,
    questions=(
        Question("G2.D1", "panel", "django", "Requests", "rate(requests[5m])", ("requests",)),
        Question(
            "G3.9", "alert", "celery", "Failures", "increase(failed[5m])", ("failed",), "no failure yet"
        ),
    ),
    expected_rules=(("django", "Requests"),),
    budget=Budget(1000, 1, (Job("django", 15, "fewer buckets"),)),
)


REFUSED_LOG = 'level=error msg="non-recoverable error" err="server returned HTTP status 401 Unauthorized"\n'


def run(host: Host, **changes: Any) -> dict[str, Check]:
    checks = Run(replace(PLAN, **changes), clock=lambda: host.time, sleep=host.sleep).checks()
    return {f"{check.source} {check.check}": check for check in checks}


def statuses(checks: dict[str, Check], status: str) -> set[str]:
    return {name for name, check in checks.items() if check.status == status}


def test_a_warm_system_is_asked_once_and_nobody_waits(host: Host) -> None:
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert host.time == 0
    assert len(host.commands) == 1
    # One scrape at the container, one at the published port (G7), and the twenty for the counters (T2).
    assert host.scraped.count("http://172.18.0.2:8000/metrics") == 3
    assert host.scraped.count("http://127.0.0.1:18000/metrics") == 21


def test_counters_are_read_at_one_container_while_two_would_answer_in_turns(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollout has two for a moment, and the published port leads to both."""
    found, problem = host.containers(["app", "telemetry"])
    first = next(container for container in found if container.service == "backend")
    second = replace(first, identity="second", name="app-backend-2", address="172.18.0.99")
    monkeypatch.setattr(metric_probe_run, "containers", lambda _projects: ((*found, second), problem))

    run(host)

    assert host.scraped.count(f"http://{first.address}:8000/metrics") >= 21
    assert host.scraped.count("http://172.18.0.99:8000/metrics") == 1
    assert host.scraped.count("http://127.0.0.1:18000/metrics") == 1


def test_t5_one_canary_per_queue_starts_in_a_worker(host: Host) -> None:
    run(host)
    assert host.commands == [
        ["exec", "celery", "python", "-m", "soundcheck_canary", "--queues", "ai_queue,default"]
    ]


def test_t2_a_canary_from_the_web_service_leaves_no_metric_files_there(host: Host) -> None:
    host.stopped = {"celery", "celery-ai"}
    run(host, timeout=0)
    assert host.commands[0][1:5] == ["backend", "env", "-u", "PROMETHEUS_MULTIPROC_DIR"]


def test_after_a_first_deploy_the_run_ends_when_the_samples_arrive(host: Host) -> None:
    host.arrives_after = 17
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert host.time == 17
    assert host.scraped.count("http://127.0.0.1:18000/metrics") == 21  # what was right is not asked again


def test_an_exporter_that_missed_the_canary_gets_another(host: Host) -> None:
    host.events_from = 5
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert 12 <= host.time <= 14
    assert len(host.commands) == 2


def test_the_waiting_is_bounded(host: Host) -> None:
    host.events_from = 1000
    checks = run(host, timeout=30)
    assert statuses(checks, FAILED) == {"celery canary default", "celery canary ai_queue"}
    assert host.time == 30
    assert len(host.commands) <= 4


def test_nobody_waits_for_a_stopped_container(host: Host) -> None:
    host.stopped = {"celery-ai"}
    checks = run(host)
    assert statuses(checks, FAILED) == {"celery canary ai_queue"}
    assert host.time == 0


def test_without_a_broker_no_canary_is_sent(host: Host) -> None:
    host.stopped = {"rabbitmq"}
    checks = run(host)
    assert host.commands == []
    assert statuses(checks, FAILED) == {"rabbitmq endpoint"}
    assert {"celery canary default", "celery canary ai_queue"} <= statuses(checks, CONSEQUENCE)


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ((1, "", "warning\nthe broker took no canary\n"), "status 1: the broker took no canary"),
        ((1, "No module named soundcheck_canary\n", ""), "status 1: No module named soundcheck_canary"),
        ((124, "", "no answer within 40 s"), "status 124: no answer within 40 s"),
        ((0, "hello\n", ""), "unexpected answer: hello"),
        ((0, "[]\n", ""), "unexpected answer: []"),
        ((0, "", ""), "unexpected answer: "),
    ],
)
def test_a_canary_that_cannot_be_sent(host: Host, answer: tuple[int, str, str], got: str) -> None:
    host.canary_answer = answer
    checks = run(host, timeout=0)
    assert checks["celery canary default"].status == FAILED
    assert checks["celery canary default"].got == got


def test_t2_falling_and_vanishing_counters_are_seen(host: Host) -> None:
    values = [100, 104, 94, 104, 94, 104, 94]
    host.web_counters = [f"django_http_total {value}\n" for value in values] + ["up 1\n"]
    monotonic = run(host)["django monotonic"]
    assert monotonic.status == FAILED
    assert "django_http_total{} 104 -> 94" in monotonic.got
    assert "django_http_total{} vanished" in monotonic.got


def test_the_counters_of_a_stopped_service_are_a_consequence(host: Host) -> None:
    host.stopped = {"backend"}
    checks = run(host)
    assert statuses(checks, FAILED) == {"django endpoint"}
    assert "django monotonic" in statuses(checks, CONSEQUENCE)


def test_g2_panels_are_asked_again_until_a_rate_has_two_samples(host: Host) -> None:
    host.questions_answered_after = 16
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert host.time == 16
    assert host.queries.count("rate(requests[5m])") == 17
    assert checks["celery alert G3.9"].likely_cause == "no failure yet"


def test_what_answers_or_may_be_empty_is_asked_once(host: Host) -> None:
    host.arrives_after = 3
    host.canary_answer = (1, "", "no broker")
    run(host)
    assert host.queries.count("rate(requests[5m])") == 4
    assert host.queries.count("increase(failed[5m])") == 1
    assert sum(query.startswith("count by (job)") for query in host.queries) == 2 * 4


def test_t16_a_dead_panel_ends_the_waiting_with_the_metric_that_is_missing(host: Host) -> None:
    host.questions_answered_after = 1000
    checks = run(host, timeout=5)
    assert statuses(checks, FAILED) == {"django panel G2.D1"}
    assert host.time == 5
    assert checks["django panel G2.D1"].got == "Requests: no sample of requests"


def test_a_silent_backend_is_asked_no_expression(host: Host) -> None:
    host.backend_silent_until = 4
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert host.queries.count("rate(requests[5m])") == 1


def test_what_a_refusing_backend_left_unasked_is_asked_when_it_answers(host: Host) -> None:
    """Nobody would wait for it alone, but the canary takes its time."""
    host.backend_silent_until, host.silence, host.events_from = 4, "refused", 3
    checks = run(host)
    assert statuses(checks, OK) == set(checks)
    assert host.queries.count("rate(requests[5m])") == 1


@pytest.mark.parametrize(
    ("refused", "failed"),
    [
        ("count by (job) (last_over_time(", "budget series"),
        ("count by (job) ({", "budget series"),
        ("count by (__name__) ({", "django panel G2.D1"),
    ],
)
def test_what_the_backend_cannot_count_is_said_and_not_guessed(host: Host, refused: str, failed: str) -> None:
    host.refused = refused
    host.questions_answered_after = 1000 if failed.startswith("django") else 0
    checks = run(host, timeout=0, questions=PLAN.questions[:1])
    assert statuses(checks, FAILED) == {failed}
    assert "HTTP 422: too many samples" in checks[failed].got


def test_alloy_is_asked_through_the_backend(host: Host) -> None:
    host.up = {"django": 1, "celery": 1, "rabbitmq": 0, "collector": 1}
    checks = run(host, collector="alloy", timeout=0)
    assert statuses(checks, FAILED) == {"rabbitmq target"}
    assert checks["rabbitmq target"].asked == (
        'up{host="vm"} in the backend (Alloy has no stable targets API), job rabbitmq'
    )


def test_a_stopped_collector_has_no_targets_to_ask(host: Host) -> None:
    host.stopped = {"prometheus-agent"}
    checks = run(host)
    assert statuses(checks, FAILED) == {"collector endpoint"}
    assert {"django target", "celery target", "collector target"} <= statuses(checks, CONSEQUENCE)


def test_the_age_is_asked_for_silent_sources_alone(host: Host) -> None:
    run(host)
    assert not any("timestamp" in query for query in host.queries)
    host.arrives_after = 1000
    run(host, timeout=0)
    assert sum("timestamp" in query for query in host.queries) == len(PLAN.sources)


def test_check_mode_only_reads(host: Host) -> None:
    checks = run(host, check_mode=True, timeout=0)
    assert host.commands == []
    assert statuses(checks, SKIPPED) == {"celery canary default", "celery canary ai_queue"}
    assert statuses(checks, FAILED) == set()


def test_without_an_engine_nothing_else_is_asked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_probe_run, "containers", lambda _projects: ((), "cannot connect"))
    assert set(run(host)) == {"docker engine"}
    assert host.scraped == []


def test_the_status_with_which_the_backend_refuses_is_read_from_the_collectors_log(host: Host) -> None:
    host.arrives_after = 1000
    host.log = REFUSED_LOG

    checks = run(host, timeout=0)

    assert "the backend answers the collector with 401" in checks["collector remote write"].got


@pytest.mark.parametrize(
    ("log", "failed", "consequences"),
    [
        (
            REFUSED_LOG,
            {"collector remote write"},
            {"celery canary default", "celery canary ai_queue"},
        ),
        ("", {"celery canary default", "celery canary ai_queue"}, set()),
    ],
    ids=["refused", "not refused"],
)
def test_a_refusal_is_told_while_samples_from_before_it_are_fresh(
    host: Host, log: str, failed: set[str], consequences: set[str]
) -> None:
    host.canaries_arrive = False
    host.log = log

    checks = run(host)

    assert statuses(checks, "failed") == failed
    assert statuses(checks, "consequence") == consequences


def test_a_refusal_that_is_over_is_not_told(host: Host) -> None:
    """Everything arrives, the canaries of this very run included."""
    host.log = REFUSED_LOG
    assert statuses(run(host), "failed") == set()
