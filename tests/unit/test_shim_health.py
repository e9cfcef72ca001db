"""Health checks that know a hung process from a living one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.shim_modules import load_shim


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("SOUNDCHECK_RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return load_shim("soundcheck_health")


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server on loopback that answers one request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=5)


@pytest.mark.parametrize(
    ("role", "age", "healthy"),
    [("worker", 5, True), ("worker", 31, False), ("beat", 31, True), ("beat", 61, False)],
)
def test_age_of_the_sign_of_life(
    shim: ModuleType, capsys: pytest.CaptureFixture[str], role: str, age: int, healthy: bool
) -> None:
    """G1.2, G1.3, G1.4: each asks this very process."""
    file = shim.FILES[role]
    shim.touch(file)
    os.utime(file, (time.time() - age, time.time() - age))
    assert shim.main([role]) == (0 if healthy else 1)
    assert capsys.readouterr().out.startswith(f"{role}: ")


def test_a_process_that_never_lived_is_unhealthy(
    shim: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shim.main(["worker"]) == 1
    assert "is missing: not connected" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_named(
    shim: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A restarted container may find its tmpfs owned by root: the worker works on, the check says why."""
    shim.RUNTIME_DIRECTORY.mkdir()
    monkeypatch.setattr(shim.os, "access", lambda path, mode: False)
    monkeypatch.setattr(Path, "touch", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied")))
    shim.touch(shim.WORKER_FILE)
    assert shim.main(["worker"]) == 1
    assert "may not write to its folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "answered 500, expected a status below 400"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answered 400"),
        (b"AMQP\x00\x00\x09\x01", "expected HTTP"),
        (b"", "expected HTTP"),
    ],
)
def test_a_web_process_that_answers_wrongly_is_unhealthy(
    shim: ModuleType, answer: bytes, message: str
) -> None:
    """G1.1"""
    with answering(answer) as port, pytest.raises(shim.Unhealthy, match=message):
        shim.check_web(("127.0.0.1", port), "/metrics", 5)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, b"HTTP/1.1 301 Moved\r\n\r\n"]
)
def test_a_web_process_that_answers_is_healthy(shim: ModuleType, answer: bytes) -> None:
    """G1.1; a redirect to https is an answer."""
    with answering(answer) as port:
        assert "answered" in shim.check_web(("127.0.0.1", port), "/metrics", 5)


def test_a_web_process_that_hangs_is_unhealthy_in_time(shim: ModuleType) -> None:
    """G1.1: the socket accepts, nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(shim.Unhealthy, match="does not answer"):
            shim.check_web(listener.getsockname(), "/metrics", 0.2)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("arguments", [[], ["postgres"], ["web", "worker"]])
def test_usage(shim: ModuleType, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert shim.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_checks_import_neither_django_nor_celery(shim: ModuleType) -> None:
    """They run every 15 s in every container."""
    source = Path(str(shim.__file__)).read_text()
    assert "django" not in [
        line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    ]
    assert "import celery" not in source


def test_a_web_container_that_is_to_end_says_so(
    shim: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """T11: soundcheck_urls answers the proxy with 503 as long as the file is there."""
    monkeypatch.setattr(shim, "RETIRED_FILE", tmp_path / "soundcheck" / "retired")

    assert shim.main(["retire"]) == 0

    assert (tmp_path / "soundcheck" / "retired").exists()
