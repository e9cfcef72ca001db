"""The report a verification leaves: what is asked, the table, the explanation, JSON and JUnit XML (G7)."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.verification_report import (
    probed_sources,
    prometheus_duration_seconds,
    verification_failures,
    verification_json,
    verification_junit,
    verification_report,
    verification_summary,
    verification_table,
)


def check(source: str, name: str, status: str, got: str = "came", cause: str = "") -> dict[str, Any]:
    return {
        "source": source,
        "check": name,
        "status": status,
        "asked": "asked",
        "expected": "expected",
        "got": got,
        "likely_cause": cause,
        "waiting": False,
    }


PASSED = [check("node", "endpoint", "ok"), check("node", "target", "ok"), check("django", "endpoint", "ok")]
BECAUSE = "because node is broken: see node, endpoint"
BROKEN = [
    check("node", "endpoint", "failed", "connection <refused>\x1b[0m", "it stopped"),
    check("node", "target", "consequence", "down", BECAUSE),
    check("node", "backend", "consequence", "stale", BECAUSE),
    check("django", "endpoint", "ok"),
    check("celery", "canary default", "skipped", "check mode sends no task"),
]


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("15s", 15), ("1m", 60), ("1m30s", 90), ("2h", 7200), ("1500ms", 2), ("500ms", 1), ("1d", 86400)],
)
def test_reads_prometheus_durations(duration: str, seconds: int) -> None:
    assert prometheus_duration_seconds(duration) == seconds


@pytest.mark.parametrize("duration", ["", "15", 15, "s", "1 m", "m1", "1.5m", "15sec"])
def test_refuses_other_durations(duration: object) -> None:
    with pytest.raises(AnsibleFilterError, match="is not a duration: write 15s, 1m or 1m30s"):
        prometheus_duration_seconds(duration)


ENTRY = {
    "job": "celery",
    "title": {"en": "Celery"},
    "project": "telemetry",
    "service": "celery-exporter",
    "port": 9808,
    "path": "/metrics",
    "target": "celery-exporter:9808",
    "enabled": True,
    "promised": [{"exposed": "celery_worker_up", "kind": "gauge"}],
    "relabel": [{"action": "keep"}],
    "likely_causes": {"endpoint": "broker"},
    "panels": [],
    "alerts": [],
}


def test_sources_hold_what_the_module_accepts_and_no_more() -> None:
    assert probed_sources({"celery": ENTRY}, {}) == [
        {
            "name": "celery",
            "job": "celery",
            "project": "telemetry",
            "service": "celery-exporter",
            "port": 9808,
            "path": "/metrics",
            "published_port": 0,
            "promised": [{"exposed": "celery_worker_up"}],
            "likely_causes": {"endpoint": "broker"},
        }
    ]


def test_g7_published_ports_scrape_timeouts_and_own_timestamps_are_taken_over() -> None:
    entry = {**ENTRY, "scrape_timeout": "10s", "honor_timestamps": True}
    (source,) = probed_sources({"celery": entry}, {"celery": "8000"})
    assert (source["published_port"], source["timeout"], source["fresh_seconds"]) == (8000, 10.0, 300)


def test_disabled_sources_are_not_asked() -> None:
    assert probed_sources({"celery": {**ENTRY, "enabled": False}}, {}) == []


def test_consequences_are_no_failures() -> None:
    assert [entry["check"] for entry in verification_failures(BROKEN)] == ["endpoint"]


def test_the_table_is_aligned_and_names_a_source_once() -> None:
    assert verification_table(PASSED).splitlines() == [
        "SOURCE  CHECK     RESULT  WHAT CAME",
        "node    endpoint  ok      came",
        "        target    ok      came",
        "django  endpoint  ok      came",
    ]


def test_the_table_cuts_long_answers() -> None:
    row = verification_table([check("node", "endpoint", "failed", "x" * 200)]).splitlines()[1]
    assert row.startswith("node    endpoint  FAILED  xxx")
    assert row.endswith("...")
    assert len(row) < 130


def test_the_explanation_says_what_was_asked_expected_and_came() -> None:
    text = verification_report(BROKEN)
    assert text.startswith(verification_table(BROKEN))
    for line in ("asked     asked", "expected  expected", "came      connection", "likely    it stopped"):
        assert line in text
    assert f"Not judged {BECAUSE}:\n  node target, node backend" in text


def test_a_report_without_failures_is_the_table() -> None:
    assert verification_report(PASSED) == verification_table(PASSED)


def test_the_summary_names_each_culprit_once() -> None:
    text = verification_summary(
        [
            check("node", "endpoint", "failed"),
            check("node", "backend", "failed"),
            check("celery", "t", "failed"),
        ]
    )
    assert text.splitlines() == [
        "Verification failed: node, celery (3 of 3 checks).",
        "node, endpoint: came",
        "node, backend: came",
        "celery, t: came",
    ]
    assert verification_summary(PASSED) == "All 3 checks passed."


def test_json_keeps_every_check() -> None:
    document = json.loads(verification_json(BROKEN, "vm", "2026-11-24T08:00:00Z", 3.2))
    assert (document["host"], document["passed"], document["seconds"]) == ("vm", False, 3.2)
    assert len(document["checks"]) == len(BROKEN)
    assert "waiting" not in document["checks"][0]
    assert json.loads(verification_json(PASSED, "vm", "", 1))["passed"] is True


def test_junit_has_a_suite_per_source_and_skips_consequences() -> None:
    root = ElementTree.fromstring(verification_junit(BROKEN, "vm", "2026-11-24T08:00:00Z", 3.2))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("5", "1", "3")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["node", "django", "celery"]
    assert suites["node"].get("failures") == "1"
    failure = suites["node"].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "connection <refused>?[0m"  # control characters are not XML
    assert failure.text == "asked asked; expected expected; likely it stopped"
    assert [e.get("message") for e in suites["node"].iter("skipped")] == [
        f"down: {BECAUSE}",
        f"stale: {BECAUSE}",
    ]
