"""Signs of life and canaries, with stand-ins for Celery; the real one runs in the deployed stack's tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim


class Step:
    """Stands for celery.bootsteps.StartStopStep."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        pass


class Scheduler:
    """Stands for a scheduler of the app's own."""

    def tick(self) -> float:
        return 7.0


class OperationalError(Exception):
    """Stands for kombu's."""


class WorkerLostError(Exception):
    """Stands for billiard's."""


class Wrapper(Exception):
    """Stands for billiard's ExceptionWithTraceback."""

    def __init__(self, exc: Exception) -> None:
        self.exc = exc
        super().__init__()


class Request:
    """Stands for Celery's, which sends the failure's repr as an event."""

    name = "music.generate"
    id = "13aa2527"

    def __init__(self) -> None:
        self.sent = ""

    def on_failure(
        self, exc_info: SimpleNamespace, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        assert return_ok
        if send_failed_event:
            self.sent = repr(exc_info.exception)


class Task:
    """Stands for Celery's, the base of all."""

    Request: Any = "celery.worker.request:Request"


class Connection:
    """Stands for a connection to the broker."""

    connection_errors = ()
    channel_errors = ()

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def ensure_connection(self, **policy: int) -> None:
        assert policy["max_retries"] > 0, "0 and None retry for ever"
        if self.error:
            raise self.error

    def as_uri(self) -> str:
        return "amqp://app:**@rabbitmq:5672/app"


class App:
    """Stands for the app's Celery."""

    conf = SimpleNamespace(broker_transport_options={})

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[dict[str, Any]] = []

    def connection_for_write(self, **options: Any) -> Connection:
        return Connection(self.error)

    def send_task(self, name: str, **options: Any) -> SimpleNamespace:
        self.sent.append({"name": name, **options})
        return SimpleNamespace(id=f"id-{options['queue']}")


def _decorator(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda function: function


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, ModuleType]:
    monkeypatch.setenv("SOUNDCHECK_RUNTIME_DIRECTORY", str(tmp_path / "run"))
    contents: dict[str, dict[str, Any]] = {
        "billiard": {"einfo": SimpleNamespace(ExceptionWithTraceback=Wrapper)},
        "billiard.exceptions": {"WorkerLostError": WorkerLostError},
        "celery": {
            "Celery": App,
            "Task": Task,
            "shared_task": _decorator,
            "bootsteps": SimpleNamespace(StartStopStep=Step),
        },
        "celery.signals": {"celeryd_init": SimpleNamespace(connect=lambda function: function)},
        "celery.app": {},
        "celery.app.utils": {"find_app": lambda name: App()},
        "celery.worker": {},
        "celery.worker.request": {"Request": Request},
        "celery.utils": {},
        "celery.utils.imports": {"symbol_by_name": lambda name: Scheduler},
        "django": {},
        "django.conf": {"settings": SimpleNamespace(SOUNDCHECK_BEAT_BASE="own.schedulers:Scheduler")},
        "kombu": {},
        "kombu.exceptions": {"OperationalError": OperationalError},
    }
    modules = {}
    for name, content in contents.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(content)
        monkeypatch.setitem(sys.modules, name, modules[name])
    load_shim("soundcheck_health")
    return modules


class Timer:
    """Stands for the consumer's timer; `turn` is one turn of its event loop."""

    def __init__(self) -> None:
        self.entry: tuple[Callable[..., None], tuple[Any, ...]] | None = None

    def call_repeatedly(
        self, interval: float, function: Callable[..., None], arguments: tuple[Any, ...]
    ) -> object:
        assert interval <= 10, "the health check allows 30 s"
        self.entry = (function, arguments)
        return self.entry

    def cancel(self, entry: object) -> None:
        assert entry is self.entry
        self.entry = None

    def turn(self) -> None:
        if self.entry:
            function, arguments = self.entry
            function(*arguments)


@pytest.fixture
def consumer() -> SimpleNamespace:
    return SimpleNamespace(timer=Timer(), connection=SimpleNamespace(connected=True))


def test_a_worker_shows_life_only_while_connected(consumer: SimpleNamespace) -> None:
    """G1.2, G1.3: the file comes with the task consumer and goes with its connection."""
    module = load_shim("soundcheck_worker")
    step = module.SignOfLife(consumer)
    step.start(consumer)
    assert module.WORKER_FILE.exists()
    step.stop(consumer)
    assert not module.WORKER_FILE.exists()
    assert consumer.timer.entry is None
    step.stop(consumer)
    step.start(consumer)
    assert module.WORKER_FILE.exists()


def test_a_turn_of_the_loop_without_a_connection_is_no_life(consumer: SimpleNamespace) -> None:
    module = load_shim("soundcheck_worker")
    step = module.SignOfLife(consumer)
    step.start(consumer)
    module.WORKER_FILE.unlink()
    consumer.connection.connected = False
    consumer.timer.turn()
    assert not module.WORKER_FILE.exists()
    consumer.connection = None
    consumer.timer.turn()
    assert not module.WORKER_FILE.exists()


def test_the_step_joins_the_consumer_of_this_worker() -> None:
    module = load_shim("soundcheck_worker")
    steps: dict[str, set[type]] = {"consumer": set()}
    module.add_step(instance=SimpleNamespace(app=SimpleNamespace(steps=steps)), sender="celery@celery")
    assert steps["consumer"] == {module.SignOfLife}


KILLED = WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 5.")


@pytest.mark.parametrize(
    ("failure", "event", "logged"),
    [
        (Wrapper(KILLED), repr(KILLED), [f"Task music.generate[13aa2527] ended with its process: {KILLED}"]),
        (Wrapper(TimeoutError(600)), "TimeoutError(600)", []),
        (KILLED, repr(KILLED), [f"Task music.generate[13aa2527] ended with its process: {KILLED}"]),
        (ValueError("by itself"), "ValueError('by itself')", []),
    ],
    ids=["killed", "over its time limit", "killed, with a billiard that wraps nothing", "failed by itself"],
)
def test_g6_2_a_task_that_ended_with_its_process_has_a_name(
    caplog: pytest.LogCaptureFixture, failure: Exception, event: str, logged: list[str]
) -> None:
    module = load_shim("soundcheck_request")
    request = module.NamingRequest()
    request.on_failure(SimpleNamespace(exception=failure), return_ok=True)
    assert request.sent == event
    assert caplog.messages == logged


def test_an_old_billiard_has_no_wrapper_to_look_for(stand_ins: dict[str, ModuleType]) -> None:
    vars(stand_ins["billiard"])["einfo"] = SimpleNamespace()
    request = load_shim("soundcheck_request").NamingRequest()
    request.on_failure(SimpleNamespace(exception=KILLED), return_ok=True)
    assert request.sent == repr(KILLED)


def test_workers_name_the_failures_of_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "Request", Task.Request)
    module = load_shim("soundcheck_request")
    module.name_failures(sender="celery@celery")
    assert Task.Request is module.NamingRequest


def test_beat_ticks_with_the_apps_own_scheduler() -> None:
    """G1.4"""
    module = load_shim("soundcheck_beat")
    scheduler = module.TickingScheduler()
    assert isinstance(scheduler, Scheduler)
    assert not module.BEAT_FILE.exists()
    assert scheduler.tick() == 7.0
    assert module.BEAT_FILE.exists()


def test_one_canary_per_queue(stand_ins: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    """T5, T6: each names its queue, waits for no lock, and does not outlive its purpose."""
    app = App()
    vars(stand_ins["celery.app.utils"])["find_app"] = lambda name: app
    module = load_shim("soundcheck_canary")
    assert module.main(["--queues", "default, ai_queue", "--app", "config"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sent": {"default": "id-default", "ai_queue": "id-ai_queue"}
    }
    assert [entry["name"] for entry in app.sent] == ["soundcheck.canary"] * 2
    assert all(entry["expires"] and not entry["retry"] for entry in app.sent)


def test_a_canary_does_not_end_before_its_sender_has_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_shim("soundcheck_canary")
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    module.canary()
    assert slept == [module.FLIGHT_SECONDS]


@pytest.mark.parametrize(
    "error", [OperationalError("refused"), ConnectionResetError("reset"), TimeoutError("slow")]
)
def test_a_broker_that_does_not_answer_is_a_sentence(
    stand_ins: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    vars(stand_ins["celery.app.utils"])["find_app"] = lambda name: App(error)
    assert load_shim("soundcheck_canary").main(["--queues", "default"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"the broker at amqp://app:**@rabbitmq:5672/app took no canary: {type(error).__name__}: {error}\n"
    )


@pytest.mark.parametrize("queues", ["", "default,", ",", "a,,b"])
def test_queues_that_are_none_are_refused(queues: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_shim("soundcheck_canary").main(["--queues", queues])
    assert "expected queue names separated by commas" in capsys.readouterr().err
