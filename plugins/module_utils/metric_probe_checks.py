"""Judge the facts of a verification: a list of checks, each with what was asked, expected and got.

Pure: facts in, checks out. One broken part makes many questions fail, so each failure looks for its root:
a check that fails only because another part is broken is a `consequence` and names that part; the run then
names exactly the culprit.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from .metric_probe_backend import backend_check, rules_check
from .metric_probe_budget import budget_check
from .metric_probe_canary import COUNTED, SENT, canary_check
from .metric_probe_facts import (
    BROKER,
    CELERY,
    COLLECTOR,
    Facts,
    Problem,
    Promise,
    Question,
    Repeated,
    Scrape,
    Source,
)
from .metric_probe_monotonic import monotonic_check
from .metric_probe_questions import mentioned, missing_metrics, needs_rules, question_check
from .metric_probe_wording import (
    CONSEQUENCE,
    FAILED,
    OK,
    SKIPPED,
    TRANSIENT,
    Check,
    because,
    container_cause,
    described,
    held,
    missing_text,
    right,
    state,
)

_PASSING = (OK, SKIPPED)


def evaluate(facts: Facts) -> list[Check]:
    """All checks, in the order of the sources."""
    return _Evaluation(facts).checks()


def as_dictionary(check: Check) -> dict[str, Any]:
    return asdict(check)


class _Evaluation:
    """Answers of one round; endpoints and the backend first, because the others may be their consequence."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.backend = backend_check(facts)
        self.endpoints: dict[str, Check] = {}
        # The broker first: the celery exporter is silent without it.
        for source in sorted(facts.sources, key=lambda entry: entry.name != BROKER):
            self.endpoints[source.name] = self._endpoint(source)
        self.targets = {source.name: self._target(source) for source in facts.sources}
        self.remote_write = self._remote_write()
        self.stored = {source.name: self._stored(source) for source in facts.sources}
        self.rules = self._rules()

    def checks(self) -> list[Check]:
        if self.facts.engine_problem:
            return [self._engine()]
        found: list[Check] = []
        for source in self.facts.sources:
            found += [self.endpoints[source.name], self.targets[source.name], self.stored[source.name]]
            if source.name == COLLECTOR and self.remote_write:
                found.append(self.remote_write)
            if source.name == CELERY:
                found += self._canaries()
            if self.facts.repeated and self.facts.repeated.source == source.name:
                found.append(self._monotonic(source, self.facts.repeated))
            found += [self._question(q) for q in self.facts.questions if q.source == source.name]
        return [*found, self.backend, *filter(None, [self.rules, self._budget()])]

    # --- roots --------------------------------------------------------------------------------------

    def _unreachable(self, name: str) -> Check | None:
        """The endpoint check of a source that gives no page at all on its own network."""
        check, source = self.endpoints.get(name), self.facts.source(name)
        if check is None or source is None or check.status in _PASSING:
            return None
        pages = [s for s in self.facts.scrapes.get(name, ()) if s.problem is None]
        containers = self.facts.of(source.project, source.service)
        if pages and all(container.running for container in containers):
            return None
        return check

    def _blame(self, check: Check, *roots: Check | None) -> Check:
        """Mark a failure as the consequence of the first root that failed; anything else stays as it is."""
        if check.status != FAILED:
            return check
        for root in roots:
            if root is not None and root.status in (FAILED, CONSEQUENCE):
                reason = root.likely_cause if root.status == CONSEQUENCE else because(root)
                return replace(check, status=CONSEQUENCE, likely_cause=reason, waiting=root.waiting)
        return check

    def _broker(self, name: str) -> Check | None:
        return self._unreachable(BROKER) if name == CELERY else None

    def _engine(self) -> Check:
        asked, expected = "docker ps", "the Docker engine answers"
        if self.facts.check_mode:
            return Check("docker", "engine", SKIPPED, asked, expected, self.facts.engine_problem)
        cause = "the engine is not installed or does not run: run deploy.yml, or `systemctl status docker`"
        return Check("docker", "engine", FAILED, asked, expected, self.facts.engine_problem, cause)

    # --- (a) endpoint -------------------------------------------------------------------------------

    def _endpoint(self, source: Source) -> Check:
        names = {promise.exposed for promise in source.promised}
        scrapes = self.facts.scrapes.get(source.name, ())
        address = f"{source.scheme}://{source.service}:{source.port}{source.path}"
        check = Check(
            source.name,
            "endpoint",
            OK,
            asked=", ".join(scrape.url for scrape in scrapes) or address,
            expected=f"samples of {len(names)} promised metrics",
            got="",
        )
        containers = self.facts.of(source.project, source.service)
        stopped = next((container for container in containers if not container.running), None)
        if not containers:
            return self._no_container(source, check)
        if stopped:
            return replace(
                check,
                status=FAILED,
                got=state(stopped),
                likely_cause=container_cause(stopped),
                waiting=stopped.status in TRANSIENT,
            )
        if not scrapes:
            got = f"container {containers[0].name} has no address"
            cause = "it is on no network of this host: run deploy.yml"
            return replace(check, status=FAILED, got=got, likely_cause=cause, waiting=True)
        silent = next((scrape for scrape in scrapes if scrape.problem), None)
        if silent:
            return self._blame(self._no_page(source, check, silent, scrapes), self._broker(source.name))
        return self._blame(self._samples(source, check, scrapes), self._broker(source.name))

    def _no_container(self, source: Source, check: Check) -> Check:
        got = f"project {source.project} has no container of service {source.service}"
        if self.facts.check_mode:
            return replace(check, status=SKIPPED, got=f"{got}; check mode deploys none")
        cause = "the service was never started, or its container was removed: run deploy.yml"
        return replace(check, status=FAILED, got=got, likely_cause=cause)

    def _no_page(self, source: Source, check: Check, silent: Scrape, scrapes: tuple[Scrape, ...]) -> Check:
        problem = silent.problem or Problem("content", "no page")
        cause = source.likely_causes.get("endpoint", "")
        if silent.url.split("//")[-1].startswith("127.0.0.1") and any(not s.problem for s in scrapes):
            cause = (
                "the container answers on its network, but not through the published port: the port in the"
                " inventory is another than the one the container was started with; run deploy.yml"
            )
        elif problem.kind == "refused":
            cause = f"the container runs but nothing listens on port {source.port}: {cause}"
        elif problem.status in (301, 302, 307, 308):
            cause = "the app redirects its metrics page, mostly to https: exempt it (SECURE_REDIRECT_EXEMPT)"
        return replace(
            check,
            status=FAILED,
            got=f"{silent.url}: {problem.text}",
            likely_cause=cause,
            waiting=problem.kind != "content" and problem.status not in range(300, 500),
        )

    def _samples(self, source: Source, check: Check, scrapes: tuple[Scrape, ...]) -> Check:
        names = {promise.exposed for promise in source.promised}
        # A metric that needs an event first may be promised twice, once without the condition.
        due = {promise.exposed for promise in source.promised if not promise.when}
        absent = {name for name in names for scrape in scrapes if not scrape.samples.get(name)}
        missing = sorted(absent & due)
        if missing:
            return replace(
                check,
                status=FAILED,
                got=f"{len(names) - len(absent)} of {len(names)}; {missing_text(missing, scrapes)}",
                likely_cause=self._samples_cause(source),
                waiting=True,
            )
        got = f"{len(names) - len(absent)} of {len(names)} metrics have samples"
        return right(check, got, source, absent)

    def _samples_cause(self, source: Source) -> str:
        """The catalogue's sentence, or the container behind an exporter that does not run."""
        behind = {"postgres": "postgres"}.get(source.name)
        stopped = [c for c in self.facts.containers if c.service == behind and not c.running]
        return container_cause(stopped[0]) if stopped else source.likely_causes.get("samples", "")

    # --- (b) target ---------------------------------------------------------------------------------

    def _target(self, source: Source) -> Check:
        targets = self.facts.targets
        asked = f"{targets.asked}, job {source.job}" if targets else "targets of the collector"
        check = Check(source.name, "target", OK, asked, "healthy in the eyes of the collector", "up")
        collector = self.endpoints.get(COLLECTOR)
        if SKIPPED in (self.endpoints[source.name].status, collector and collector.status) or not targets:
            return replace(check, status=SKIPPED, got="not asked")
        mine = [target for target in targets.found if target.job == source.job]
        down = next((target for target in mine if target.health == "down"), None)
        unknown = any(target.health not in ("up", "down") for target in mine)
        if targets.problem:
            cause = f"the collector runs, but its API does not answer: {targets.problem.kind}"
            check = replace(check, status=FAILED, got=targets.problem.text, likely_cause=cause, waiting=True)
        elif not mine:
            cause = (
                "the collector's running configuration has no such job, or finds no container: run deploy.yml"
            )
            check = replace(check, status=FAILED, got="no such target", likely_cause=cause, waiting=True)
        elif down:
            got = f"{down.url} is down: {down.error or 'no reason given'}"
            cause = source.likely_causes.get("target", "")
            check = replace(check, status=FAILED, got=got, likely_cause=cause, waiting=True)
        elif unknown:
            cause = "the collector has only just started; scrape_interval is the time to its first scrape"
            check = replace(check, status=FAILED, got="not scraped yet", likely_cause=cause, waiting=True)
        elif len(mine) > 1:
            check = replace(check, got=f"{len(mine)} targets up")
        # Alloy has no stable API of its targets: its `up` series in the backend answer instead.
        through_backend = self.backend if self.facts.collector == "alloy" else None
        return self._blame(
            check,
            self._unreachable(COLLECTOR),
            through_backend,
            self._unreachable(source.name),
            self._broker(source.name),
        )

    # --- (c) backend --------------------------------------------------------------------------------

    def _remote_write(self) -> Check | None:
        """A failed check of the collector when it scrapes but nothing of any source arrives, or is refused.

        While it is refused, samples that carry an older time of their own may still count as fresh.
        """
        asked = [self.facts.stored[s.name] for s in self.facts.sources if s.name in self.facts.stored]
        targets = self.facts.targets.found if self.facts.targets else ()
        scraping = any(target.health == "up" for target in targets)
        fresh = [s for s in asked if s.problem or s.series]
        if len(asked) < 2 or not scraping or (fresh and not self.facts.refused):
            return None
        if self.backend.status != OK or self._unreachable(COLLECTOR):
            return None
        got = f"{len(fresh) or 'none'} of {len(asked)} sources"
        cause = (
            "the collector scrapes but nothing arrives: vault_metrics_write_password or its user is"
            " refused, metrics_destination or grafana_cloud.remote_write_url names another backend than"
            " the one asked, or the first samples are still on their way; read the collector's log"
        )
        if refused := self.facts.refused:
            got += f"; the backend answers the collector with {refused}"
            cause = "a limit of the backend, or samples that it does not take; read the collector's log"
            if refused in {"401", "403"}:
                cause = "correct vault_metrics_write_password, or the user it belongs to, and deploy"
        return Check(
            COLLECTOR,
            "remote write",
            FAILED,
            asked=f"{self.facts.backend_url}, samples of any source",
            expected="fresh samples",
            got=got,
            likely_cause=cause,
            waiting=True,
        )

    def _stored(self, source: Source) -> Check:
        answer = self.facts.stored.get(source.name)
        names = {promise.stored for promise in source.promised}
        check = Check(
            source.name,
            "backend",
            OK,
            asked=answer.query if answer else f"{self.facts.backend_url}/api/v1/query",
            expected=f"samples of the last {source.fresh_seconds} s of {len(names)} metrics",
            got="",
        )
        if SKIPPED in (self.endpoints[source.name].status, self.backend.status) or answer is None:
            return replace(check, status=SKIPPED, got="not asked")
        if answer.problem:
            got, cause = answer.problem.text, "the backend refuses this query"
            check = replace(check, status=FAILED, got=got, likely_cause=cause, waiting=True)
            return self._blame(check, self.backend)
        absent = [promise for promise in source.promised if not held(promise, answer.series)]
        missing = [promise for promise in absent if not promise.when]
        if not missing:
            got = f"{len(names - {p.stored for p in absent})} of {len(names)} metrics fresh"
            return right(check, got, source, {promise.exposed for promise in absent})
        present = {series.get("__name__", "") for series in answer.series}
        got = f"no fresh {', '.join(sorted({described(p, present) for p in missing}))}"
        if not answer.series:
            age = "for an hour at least" if answer.age is None else f"since {answer.age:.0f} s"
            got = f"none of {len(names)} metrics, {age}"
        check = replace(
            check,
            status=FAILED,
            got=got,
            likely_cause=source.likely_causes.get("backend", ""),
            waiting=True,
        )
        return self._blame(
            check,
            self.backend,
            self._unreachable(COLLECTOR),
            self._unreachable(source.name),
            self.targets[source.name],
            self.remote_write,
            self._missing_at_endpoint(source, missing),
            self._named_container(missing),
        )

    def _missing_at_endpoint(self, source: Source, missing: list[Promise]) -> Check | None:
        """The endpoint check, when all that the backend misses is missing there already."""
        scrapes = self.facts.scrapes.get(source.name, ())
        gone = all(any(not s.samples.get(p.exposed) for s in scrapes) for p in missing)
        return self.endpoints[source.name] if gone else None

    def _named_container(self, missing: list[Promise]) -> Check | None:
        """The endpoint check of the source whose container the missing samples are about (cAdvisor)."""
        about = {promise.labels.get("name", "") for promise in missing}
        roots = [self._unreachable(source.name) for source in self.facts.sources if {source.service} == about]
        return roots[0] if roots else None

    # --- (d) canary ---------------------------------------------------------------------------------

    def _canaries(self) -> list[Check]:
        queues = sorted({queue for worker in self.facts.workers for queue in worker.queues})
        return [self._canary(queue) for queue in queues] if self.facts.canary else []

    def _canary(self, queue: str) -> Check:
        check, step = canary_check(self.facts, queue)
        if step == SENT:
            return self._blame(check, self._unreachable(BROKER))
        if step == COUNTED:
            return self._blame(check, self._unreachable(BROKER), self._unreachable(CELERY))
        return self._blame(
            check,
            self.backend,
            self._unreachable(COLLECTOR),
            self.targets.get(CELERY),
            self.remote_write,
            self.stored.get(CELERY),
        )

    # --- (e) monotonic ------------------------------------------------------------------------------

    def _monotonic(self, source: Source, repeated: Repeated) -> Check:
        check = monotonic_check(source, repeated)
        if self.endpoints[source.name].status == SKIPPED:
            return replace(check, status=SKIPPED, got="not asked")
        return self._blame(check, self._unreachable(source.name))

    # --- (f) what dashboards and rules read ---------------------------------------------------------

    def _question(self, question: Question) -> Check:
        check = question_check(self.facts, question)
        missing = missing_metrics(self.facts, question)
        # The source of the panel, and those from which it lacks a metric.
        names = [question.source] + [
            source.name
            for source in self.facts.sources
            if source.name != question.source and {p.stored for p in source.promised} & set(missing)
        ]
        if self._not_asked(*names):
            return replace(check, status=SKIPPED, got="not asked")
        answer = self.facts.answers.get(question.id)
        if answer and answer.problem:
            return self._blame(check, self.backend)
        services = [s.name for s in self.facts.sources if mentioned(question, s.service)]
        return self._blame(
            check,
            self.backend,
            self._unreachable(COLLECTOR),
            *(self._unreachable(name) for name in names),
            *(self.targets[name] for name in names),
            *(self.stored[name] for name in names),
            self.rules if needs_rules(self.facts, question) else None,
            *(self._unreachable(name) for name in services),
        )

    def _rules(self) -> Check | None:
        check = rules_check(self.facts)
        if check and self._not_asked():
            return replace(check, status=SKIPPED, got="not asked")
        return self._blame(check, self.backend) if check else None

    def _budget(self) -> Check | None:
        if self.facts.budget is None:
            return None
        check = budget_check(self.facts.budget, self.facts.usage, self.facts.backend_url)
        if self._not_asked(COLLECTOR):
            return replace(check, status=SKIPPED, got="not asked")
        return self._blame(check, self.backend, self._unreachable(COLLECTOR), self.remote_write)

    def _not_asked(self, *names: str) -> bool:
        """Whether check mode found the backend or one of these sources not deployed yet."""
        endpoints = [self.endpoints[name].status for name in names if name in self.endpoints]
        return SKIPPED in (self.backend.status, *endpoints)
