"""Questions over real HTTP to a small server: every way an answer can fail to come (G7, T12)."""

from __future__ import annotations

import base64
import json
import math
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plugins.module_utils.metric_probe_asking import Backend, docker, fetch, scrape
from plugins.module_utils.metric_probe_facts import Problem, Promise, Rule, Rules


@dataclass
class Server:
    """Answers every request alike and remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b"up 1\n"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    answer = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            answer.asked.append((self.path, dict(self.headers), self.rfile.read(length).decode()))
            time.sleep(answer.delay)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    answer.url = f"http://127.0.0.1:{listener.server_port}"
    yield answer
    listener.shutdown()
    listener.server_close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_page_is_read_under_the_name_the_collector_uses(server: Server) -> None:
    answer, page = scrape(f"{server.url}/metrics", "backend:8000", 5)
    assert answer.problem is None
    assert answer.samples == {"up": 1}
    assert len(page.samples) == 1
    assert server.asked[0][1]["Host"] == "backend:8000"


def test_help_without_samples_is_an_answer_without_samples(server: Server) -> None:
    server.body = b"# HELP x_total Things.\n# TYPE x_total counter\n"
    answer, _page = scrape(server.url, "x", 5)
    assert (answer.problem, answer.samples, answer.announced) == (None, {}, frozenset({"x_total"}))


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "text"),
    [
        (400, b"<h1>Bad Request</h1>", {}, "status", "HTTP 400 Bad Request"),
        (404, b"nothing here", {}, "status", "HTTP 404 Not Found: nothing here"),
        (422, b'{"error": "parse error"}', {}, "status", "HTTP 422 Unprocessable Entity: parse error"),
        (422, b"[1]", {}, "status", "HTTP 422 Unprocessable Entity: [1]"),
        (301, b"", {"Location": "https://backend/"}, "status", "to https://backend/"),
        (200, b"<!DOCTYPE html>", {}, "content", "not a metrics page: line 1 is not a sample"),
        (200, b"\xff\xfe", {}, "content", "not a metrics page"),
    ],
)
def test_answers_that_are_no_metrics(
    server: Server, status: int, body: bytes, headers: dict[str, str], kind: str, text: str
) -> None:
    server.status, server.body, server.headers = status, body, headers
    answer, page = scrape(server.url, "backend", 5)
    assert answer.problem is not None
    assert answer.problem.kind == kind
    assert text in answer.problem.text
    assert page.samples == []


def test_nothing_listens() -> None:
    _body, problem = fetch(f"http://127.0.0.1:{closed_port()}/", 5)
    assert problem is not None
    assert (problem.kind, problem.text) == ("refused", "connection refused")


def test_nobody_answers_in_time(server: Server) -> None:
    server.delay = 1.0
    _body, problem = fetch(server.url, 0.1)
    assert problem is not None
    assert (problem.kind, problem.text) == ("timeout", "no answer within 0.1 s")


def test_a_server_that_speaks_something_else() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def speak() -> None:
            connection, _peer = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"AMQP\0\0\11\1")

        threading.Thread(target=speak, daemon=True).start()
        _body, problem = fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", 5)
    assert problem is not None
    assert problem.kind == "unreachable"


def test_a_proxy_of_the_environment_is_not_asked_for_this_host(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert fetch(server.url, 5)[1] is None


def backend(server: Server) -> Backend:
    return Backend(f"{server.url}/api/prom", "reader", "s3cret", {"environment": "test", "host": 'a"b'})


def test_a_query_is_posted_with_the_readers_password(server: Server) -> None:
    server.body = json.dumps({"status": "success", "data": {"result": [{"metric": {}}]}}).encode()
    result, problem = backend(server).query("vector(1)")
    path, headers, body = server.asked[0]
    assert (result, problem) == ([{"metric": {}}], None)
    assert path == "/api/prom/api/v1/query"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == "reader:s3cret"
    assert urllib.parse.parse_qs(body) == {"query": ["vector(1)"]}


def test_the_values_of_a_window_are_asked_for_alike(server: Server) -> None:
    server.body = b'{"data": {"result": [{"metric": {}, "values": []}]}}'
    result, problem = backend(server).query_range("up", 1000.5, 1060.5, 20)
    path, headers, body = server.asked[0]
    assert (result, problem) == ([{"metric": {}, "values": []}], None)
    assert path == "/api/prom/api/v1/query_range"
    assert "Authorization" in headers
    assert body == "query=up&start=1000.500&end=1060.500&step=20"


def test_only_alerting_rules_are_asked_for(server: Server) -> None:
    server.body = b'{"data": {"groups": [{"rules": []}]}}'
    assert backend(server).alert_rules() == ([{"rules": []}], None)
    assert server.asked[0][0] == "/api/prom/api/v1/rules?type=alert"


def test_a_backend_without_users_gets_no_credentials(server: Server) -> None:
    Backend(server.url, "", "", {}).query("vector(1)")
    assert "Authorization" not in server.asked[0][1]


def test_credentials_do_not_follow_a_redirect(server: Server) -> None:
    server.status, server.headers = 302, {"Location": f"{server.url}/elsewhere"}
    _result, problem = backend(server).query("vector(1)")
    assert problem is not None
    assert problem.status == 302
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": null}', b"[]"])
def test_an_answer_of_something_else(server: Server, body: bytes) -> None:
    server.body = body
    _result, problem = backend(server).query("vector(1)")
    assert problem is not None
    assert problem.text.startswith("not an answer of a Prometheus API")
    assert backend(server).alert_rules()[1] is not None


def test_g7_one_query_covers_a_source_and_this_deployment_alone(server: Server) -> None:
    promised = (
        Promise("b_total", "b_total", {"status": "success"}),
        Promise("a", "a", {"name": "backend"}),
        Promise("c", "b_total", {"status": "failure"}),
    )
    assert backend(server).fresh_query("celery", promised, 60) == (
        'count by (__name__, name, status) (last_over_time({__name__=~"a|b_total",job="celery",'
        'environment="test",host="a\\"b"}[60s]))'
    )


def test_the_age_of_the_last_sample(server: Server) -> None:
    server.body = json.dumps({"data": {"result": [{"metric": {}, "value": [1700000000, "312.5"]}]}}).encode()
    assert backend(server).age("node_load1", "node") == 312.5
    server.body = json.dumps({"data": {"result": []}}).encode()
    assert backend(server).age("node_load1", "node") is None


def result(server: Server, *entries: object) -> None:
    server.body = json.dumps({"data": {"result": list(entries)}}).encode()


def test_an_answer_is_label_sets_with_their_numbers(server: Server) -> None:
    result(server, {"metric": {"view": "a"}, "value": [1, "0.5"]}, {"metric": {}, "value": [1, "NaN"]})
    answer = backend(server).answer("x")
    assert [labels for labels, _value in answer.values] == [{"view": "a"}, {}]
    assert answer.values[0][1] == 0.5
    assert math.isnan(answer.values[1][1])
    assert answer.has_data


def test_the_answer_of_a_scalar_is_one_number(server: Server) -> None:
    result(server, 1700000000.5, "42")
    assert backend(server).answer("time()").values == (({}, 42.0),)


@pytest.mark.parametrize("entry", [{"metric": {}}, {"metric": {}, "value": [1, "x"]}, 5, {"value": [1, "1"]}])
def test_an_answer_without_numbers_is_a_problem(server: Server, entry: object) -> None:
    result(server, entry)
    answer = backend(server).answer("x")
    assert answer.values == ()
    assert answer.problem is not None
    assert answer.problem.text.startswith("no numbers in the answer")


def test_the_words_of_the_backend_explain_a_refused_expression(server: Server) -> None:
    server.status, server.body = 400, b'{"errorType": "bad_data", "error": "parse error: no closing bracket"}'
    answer = backend(server).answer("sum(")
    assert answer.problem == Problem("status", "HTTP 400 Bad Request: parse error: no closing bracket", 400)


def test_which_metrics_have_samples(server: Server) -> None:
    result(server, {"metric": {"__name__": "a"}, "value": [1, "3"]})
    assert backend(server).present({"b", "a"}) == (frozenset({"a"}), None)
    assert asked_expression(server) == (
        'count by (__name__) ({__name__=~"a|b",environment="test",host="a\\"b"})'
    )


def test_t16_series_of_this_deployment_are_counted_per_job(server: Server) -> None:
    result(server, {"metric": {"job": "django"}, "value": [1, "183"]}, {"metric": {}, "value": [1, "2"]})
    assert backend(server).series_per_job() == ({"django": 183, "": 2}, None)
    selector = '{__name__!~"|ALERTS|ALERTS_FOR_STATE",environment="test",host="a\\"b"}'
    assert asked_expression(server) == f"count by (job) ({selector})"
    backend(server).series_per_job("20m")
    assert asked_expression(server) == f"count by (job) (last_over_time({selector}[20m]))"


def test_the_loaded_rules_and_their_health(server: Server) -> None:
    loaded = [
        {"name": "Down", "type": "alerting", "health": "ok", "lastError": ""},
        {"name": "a:b:c", "type": "recording", "health": "err", "lastError": "many-to-many" + "." * 999},
    ]
    server.body = json.dumps({"data": {"groups": [{"name": "g", "file": "f", "rules": loaded}]}}).encode()
    assert backend(server).rules() == Rules(
        loaded=(Rule("g", "Down", "ok"), Rule("g", "a:b:c", "err", "many-to-many" + "." * 188))
    )
    path, headers, body = server.asked[0]
    assert (path, body) == ("/api/prom/api/v1/rules", "")
    assert headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, b"404 page not found", "HTTP 404 Not Found: 404 page not found"),
        (200, b"<html>", "not an answer of a Prometheus API: b'<html>'"),
        (200, b'{"data": {"groups": [{}]}}', "not an answer of a Prometheus API"),
    ],
)
def test_rules_that_cannot_be_read(server: Server, status: int, body: bytes, text: str) -> None:
    server.status, server.body = status, body
    problem = backend(server).rules().problem
    assert problem is not None
    assert text in problem.text


def asked_expression(server: Server) -> str:
    return urllib.parse.parse_qs(server.asked[-1][2])["query"][0]


def test_a_missing_docker_client_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert docker("ps") == (127, "", "there is no docker command on this host")
