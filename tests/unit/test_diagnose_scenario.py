"""The pure parts of molecule/diagnose: what is provoked, how a look is read, what the tables say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import provoke
import pytest
from canaries import ERROR, Canaries, told
from confusion import HEALTHY, Row, markdown
from looks import Look, look, merged
from readings import busy_percent, runs


def seen(*ids: str, seconds: float = 2.0) -> Look:
    findings = [{"id": name, "confidence": "high"} for name in ids]
    sections = {"server": {"state": "ok"}, "broker": {"state": "unable", "problem": "nobody answers"}}
    return Look(
        1 if ids else 0,
        json.dumps({"facts": {"sections": sections}, "findings": findings}),
        "",
        seconds,
        0.4,
    )


def test_a_look_is_read_with_its_time() -> None:
    found = look(1, "{}", "the disk is full\ntook 2.104 0.300 0.061\n")

    assert (found.seconds, found.cpu_seconds, found.errors) == (2.104, 0.361, "the disk is full\n")
    assert found.said == "{}the disk is full\n"


def test_a_look_without_its_time_is_a_mistake_of_the_test() -> None:
    with pytest.raises(
        ValueError, match="expected the time on the last line of standard error, got 'killed'"
    ):
        look(137, "", "killed")


def test_a_look_that_printed_no_document_says_what_it_said() -> None:
    with pytest.raises(ValueError, match="expected JSON, got status 2 and 'deploy first'"):
        _ = Look(2, "", "deploy first", 0.1, 0.1).top


def test_findings_and_sections_of_a_look() -> None:
    found = seen("memory-limit", "cpu-busy")

    assert (found.top, found.ids) == ("memory-limit", ["memory-limit", "cpu-busy"])
    assert seen().top == ""
    assert (found.sections("ok"), found.sections("unable")) == ({"server"}, {"broker"})
    assert found.section("broker")["problem"] == "nobody answers"


@pytest.mark.parametrize(
    ("states", "ids", "status"),
    [
        (["ok", "ok"], [], 0),
        (["ok", "ok"], ["log-flood"], 1),
        (["ok", "unable"], ["log-flood"], 1),
        (["ok", "unable"], [], 2),
        (["partial", "ok"], [], 2),
    ],
)
def test_the_status_that_belongs_to_a_look(states: list[str], ids: list[str], status: int) -> None:
    sections = {f"section {number}": {"state": state} for number, state in enumerate(states)}
    document = {"facts": {"sections": sections}, "findings": [{"id": name} for name in ids]}

    assert Look(0, json.dumps(document), "", 1.0, 0.1).due == status


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"web": {"port": 8000, "conn_max_age": 60}, "periodic": [1, 2]}),
        ({"web": {"conn_max_age": 4}}, {"web": {"port": 8000, "conn_max_age": 4}, "periodic": [1, 2]}),
        ({"periodic": [3]}, {"web": {"port": 8000, "conn_max_age": 60}, "periodic": [3]}),
    ],
)
def test_another_configuration(changes: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert merged({"web": {"port": 8000, "conn_max_age": 60}, "periodic": [1, 2]}, changes) == expected


def test_a_configuration_that_nobody_reads_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"expected keys of diagnosis.json \(web, periodic\), got wep"):
        merged({"web": {}, "periodic": []}, {"wep": {"conn_max_age": 4}})


@pytest.mark.parametrize(
    ("row", "right", "cells"),
    [
        (
            Row("queue-unread", seen("queue-unread", "log-flood", "cpu-busy")),
            True,
            ["queue-unread", "queue-unread", "yes", "high", "log-flood, cpu-busy", "2.0", "0.40"],
        ),
        (
            Row("log-flood", seen("cpu-quota")),
            False,
            ["log-flood", "cpu-quota", "**no**", "high", "", "2.0", "0.40"],
        ),
        (Row("log-flood", seen()), False, ["log-flood", HEALTHY, "**no**", "", "", "2.0", "0.40"]),
        (Row(HEALTHY, seen()), True, [HEALTHY, HEALTHY, "yes", "", "", "2.0", "0.40"]),
    ],
)
def test_a_row_says_whether_the_cause_came_first(row: Row, right: bool, cells: list[str]) -> None:
    assert (row.right, row.cells()) == (right, cells)


def test_the_tables_as_markdown() -> None:
    rows = [Row("queue-unread", seen("queue-unread")), Row("log-flood", seen("cpu-quota"))]

    text = markdown(rows, [["without the index", "9", "0.170", "0.204"]])

    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables[:4]}) == 1
    assert tables[-1] == "| without the index | 9 | 0.170 | 0.204 |"
    assert "1 of 2 causes came first." in text
    assert "index" not in markdown(rows)


def test_canaries_are_planted_where_they_show_and_found_where_they_stand() -> None:
    canaries = Canaries.new()
    secrets = canaries.secrets()

    assert len(set(secrets.values())) == len(secrets) == 5
    assert told(secrets, {"log": canaries.error}) == ["canary: mailbox in log", "canary: query in log"]
    assert told(secrets, {"argument": canaries.prompt}) == [
        f"canary: {name} in argument" for name in ("argument", "mailbox", "password")
    ]
    assert told(secrets, {"ps": canaries.command}) == ["canary: option in ps"]
    assert told(secrets, {"report": ERROR}) == []


# Of a worker of the demo, Celery 5.7; ids and dates shortened.
LOG = """\
[17:02,306: INFO/MainProcess] Task music.tasks.charts.update_realtime_chart[d656-4b] received
[17:02,535: INFO/ForkPoolWorker-1] Task music.tasks.charts.update_realtime_chart[24] succeeded in 0.7346s: 24
[17:26,359: INFO/ForkPoolWorker-2] Task music.tasks.royalties.book_royalty[0ca-9c] succeeded in 20.02s: 1
[18:01,101: INFO/ForkPoolWorker-2] Task music.tasks.stores.offer_to_store[0d-1a] retry: Retry in 1s
"""


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        ("music.tasks.charts.update_realtime_chart", [0.7346]),
        ("music.tasks.royalties.book_royalty", [20.02]),
        ("music.tasks.stores.offer_to_store", []),
        # A name is not the beginning of another.
        ("music.tasks.royalties.book", []),
    ],
)
def test_runs_of_a_task_in_a_workers_log(task: str, seconds: list[float]) -> None:
    assert runs(LOG, task) == seconds


def test_a_busy_machine() -> None:
    before, after = "cpu  100 0 100 700 100 0 0 0 0 0", "cpu  160 0 110 720 110 0 0 0 50 0"

    assert busy_percent(before, after) == pytest.approx(70)


class Clock:
    """Time that passes by sleeping, and a little with each look at it."""

    def __init__(self, cost: float = 0.0) -> None:
        self.time, self.cost = 100.0, cost

    def now(self) -> float:
        self.time += self.cost
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("rate", "seconds", "cost", "number"),
    [
        (4, 10, 0.0, 40),
        (0.2, 15, 0.0, 3),
        # Slower than wanted: it is bounded in time all the same.
        (1000, 1, 0.05, 10),
        (4, 0, 0.0, 0),
    ],
)
def test_a_rate_is_kept_for_a_bounded_time(rate: float, seconds: float, cost: float, number: int) -> None:
    clock = Clock(cost)

    assert len(list(provoke.ticks(rate, seconds, clock.now, clock.sleep))) == number


@pytest.mark.parametrize(
    "arguments",
    [
        ["hold", "--connections", "201", "--state", "idle"],
        ["hold", "--connections", "30", "--state", "gone"],
        ["hold", "--connections", "-1", "--state", "idle"],
        ["storm", "--rate", "5001"],
        ["storm", "--rate", "0"],
        ["storm", "--rate", "40", "--seconds", "301"],
        ["lock", "--waiting", "many"],
        ["send", "--task", "x", "--queue", "y", "--number", "501"],
        ["burn", "--processes", "5"],
        ["write", "--rate", "5001"],
        [],
    ],
)
def test_trouble_is_bounded(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        provoke.parser().parse_args(arguments)

    assert refused.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_lines_are_written_where_a_log_is_read(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "log"
    arguments = ["write", "--rate", "200", "--seconds", "0.1", "--text", "again", "--output", str(output)]

    parsed = provoke.parser().parse_args(arguments)
    parsed.act(parsed)

    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "again 0"
    assert 1 < len(lines) <= 20
    assert capsys.readouterr().out == "in effect\n"
