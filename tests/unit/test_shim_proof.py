"""What proves a worker, and what is said of one that is not there for its queues; Celery is a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim

WANTED = {"celery": ["default"], "celery-ai": ["ai_queue"]}
SETTINGS = {"workers": [{"name": name, "queues": queues} for name, queues in WANTED.items()]}


def consuming(*queues: str) -> list[dict[str, str]]:
    return [{"name": queue} for queue in queues]


BOTH = {"celery@celery": consuming("default"), "celery@celery-ai": consuming("ai_queue")}


@pytest.fixture
def shim(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "celery.app.utils", SimpleNamespace(find_app=None))
    load_shim("soundcheck_env")
    load_shim("soundcheck_overrides")
    return load_shim("soundcheck_proof")


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (BOTH, []),
        (BOTH | {"celery@celery": consuming("default", "mail")}, []),
        (
            BOTH | {"celery@celery-ai": consuming()},
            ["worker celery-ai does not consume ai_queue; it consumes nothing"],
        ),
        (
            BOTH | {"celery@celery": consuming("celery")},
            ["worker celery does not consume default; it consumes celery"],
        ),
        (
            {"celery@celery": consuming("default")},
            ["worker celery-ai does not answer by its name celery@celery-ai"],
        ),
    ],
    ids=["as it should be", "one queue more", "no queue", "T5: another queue", "silent"],
)
def test_workers_are_judged(shim: ModuleType, answers: dict[str, Any], found: list[str]) -> None:
    assert shim.problems(WANTED, answers) == found


@pytest.mark.parametrize(
    ("names", "answers", "status", "said"),
    [
        (["celery", "celery-ai"], BOTH, 0, ""),
        (["celery-ai"], None, 1, "worker celery-ai does not answer"),
        (["celery", "mail"], BOTH, 2, "expected names of workers (celery, celery-ai), got mail"),
        ([], BOTH, 2, "got none"),
    ],
)
def test_only_the_named_workers_are_asked(
    shim: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    answers: dict[str, Any] | None,
    status: int,
    said: str,
) -> None:
    asked: list[dict[str, Any]] = []

    def inspect(**options: Any) -> SimpleNamespace:
        asked.append(options)
        return SimpleNamespace(active_queues=lambda: answers)

    app = SimpleNamespace(control=SimpleNamespace(inspect=inspect))
    monkeypatch.setattr(shim, "find_app", lambda _name: app)
    monkeypatch.setattr(shim, "load", lambda _path: SETTINGS)

    assert shim.main(names) == status

    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    nodes = [f"celery@{name}" for name in names]
    assert [entry["destination"] for entry in asked] == ([] if status == 2 else [nodes])
