"""The load of molecule/faults: what it sends, how it counts, and a server that it meets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import load
import pytest
from load import Answer, Load, Request


def good(at: float, took: float = 0.1, **more: str) -> Answer:
    return Answer(at, took, more.get("kind", "page"), 200, booking=more.get("booking", ""))


def test_pages_and_tasks_come_at_their_rates_and_in_order() -> None:
    requests = list(load.schedule(50, 5, 2, "x"))

    assert len([r for r in requests if r.kind == "page"]) == 100
    assert [r.body["booking"] for r in requests if r.body and r.kind == "task"] == [
        f"x-{n}" for n in range(10)
    ]
    assert [r.due for r in requests] == sorted(r.due for r in requests)
    assert {r.keep for r in requests if r.kind == "page"} == {True, False}


def test_some_tasks_take_long() -> None:
    tasks = [r.body for r in load.schedule(0, 5, 10, "x") if r.body]

    assert len([body for body in tasks if body["seconds"]]) == len(tasks) / load.SLOW_TASK_OF


@pytest.mark.parametrize(
    ("answers", "gap"),
    [
        ([], 0.0),
        ([good(0, 0), good(1, 0), good(4, 0), good(5, 0)], 3.0),
        # What failed fills no gap, at the end as little as anywhere.
        ([good(0, 0), Answer(2, 3, "page", 502), good(4, 0), Answer(4, 5, "page", 0, "refused")], 5.0),
        ([Answer(0, 1, "page", 503)], 1.0),
    ],
)
def test_longest_gap(answers: list[Answer], gap: float) -> None:
    assert load.longest_gap(answers) == gap


def test_summary_tells_accepted_tasks_from_uncertain_ones() -> None:
    answers = [
        good(0, kind="task", booking="a"),
        Answer(1, 0.2, "task", 502, booking="b"),
        Answer(2, 0.2, "page", 0, "ConnectionRefusedError: nobody"),
        good(3, 0.3),
    ]

    summary = load.summary(answers)

    assert (summary["requests"], summary["failed"]) == (4, 2)
    assert summary["reasons"] == {"status 502": 1, "ConnectionRefusedError: nobody": 1}
    assert (summary["accepted"], summary["uncertain"]) == (["a"], ["b"])
    assert summary["slowest"] == 0.3


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, and closes one without a word where the path says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/last":
            # Announces nothing: the client believes that the connection stays.
            self.close_connection = True
        status = 500 if self.path == "/broken" else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(path: str, keep: bool) -> Request:
    return Request(0.0, "page", "GET", path, None, keep)


def test_what_the_server_says_is_written_down(url: str, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"

    Load(url, output).run([get("/", True), get("/broken", False), get("/last", True), get("/", True)])

    assert sorted(answer.status for answer in load.read(output)) == [200, 200, 200, 500]


def test_a_connection_that_was_closed_meanwhile_is_no_failure(url: str) -> None:
    client = load.Client(url)
    assert client.send(get("/last", True)) == (200, False)

    statuses = [client.send(get("/", True))[0] for _ in range(2)]

    assert statuses == [200, 200]


def test_nobody_listens(tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"

    Load("http://127.0.0.1:1", output).run([get("/", False)])

    [answer] = load.read(output)
    assert (answer.status, answer.good) == (0, False)
    assert answer.error.startswith("ConnectionRefusedError")


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "201"], ["--tasks", "-1"], ["--seconds", "1801"]],
)
def test_the_load_is_bounded(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["run", "--url", "http://127.0.0.1:1", "--label", "x", "--output", "/dev/null"]
    monkeypatch.setattr("sys.argv", ["load.py", *needed, *arguments])

    with pytest.raises(SystemExit):
        load.main()
