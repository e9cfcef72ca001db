"""Error lines: each text once, a traceback by its last line, and nothing that is secret."""

from __future__ import annotations

import pytest

from tests.unit.diagnosis_look import ID, SECRET, FakeEngine, container, made, redact
from tests.unit.diagnosis_modules import load_diagnosis

logs = load_diagnosis("logs")

NOW = logs.seconds_of("2026-11-25T00:05:00Z")


def lines(*texts: str) -> list[str]:
    return [f"2026-11-25T00:04:{number:02d}.5Z {text}" for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[2026-11-25 00:03:34,583: ERROR/ForkPoolWorker-1] Task music.x raised unexpected", True),
        ("[2026-11-25 00:03:34,583: CRITICAL/MainProcess] Unrecoverable error", True),
        ("[2026-11-25 00:02:04 +0000] [7] [ERROR] Exception in worker process", True),
        ("2026-11-25 00:01:37.020 UTC [1] FATAL:  sorry, too many clients already", True),
        ("2026-11-25 00:01:37 UTC [9] ERROR:  canceling statement due to statement timeout", True),
        ("2026-11-25 00:01:37.020000+00:00 [error] <0.9.0> closing AMQP connection", True),
        ("panic: runtime error: invalid memory address", True),
        ('{"level":"error","ts":1,"msg":"aborting with incomplete response"}', True),
        ("ts=2026-11-25T00:00:00Z level=error msg=refused", True),
        ("[2026-11-25 00:03:34,583: INFO/MainProcess] Task music.errors.report[1] received", False),
        ("0 errors, 0 warnings", False),
        ("GET /error.html 200", False),
        ("LOG:  database system is ready to accept connections", False),
    ],
)
def test_what_is_an_error(text: str, told: bool) -> None:
    assert bool(logs.errors(lines(text), NOW, redact)) == told


def test_the_same_text_is_told_once() -> None:
    found = logs.errors(
        lines(
            "ERROR task 5b009601-f5a5-4bb0-844a-7570710ae8aa failed after 12 s",
            "ERROR other",
            "ERROR task 12fb97bd-39df-415f-a1fe-ac1ace2affb8 failed after 7 s",
        ),
        NOW,
        redact,
    )
    # The newest first, with the words of its last time.
    assert [(each["count"], each["seconds_ago"]) for each in found] == [(2, 57.5), (1, 58.5)]
    assert "12fb97bd" in found[0]["text"]


def test_of_a_traceback_the_last_line_is_told() -> None:
    found = logs.errors(
        lines(
            "Traceback (most recent call last):",
            '  File "/app/x.py", line 1, in f',
            "    raise ValueError(ERROR)",
            "KeyError: 'first'",
            "",
            "During handling of the above exception, another exception occurred:",
            "",
            "Traceback (most recent call last):",
            '  File "/app/x.py", line 2, in g',
            "django.db.utils.OperationalError: FATAL: too many clients",
            "all is well",
        ),
        NOW,
        redact,
    )
    assert [each["text"] for each in found] == [
        "django.db.utils.OperationalError: FATAL: too many clients",
        "KeyError: 'first'",
    ]


def test_secrets_are_masked_and_texts_bounded() -> None:
    (found,) = logs.errors(lines(f"ERROR url amqp://app:{SECRET}@rabbitmq " + "x" * 1000), NOW, redact)
    assert SECRET not in found["text"]
    assert len(found["text"]) == logs.LONGEST
    many = logs.errors(lines(*(f"ERROR {letter}" for letter in "abcdefghijklmnop")), NOW, redact)
    assert [each["text"] for each in many] == [f"ERROR {letter}" for letter in "ponmlkjihg"]


def test_how_fast_a_log_grows() -> None:
    assert logs.summary(lines("a", "b", "c"), NOW, 60, redact) == {
        "lines": 3,
        "bytes": 3 * len(lines("a")[0]),
        "per_second": 0.05,
        "errors": [],
    }
    # Of a flood only the end was read: it tells the rate itself.
    flood = [f"2026-11-25T00:04:50.{number:06d}Z x" for number in range(logs.LINES)]
    assert logs.summary(flood, NOW, 900, redact)["per_second"] == 100.0


def test_a_log_that_cannot_be_read_is_told() -> None:
    engine = FakeEngine(logs={ID["backend"]: lines("ERROR a")})
    part = logs.collect(made(container("backend"), container("celery"), engine=engine))
    assert list(part.facts) == [ID["backend"]]
    assert part.problem == "celery: Docker: GET /containers/x/logs: 404: no such container"


def test_what_was_left_out_is_told() -> None:
    engine = FakeEngine(logs={ID["backend"]: lines("a") * logs.LINES})
    part = logs.collect(made(container("backend"), engine=engine))
    assert part.omitted == ("log of app-backend-1: only its last 1000 lines were read",)
