"""One verification run: ask everything once, then only what is not right yet, until it is or time is over."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from .exposition import Exposition, Labels
from .metric_probe_asking import Backend, containers, docker, fetch, scrape
from .metric_probe_checks import evaluate
from .metric_probe_facts import (
    BROKER,
    CANARY_TASK,
    CELERY,
    COLLECTOR,
    CONSUMERS,
    EXPORTED_SUCCESSES,
    STORED_TASKS,
    Budget,
    Canary,
    Container,
    Crossings,
    Facts,
    Problem,
    Question,
    Repeated,
    Source,
    Stored,
    Target,
    Targets,
    Worker,
    targets_of,
)
from .metric_probe_queries import all_queries, ask_catalogue
from .metric_probe_wording import BACKEND, OK, SKIPPED, Check

_PAUSE_SECONDS = 1.0
# An exporter that has just started misses the events of its first seconds: canaries go out again.
_RESEND_SECONDS = 12.0
_CANARY_TIMEOUT = 40.0
# As Prometheus' own remote write says it, which Grafana Agent and Alloy have within them.
_REFUSED = re.compile(r"HTTP status (4\d\d)")
_LOG_TIMEOUT = 20.0
# Alloy has none that is stable.
_TARGETS_API = {"grafana_agent": "/agent/api/v1/metrics/targets", "prometheus_agent": "/api/v1/targets"}
_QUESTIONS = ("endpoint", "target", "backend", "canary", "monotonic")
_THROUGH_THE_COLLECTOR = ("backend", "canary")


@dataclass(frozen=True)
class Plan:
    """What to ask and how long."""

    sources: tuple[Source, ...]
    workers: tuple[Worker, ...]
    projects: tuple[str, ...]
    collector: str
    backend: Backend
    timeout: float
    monotonic_source: str
    monotonic_prefix: str
    monotonic_scrapes: int
    check_mode: bool = False
    questions: tuple[Question, ...] = ()
    expected_rules: tuple[tuple[str, str], ...] = ()
    budget: Budget | None = None


@dataclass
class Run:
    """State of one run."""

    plan: Plan
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    facts: Facts = field(init=False)
    pages: dict[str, list[Exposition]] = field(default_factory=dict)
    sent_at: float = 0.0

    def __post_init__(self) -> None:
        self.facts = Facts(
            sources=self.plan.sources,
            workers=self.plan.workers,
            collector=self.plan.collector,
            backend_url=self.plan.backend.url,
            check_mode=self.plan.check_mode,
            questions=self.plan.questions,
            expected_rules=self.plan.expected_rules,
            budget=self.plan.budget,
        )

    def checks(self) -> list[Check]:
        """Ask until everything is right, nothing can become right by waiting, or the time is over."""
        deadline = self.clock() + self.plan.timeout
        self._look_at_containers()
        if self.facts.engine_problem:
            return evaluate(self.facts)
        self._prepare_canary()
        first = {(source.name, check) for source in self.plan.sources for check in _QUESTIONS}
        self._ask(first | all_queries(self.facts))
        checks = evaluate(self.facts)
        while any(check.waiting for check in checks) and self.clock() < deadline:
            self.sleep(_PAUSE_SECONDS)
            self._look_at_containers()
            self._send_again(checks)
            # What cannot heal is not asked again: counters that fell once must not pass by luck (T2).
            self._ask({(c.source, c.check.split()[0]) for c in checks if c.waiting})
            checks = evaluate(self.facts)
        self._find_ages(checks)
        # Samples from before the refusal may count as fresh still: then the canary alone does not arrive.
        if any(check.waiting and check.check.split()[0] in _THROUGH_THE_COLLECTOR for check in checks):
            self._read_the_collectors_log()
        return evaluate(self.facts)

    # --- asking -------------------------------------------------------------------------------------

    def _look_at_containers(self) -> None:
        self.facts.containers, self.facts.engine_problem = containers(list(self.plan.projects))

    def _ask(self, open_questions: set[tuple[str, str]]) -> None:
        """Put the questions at once: most of the time is waiting, the celery exporter alone takes 2 s."""
        names = {name for name, _check in open_questions}
        steps: list[Callable[[], None]] = [self._ask_backend]
        for source in self.plan.sources:
            # The canary is counted on the same page.
            if {(source.name, "endpoint"), (source.name, "canary")} & open_questions:
                steps.append(partial(self._scrape, source))
            if (source.name, "backend") in open_questions or (COLLECTOR, "remote") in open_questions:
                steps.append(partial(self._ask_stored, source))
        if any(check == "target" for _name, check in open_questions) or BACKEND in names:
            steps.append(self._ask_targets)
        if any(check == "canary" for _name, check in open_questions):
            steps.append(self._ask_stored_canaries)
        if (self.plan.monotonic_source, "monotonic") in open_questions:
            steps.append(self._scrape_repeatedly)
        with ThreadPoolExecutor(max_workers=8) as pool:
            for future in [pool.submit(step) for step in steps]:
                future.result()
        self._count_canaries()
        # After the backend was found to answer: each of these would wait for it alone.
        ask_catalogue(self.plan.backend, self.facts, open_questions)

    def _running(self, source: Source) -> list[Container]:
        return [c for c in self.facts.of(source.project, source.service) if c.running and c.address]

    def _scrape(self, source: Source) -> None:
        """Every container of the source at its own address, and the published port where there is one."""
        host = f"{source.service}:{source.port}"
        asked = [(self._direct(source, container), host) for container in self._running(source)]
        if asked and source.published_port:
            asked.append((self._published(source), f"localhost:{source.published_port}"))
        answers = [scrape(url, host, source.timeout) for url, host in asked]
        self.facts.scrapes[source.name] = tuple(answer for answer, _page in answers)
        self.pages[source.name] = [page for _answer, page in answers]

    @staticmethod
    def _direct(source: Source, container: Container) -> str:
        return f"{source.scheme}://{container.address}:{source.port}{source.path}"

    @staticmethod
    def _published(source: Source) -> str:
        return f"{source.scheme}://127.0.0.1:{source.published_port}{source.path}"

    def _ask_backend(self) -> None:
        _result, self.facts.backend_problem = self.plan.backend.query("vector(1)")

    def _ask_stored(self, source: Source) -> None:
        query = self.plan.backend.fresh_query(source.job, source.promised, source.fresh_seconds)
        result, problem = self.plan.backend.query(query)
        self.facts.stored[source.name] = Stored(query, problem, tuple(entry["metric"] for entry in result))

    def _ask_targets(self) -> None:
        if self.plan.collector == "alloy":
            self.facts.targets = self._targets_in_backend()
            return
        path = _TARGETS_API[self.plan.collector]
        source = self.facts.source(COLLECTOR)
        running = self._running(source) if source else []
        if source is None or not running:
            self.facts.targets = Targets(path, Problem("unreachable", "the collector does not run"))
            return
        url = f"http://{running[0].address}:{source.port}{path}"
        body, problem = fetch(url, source.timeout)
        try:
            found = () if problem else targets_of(self.plan.collector, json.loads(body))
        except (ValueError, AttributeError) as error:
            found, problem = (), Problem("content", f"not an answer of {self.plan.collector}: {error}")
        self.facts.targets = Targets(url, problem, found)

    def _targets_in_backend(self) -> Targets:
        backend = self.plan.backend
        expression = f"up{{{backend.selector()}}}"
        result, problem = backend.query(expression)
        found = tuple(
            Target(
                job=entry["metric"].get("job", ""),
                url=entry["metric"].get("instance", ""),
                health="up" if float(entry["value"][1]) == 1 else "down",
                error="up is 0",
            )
            for entry in result
        )
        return Targets(f"{expression} in the backend (Alloy has no stable targets API)", problem, found)

    # --- monotonic counters -------------------------------------------------------------------------

    def _scrape_repeatedly(self) -> None:
        """Each scrape on a connection of its own, so that another gunicorn worker may answer."""
        source = self.facts.source(self.plan.monotonic_source)
        if source is None:
            return
        if not self._running(source):
            url, problem = self._published(source), Problem("unreachable", "the service does not run")
            self.facts.repeated = Repeated(source.name, url, self.plan.monotonic_scrapes, problem=problem)
            return
        running = self._running(source)
        # Behind the published port several containers would answer in turns.
        if source.published_port and len(running) == 1:
            url, host = self._published(source), f"localhost:{source.published_port}"
        else:
            url = self._direct(source, running[0])
            host = f"{source.service}:{source.port}"
        scrapes, falls = self.plan.monotonic_scrapes, []
        earlier: dict[tuple[str, Labels], float] = {}
        for _number in range(scrapes):
            answer, page = scrape(url, host, source.timeout)
            if answer.problem:
                self.facts.repeated = Repeated(source.name, url, scrapes, problem=answer.problem)
                return
            later = page.counters(self.plan.monotonic_prefix)
            falls += [
                f"{_series(key)} {value:g} -> {later[key]:g}" if key in later else f"{_series(key)} vanished"
                for key, value in earlier.items()
                if later.get(key, float("-inf")) < value
            ]
            earlier = later
        self.facts.repeated = Repeated(source.name, url, scrapes, len(earlier), falls=tuple(falls))

    # --- canary -------------------------------------------------------------------------------------

    def _prepare_canary(self) -> None:
        """Read the counters, then send one task through every queue."""
        source = self.facts.source(CELERY)
        if source is None or not self.plan.workers:
            return
        if self.plan.check_mode:
            self.facts.canary = Canary(skipped="check mode sends no task")
            return
        self._scrape(source)
        before = self._crossings_at_exporter()
        self.facts.canary = replace(self._send(), before=before)

    def _send(self) -> Canary:
        queues = ",".join(sorted({queue for worker in self.plan.workers for queue in worker.queues}))
        command = ["python", "-m", "soundcheck_canary", "--queues", queues]
        asked = " ".join(["docker exec", self.plan.workers[0].name, *command])
        broker = self.facts.source(BROKER)
        if broker and not self._running(broker):
            return Canary(asked, problem="not sent: the broker does not run")
        app = self.plan.projects[0]
        candidates = [c for w in self.plan.workers for c in self.facts.of(app, w.name) if c.running]
        web = [c for c in self.facts.of(app, "backend") if c.running]
        if not candidates and not web:
            return Canary(asked, problem="not sent: no container of the app runs")
        if not candidates:
            # Metrics of this short process would stay among the files of the web workers.
            command = ["env", "-u", "PROMETHEUS_MULTIPROC_DIR", *command]
        container = (candidates or web)[0]
        asked = " ".join(["docker exec", container.name, *command])
        self.sent_at = self.clock()
        code, out, err = docker("exec", container.identity, *command, timeout=_CANARY_TIMEOUT)
        if code != 0:
            return Canary(asked, problem=f"status {code}: {_last_line(err) or _last_line(out)}")
        try:
            return Canary(asked, sent=tuple(json.loads(_last_line(out))["sent"]))
        except (ValueError, KeyError, TypeError):
            return Canary(asked, problem=f"unexpected answer: {_last_line(out)}")

    def _send_again(self, checks: list[Check]) -> None:
        canary = self.facts.canary
        lost = [c for c in checks if c.check.startswith("canary") and c.waiting and not self._counted(c)]
        if canary is None or not lost or self.clock() < self.sent_at + _RESEND_SECONDS:
            return
        self.facts.canary = replace(self._send(), before=canary.before, stored=canary.stored)

    def _counted(self, check: Check) -> bool:
        """Whether the exporter has counted the canary of this check's queue."""
        canary, queue = self.facts.canary, check.check.split(" ", 1)[1]
        return canary is not None and any(
            value != canary.before.get((name, worker), 0)
            for (name, worker), value in canary.counted.items()
            if name == queue
        )

    def _crossings_at_exporter(self) -> Crossings:
        return {
            (sample.label("queue_name"), sample.label("hostname")): sample.value
            for page in self.pages.get(CELERY, [])
            for sample in page.samples
            if sample.name == EXPORTED_SUCCESSES and sample.label("name") == CANARY_TASK
        }

    def _count_canaries(self) -> None:
        if self.facts.canary is None or self.facts.canary.skipped:
            return
        consumers: Mapping[str, float] = {
            sample.label("queue_name"): sample.value
            for page in self.pages.get(CELERY, [])
            for sample in page.samples
            if sample.name == CONSUMERS
        }
        self.facts.canary = replace(
            self.facts.canary, counted=self._crossings_at_exporter(), consumers=consumers
        )

    def _ask_stored_canaries(self) -> None:
        source, canary = self.facts.source(CELERY), self.facts.canary
        if source is None or canary is None or canary.skipped:
            return
        selector = self.plan.backend.selector(job=source.job, task_name=CANARY_TASK, status="success")
        result, _problem = self.plan.backend.query(
            f"max by (queue_name, hostname) ({STORED_TASKS}{{{selector}}})"
        )
        stored = {
            (labels.get("queue_name", ""), labels.get("hostname", "")): float(value)
            for labels, (_time, value) in ((entry["metric"], entry["value"]) for entry in result)
        }
        self.facts.canary = replace(canary, stored=stored)

    # --- the end ------------------------------------------------------------------------------------

    def _read_the_collectors_log(self) -> None:
        """Why nothing arrives: no metric holds the backend's answer, but every collector logs it."""
        source = self.facts.source(COLLECTOR)
        for container in self._running(source) if source else ():
            _code, out, err = docker("logs", "--since", "2m", container.identity, timeout=_LOG_TIMEOUT)
            statuses = _REFUSED.findall(out + err)
            self.facts.refused = statuses[-1] if statuses else ""

    def _find_ages(self, checks: list[Check]) -> None:
        """For sources without any fresh sample, learn when the last one came."""
        silent = {c.source for c in checks if c.check == "backend" and c.status not in (OK, SKIPPED)}
        for source in self.plan.sources:
            stored = self.facts.stored.get(source.name)
            if source.name not in silent or stored is None or stored.series or stored.problem:
                continue
            age = self.plan.backend.age(source.promised[0].stored, source.job)
            self.facts.stored[source.name] = replace(stored, age=age)


def _series(key: tuple[str, Labels]) -> str:
    name, labels = key
    return f"{name}{{{','.join(f'{label}={value}' for label, value in labels)}}}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""
