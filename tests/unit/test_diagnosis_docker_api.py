"""The engine's answers, over a real socket: frames, time limits, and containers that end meanwhile."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.unit.diagnosis_look import FIXTURES, docker_api

INSPECTED = json.loads((FIXTURES / "diagnosis" / "container-inspect.json").read_text(encoding="utf-8"))
GONE = {
    "Id": "f" * 64,
    "Names": ["/app-celery-1"],
    "State": "removing",
    "Image": "app:1",
    "Labels": {"com.docker.compose.project": "app", "com.docker.compose.service": "celery"},
}


def frame(stream: int, content: bytes) -> bytes:
    return struct.pack(">B3xI", stream, len(content)) + content


ANSWERS: dict[str, tuple[int, bytes]] = {
    "GET /containers/json": (200, json.dumps([{"Id": INSPECTED["Id"]}, GONE]).encode()),
    f"GET /containers/{INSPECTED['Id']}/json": (200, json.dumps(INSPECTED).encode()),
    f"GET /containers/{'f' * 64}/json": (404, b'{"message":"No such container"}'),
    "POST /containers/x/exec": (201, b'{"Id":"e1"}'),
    "POST /exec/e1/start": (200, frame(1, b"{}") + frame(2, b"warning") + frame(1, "\n음악".encode())),
    "GET /exec/e1/json": (200, b'{"ExitCode":3}'),
    "GET /containers/x/logs": (200, frame(1, b"2026-11-25T00:02:04.327576893Z one\n") + frame(2, b"two\n")),
    "GET /events": (200, b'{"timeNano":1}\n{"timeNano":2}\n'),
    "GET /broken": (200, b"<html>"),
    "GET /slow": (200, b"late"),
}


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        asked = f"{self.command} {self.path.partition('?')[0]}"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if asked == "GET /slow":
            time.sleep(0.4)
        status, body = ANSWERS[asked]
        # Who waited too long has hung up.
        with suppress(BrokenPipeError):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST = answer

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    path = str(tmp_path / "docker.sock")
    with Server(path, Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        # As long as a machine may need that has other work, too.
        yield docker_api.Engine(path, 20)
        server.shutdown()


def test_containers_are_known_by_their_labels(engine: Any) -> None:
    backend, celery = engine.containers()
    assert (backend.project, backend.service, backend.name) == ("app", "backend", "app-backend-1")
    assert (backend.status, backend.health, backend.restarts, backend.oom_killed) == (
        "running",
        "healthy",
        0,
        False,
    )
    assert backend.running
    assert backend.exit_code is None
    assert backend.addresses["telemetry"].startswith("172.")
    # It ended between the list and the question.
    assert (celery.service, celery.status, celery.running, celery.restarts) == (
        "celery",
        "removing",
        False,
        None,
    )


def test_a_command_has_its_status_and_both_outputs(engine: Any) -> None:
    answer = engine.execute("x", ["true"], 1)
    assert (answer.status, answer.out, answer.err) == (3, "{}\n음악", "warning")


def test_logs_and_events_are_lines(engine: Any) -> None:
    assert engine.logs("x", 0, 10, 4096, 1) == ["2026-11-25T00:02:04.327576893Z one", "two"]
    assert [event["timeNano"] for event in engine.get_lines("/events")] == [1, 2]
    # What is larger is cut.
    assert engine.logs("x", 0, 10, 12, 1) == ["2026"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/broken", "Docker: GET /broken: expected JSON"),
        (f"/containers/{'f' * 64}/json", "404: No such container"),
    ],
)
def test_a_bad_answer_says_what_was_asked(engine: Any, path: str, said: str) -> None:
    with pytest.raises(docker_api.EngineError) as error:
        engine.get(path)
    assert said in str(error.value)
    assert "f" * 13 not in str(error.value)


def test_an_engine_that_does_not_answer_in_time(engine: Any) -> None:
    with pytest.raises(docker_api.EngineError, match=r"Docker: GET /slow: no answer within 0.2 s"):
        docker_api.Engine(engine.socket, 0.2).get("/slow")


def test_no_engine(tmp_path: Path) -> None:
    with pytest.raises(docker_api.EngineError, match=r"does not answer on .*: No such file or directory"):
        docker_api.Engine(str(tmp_path / "none")).containers()
    (tmp_path / "dead").touch()
    with pytest.raises(docker_api.EngineError, match="Connection refused"):
        docker_api.Engine(str(tmp_path / "dead")).containers()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({}, ("", "")),
        (
            {"com.docker.compose.project": "app", "com.docker.compose.service": "celery"},
            ("app", "celery"),
        ),
        (
            {
                "com.docker.compose.project": "app",
                "com.docker.compose.service": "backend",
                "com.docker.compose.oneoff": "True",
            },
            ("app", "backend (job)"),
        ),
        (
            {
                "com.docker.stack.namespace": "app",
                "com.docker.swarm.service.name": "app_celery-ai",
                "com.docker.swarm.task.name": "app_celery-ai.2.abc",
            },
            ("app", "celery-ai"),
        ),
    ],
    ids=["of others", "compose", "a one-off job", "swarm"],
)
def test_names(labels: dict[str, str], names: tuple[str, str]) -> None:
    assert docker_api.names(labels) == names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:01:00.5Z", 60.5),
        ("1970-01-01T00:01:00.123456789Z", 60.123456),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert docker_api.seconds_of(text) == seconds


def test_frames() -> None:
    raw = frame(1, b"one") + frame(2, b"two")
    assert list(docker_api.frames(raw)) == [(1, b"one"), (2, b"two")]
    # Cut off within a frame, and within its head.
    assert list(docker_api.frames(raw[:-1])) == [(1, b"one"), (2, b"tw")]
    assert list(docker_api.frames(raw[:15])) == [(1, b"one")]
    # A container with a terminal.
    assert list(docker_api.frames(b"plain text")) == [(1, b"plain text")]
