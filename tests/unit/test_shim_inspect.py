"""What the workers are asked while the CPU burns; kombu is a stand-in."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim

URL = "amqp://app:canary-s3cret@rabbitmq:5672/app"
REPLIES: dict[str, dict[str, Any]] = {
    "active": {"celery@celery": [{"id": "t1", "args": "()"}], "celery@celery-ai": []},
    "reserved": {"celery@celery": [{"id": "t2", "args": ["large"]}], "celery@celery-ai": []},
    "stats": {"celery@celery": {"pool": {"max-concurrency": 2}}, "celery@celery-ai": {}},
    "active_queues": {"celery@celery": [{"name": "default"}], "celery@celery-ai": [{"name": "ai_queue"}]},
}


class Broker:
    """A mailbox and its connection."""

    connection_errors = channel_errors = (ConnectionError,)

    def __init__(self) -> None:
        self.replies = REPLIES
        self.asked: list[tuple[str, int]] = []
        self.fails_at = ""
        self.url = ""

    def __call__(self, *arguments: Any, **_: Any) -> Broker:
        self.url = self.url or str(arguments[0])
        return self

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: Any) -> None:
        """Closed."""

    def as_uri(self) -> str:
        return "amqp://app:**@rabbitmq:5672/app"

    def multi_call(self, command: str, arguments: Any, timeout: float, limit: int) -> list[dict[str, Any]]:
        if command == self.fails_at:
            raise ConnectionError("closed")
        self.asked.append((command, limit))
        return [{node: answer} for node, answer in self.replies[command].items()]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def shim(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> ModuleType:
    errors = SimpleNamespace(OperationalError=type("OperationalError", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "kombu", SimpleNamespace(Connection=broker))
    monkeypatch.setitem(sys.modules, "kombu.exceptions", errors)
    monkeypatch.setitem(sys.modules, "kombu.pidbox", SimpleNamespace(Mailbox=lambda *_, **__: broker))
    monkeypatch.setenv("CELERY_BROKER_URL", URL)
    load_shim("soundcheck_env")
    return load_shim("soundcheck_inspect")


def test_every_worker_is_asked_at_once(
    shim: ModuleType, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shim.main(["--workers", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "celery@celery": {
            "active": [{"id": "t1", "args": "()"}],
            "reserved": ["t2"],
            "concurrency": 2,
            "queues": ["default"],
        },
        "celery@celery-ai": {"active": [], "reserved": [], "concurrency": None, "queues": ["ai_queue"]},
    }
    # The third was silent: it is waited for once.
    assert broker.asked == [("active", 3), ("reserved", 2), ("stats", 2), ("active_queues", 2)]
    assert broker.url == URL


def test_some_answers_are_better_than_none(
    shim: ModuleType, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    broker.fails_at = "reserved"
    assert shim.main(["--workers", "2"]) == 0
    told = json.loads(capsys.readouterr().out)["celery@celery"]
    assert told["active"][0]["id"] == "t1"
    assert (told["reserved"], told["concurrency"], told["queues"]) == (None, None, None)


def test_a_broker_that_is_down(shim: ModuleType, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    broker.fails_at = "active"
    assert shim.main(["--workers", "2"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "the broker at amqp://app:**@rabbitmq:5672/app: ConnectionError: closed\n"


def test_no_worker_answers(shim: ModuleType, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    broker.replies = {"active": {}}
    assert shim.main(["--workers", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
    assert broker.asked == [("active", 2)]


def test_a_mute_broker_is_given_up(
    shim: ModuleType, broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mute(*_: Any, **__: Any) -> Any:
        shim.signal.pause()

    monkeypatch.setattr(broker, "multi_call", mute)
    assert shim.main(["--workers", "2", "--seconds", "0.1"]) == 1
    assert "TimeoutError: no answer in time" in capsys.readouterr().err
