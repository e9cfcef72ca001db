"""Ask: metrics pages, the Docker engine, the Prometheus HTTP API. Answers and problems, no judgement."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .exposition import Exposition, ExpositionError, parse
from .metric_probe_facts import (
    Answer,
    Container,
    Problem,
    Promise,
    Rules,
    Scrape,
    containers_of,
    rules_of,
)

# A page of metrics is a few hundred kilobytes; whatever is larger is something else.
_PAGE_BYTES = 32 * 1024 * 1024
_LOOKBACK = "1h"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A metrics page that redirects is a finding, and the credentials of a query must not travel on."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def fetch(
    url: str,
    timeout: float,
    headers: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    *,
    direct: bool = True,
) -> tuple[bytes, Problem | None]:
    """One HTTP request. `direct`: do not use a proxy from the environment, the peer is on this host."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if direct:
        handlers.append(urllib.request.ProxyHandler({}))
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            return response.read(_PAGE_BYTES), None
    except urllib.error.HTTPError as error:
        return b"", _status_problem(error)
    except urllib.error.URLError as error:
        return b"", _network_problem(error.reason, timeout)
    except (OSError, http.client.HTTPException) as error:
        return b"", _network_problem(error, timeout)


def _status_problem(error: urllib.error.HTTPError) -> Problem:
    text = f"HTTP {error.code} {error.reason}"
    location = error.headers.get("Location") if error.headers else None
    if location:
        return Problem("status", f"{text} to {location}", error.code)
    try:
        body = error.read(2000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    # Prometheus explains in JSON; an HTML page explains nothing that fits a line.
    try:
        detail = str(json.loads(body).get("error", ""))
    except (ValueError, AttributeError):
        detail = "" if "<" in body else body
    detail = " ".join(detail.split())[:200]
    return Problem("status", f"{text}: {detail}" if detail else text, error.code)


def _network_problem(reason: object, timeout: float) -> Problem:
    if isinstance(reason, ConnectionRefusedError):
        return Problem("refused", "connection refused")
    if isinstance(reason, (TimeoutError, socket.timeout)):
        return Problem("timeout", f"no answer within {timeout:g} s")
    return Problem("unreachable", str(reason) or type(reason).__name__)


def scrape(url: str, host: str, timeout: float) -> tuple[Scrape, Exposition]:
    """Read a metrics page. `host`: the name under which the collector asks, which Django must accept."""
    body, problem = fetch(url, timeout, {"Host": host, "Accept": "text/plain;version=0.0.4"})
    if problem:
        return Scrape(url, problem), Exposition()
    try:
        page = parse(body.decode("utf-8"))
    except (ExpositionError, UnicodeDecodeError) as error:
        return Scrape(url, Problem("content", f"not a metrics page: {error}")), Exposition()
    return Scrape(url, None, page.counts(), frozenset(page.announced())), page


def docker(*arguments: str, timeout: float = 30.0) -> tuple[int, str, str]:
    """Run the Docker client; a missing client and a silent engine are status 127 and 124."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        return 127, "", "there is no docker command on this host"
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer within {timeout:g} s"
    return done.returncode, done.stdout, done.stderr


def containers(projects: list[str]) -> tuple[tuple[Container, ...], str]:
    """Containers of the compose projects, running or not, and why Docker gave none."""
    code, out, err = docker("ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project")
    if code != 0:
        return (), (err.strip().splitlines() or ["docker ps failed"])[-1]
    identities = out.split()
    if not identities:
        return (), ""
    # A container may be gone between the two calls; inspect then prints the others and exits with 1.
    _code, out, _err = docker("inspect", *identities)
    found = containers_of(json.loads(out or "[]"))
    return tuple(container for container in found if container.project in projects), ""


@dataclass(frozen=True)
class Backend:
    """A Prometheus HTTP API, embedded or Grafana Cloud's, limited to the series of this deployment."""

    url: str
    username: str
    password: str
    labels: dict[str, str]
    timeout: float = 15.0

    def selector(self, **labels: str) -> str:
        matchers = {**labels, **self.labels}
        return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in matchers.items())

    def query(self, expression: str) -> tuple[list[dict[str, Any]], Problem | None]:
        """An instant query. POST: with a dozen metric names it would be a long URL."""
        body, problem = self._request("/api/v1/query", {"query": expression})
        return _listed(body, "result", problem)

    def answer(self, expression: str) -> Answer:
        """The values of an instant query, whether it gives a vector or a single number."""
        result, problem = self.query(expression)
        try:
            if result and not isinstance(result[0], dict):
                return Answer(problem, (({}, float(result[1])),))
            return Answer(problem, tuple((entry["metric"], float(entry["value"][1])) for entry in result))
        except (KeyError, IndexError, TypeError, ValueError):
            return Answer(Problem("content", f"no numbers in the answer: {str(result)[:80]}"))

    def present(self, names: Iterable[str]) -> tuple[frozenset[str], Problem | None]:
        """Which of the metrics have samples of this deployment."""
        alternatives = "|".join(sorted(names))
        counted = self.answer(f'count by (__name__) ({{__name__=~"{alternatives}",{self.selector()}}})')
        return frozenset(labels.get("__name__", "") for labels, _number in counted.values), counted.problem

    def series_per_job(self, window: str = "") -> tuple[dict[str, int], Problem | None]:
        """How many series each job has, those of the window or those that a query sees now.

        The series that alerting rules write about themselves are the embedded backend's alone.
        """
        # A selector must exclude the empty name, or Prometheus refuses it.
        series = f'{{__name__!~"|ALERTS|ALERTS_FOR_STATE",{self.selector()}}}'
        # last_over_time keeps the names, without which two series could be the same.
        found = self.answer(f"count by (job) ({f'last_over_time({series}[{window}])' if window else series})")
        return {labels.get("job", ""): int(number) for labels, number in found.values}, found.problem

    def rules(self) -> Rules:
        """The rules that a Prometheus has loaded."""
        body, problem = self._request("/api/v1/rules")
        if problem:
            return Rules(problem)
        try:
            return Rules(loaded=rules_of(json.loads(body)["data"]))
        except (ValueError, KeyError, TypeError):
            return Rules(_no_answer(body))

    def _request(self, path: str, form: dict[str, str] | None = None) -> tuple[bytes, Problem | None]:
        headers = {}
        if self.username:
            token = str(base64.b64encode(f"{self.username}:{self.password}".encode()), "ascii")
            headers["Authorization"] = f"Basic {token}"
        host = urllib.parse.urlsplit(self.url).hostname or ""
        return fetch(
            f"{self.url.rstrip('/')}{path}",
            self.timeout,
            headers,
            form,
            direct=host in ("127.0.0.1", "localhost", "::1"),
        )

    def fresh_query(self, job: str, promised: tuple[Promise, ...], window: int) -> str:
        """Names, and the labels the promises speak of, that have samples within the window.

        last_over_time keeps the names, where timestamp() would drop them: one query serves a whole source.
        """
        names = "|".join(sorted({promise.stored for promise in promised}))
        labels = sorted({label for promise in promised for label in promise.labels})
        grouping = ", ".join(["__name__", *labels])
        return (
            f'count by ({grouping}) (last_over_time({{__name__=~"{names}",{self.selector(job=job)}}}'
            f"[{window}s]))"
        )

    def age(self, name: str, job: str) -> float | None:
        """Seconds since the last sample of a metric, None when the last hour holds none."""
        expression = (
            f"time() - max(max_over_time(timestamp({name}{{{self.selector(job=job)}}})[{_LOOKBACK}:30s]))"
        )
        result, _problem = self.query(expression)
        return float(result[0]["value"][1]) if result else None

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> tuple[list[dict[str, Any]], Problem | None]:
        """The values of an expression at start, start + step and so on up to end."""
        form = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        body, problem = self._request("/api/v1/query_range", form)
        return _listed(body, "result", problem)

    def alert_rules(self) -> tuple[list[dict[str, Any]], Problem | None]:
        """The groups of alert rules that the backend itself evaluates, with the alerts they raise now."""
        body, problem = self._request("/api/v1/rules?type=alert")
        return _listed(body, "groups", problem)


def _listed(body: bytes, key: str, problem: Problem | None) -> tuple[list[dict[str, Any]], Problem | None]:
    """The list below a key of an answer's data."""
    if problem:
        return [], problem
    try:
        return list(json.loads(body)["data"][key]), None
    except (ValueError, KeyError, TypeError):
        return [], _no_answer(body)


def _no_answer(body: bytes) -> Problem:
    return Problem("content", f"not an answer of a Prometheus API: {body[:80]!r}")
