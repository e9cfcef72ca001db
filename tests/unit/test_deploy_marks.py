"""What a deploy tells Grafana: an annotation with its duration, and silences that have an end."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from plugins.module_utils.deploy_marks import annotation, silence
from plugins.modules import alert_silence, grafana_annotation

LABELS = {"environment": "production", "host": "music-1"}
NOW = 1795507200.0  # 2026-11-24T08:00:00Z


@pytest.mark.parametrize(("seconds", "took"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (-5, "0 s")])
def test_an_annotation_says_what_by_whom_and_how_long(seconds: float, took: str) -> None:
    body = annotation(
        LABELS, version="music:7", actor="kim", result="Deployed and verified", began=NOW, now=NOW + seconds
    )
    assert body["text"] == f"Deployed and verified: music:7, by kim, in {took}"
    assert body["tags"] == ["soundcheck-deploy", "production", "music-1"]
    assert body["time"] == NOW * 1000
    assert body["timeEnd"] == int(NOW * 1000 + max(0, seconds) * 1000)


def test_a_silence_ends_by_itself() -> None:
    body = silence(LABELS, minutes=90, created_by="kim", comment="Deploy", now=NOW)
    assert (body["startsAt"], body["endsAt"]) == ("2026-11-24T08:00:00Z", "2026-11-24T09:30:00Z")
    assert body["matchers"] == [
        {"name": "environment", "value": "production", "isRegex": False, "isEqual": True},
        {"name": "host", "value": "music-1", "isRegex": False, "isEqual": True},
    ]


@pytest.mark.parametrize(
    ("labels", "minutes", "expected"),
    [
        (LABELS, 0, "0 minutes; from 1 to 240: a silence must end"),
        (LABELS, 241, "241 minutes; from 1 to 240"),
        ({}, 5, "no labels; without them every alert would be silent"),
    ],
)
def test_a_silence_without_bounds_is_refused(labels: dict[str, str], minutes: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        silence(labels, minutes=minutes, created_by="kim", comment="Deploy", now=NOW)


@pytest.mark.parametrize(("module", "secret"), [(alert_silence, "password"), (grafana_annotation, "token")])
def test_the_modules_document_what_they_accept(module: Any, secret: str) -> None:
    assert set(yaml.safe_load(module.DOCUMENTATION)["options"]) == set(module.ARGUMENTS)
    assert module.ARGUMENTS[secret]["no_log"] is True
