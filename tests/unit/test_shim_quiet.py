"""Workers leave their queues before they are stopped; Celery is a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.shim_modules import load_shim

WORKERS = {"celery": ["default", "mail"], "celery-ai": ["ai_queue"]}


@pytest.fixture
def shim(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "celery.app.utils", SimpleNamespace(find_app=None))
    load_shim("soundcheck_env")
    load_shim("soundcheck_overrides")
    return load_shim("soundcheck_quiet")


class Control:
    """Stands for app.control; `reserved` are the answers to come."""

    def __init__(self, *reserved: Any) -> None:
        self.left: list[tuple[str, Any]] = []
        self.reserved = list(reserved)

    def cancel_consumer(self, queue: str, destination: list[str], **_options: Any) -> None:
        self.left.append((queue, destination))

    def inspect(self, **_options: Any) -> SimpleNamespace:
        return SimpleNamespace(
            reserved=lambda: self.reserved.pop(0) if len(self.reserved) > 1 else self.reserved[0]
        )


@pytest.mark.parametrize(
    ("reserved", "left", "slept"),
    [
        ([{"celery@celery": [], "celery@celery-ai": []}], 0, 0),
        ([{"celery@celery": [{"id": "1"}]}, {"celery@celery": []}], 0, 1),
        ([None], 0, 0),
        ([{"celery@celery-ai": [{"id": "1"}]}], 1, 20),
    ],
    ids=["nothing reserved", "it begins", "nobody answers", "behind a long task"],
)
def test_workers_leave_their_queues_and_begin_what_they_reserved(
    shim: ModuleType, reserved: list[Any], left: int, slept: int
) -> None:
    """T11: a task that a stopping worker had just handed on ran twice."""
    control = Control(*reserved)
    naps: list[float] = []

    assert shim.quiet(control, WORKERS, naps.append) == left

    assert control.left == [
        ("default", ["celery@celery"]),
        ("mail", ["celery@celery"]),
        ("ai_queue", ["celery@celery-ai"]),
    ]
    assert len(naps) == slept
