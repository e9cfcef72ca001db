"""The report a verification leaves: what is asked, the table, the explanation, JSON and JUnit XML (G7)."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.verification_report import (
    app_failures,
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


@pytest.mark.parametrize(
    ("source", "name", "status", "own"),
    [
        ("django", "endpoint", "failed", True),
        ("django", "monotonic", "failed", True),
        ("celery", "canary ai_queue", "failed", True),
        ("celery", "canary ai_queue", "consequence", False),
        ("celery", "endpoint", "failed", False),
        ("django", "target", "failed", False),
        ("rabbitmq", "endpoint", "failed", False),
        ("metrics_backend", "query", "failed", False),
    ],
)
def test_what_an_earlier_release_of_the_app_would_mend(
    source: str, name: str, status: str, own: bool
) -> None:
    """A wrong token at the backend must not roll the app back."""
    assert bool(app_failures([check(source, name, status)])) is own


def test_the_table_is_aligned_and_names_a_source_once() -> None:
    assert verification_table(PASSED).splitlines() == [
        "SOURCE  CHECK     RESULT  WHAT CAME",
        "node    endpoint  ok      came",
        "        target    ok      came",
        "django  endpoint  ok      came",
    ]


def question(identity: str, status: str, got: str, cause: str = "", has_data: bool = False) -> dict[str, Any]:
    kind = "alert" if identity.startswith("G3") else "panel"
    details = {"kind": kind, "id": identity, "title": f"Title of {identity}", "has_data": has_data}
    return {**check("django", f"{kind} {identity}", status, got, cause), "details": details}


ANSWERED = question("G2.D1", "ok", "3 series: 1, 2, 3", has_data=True)
NOT_YET = question("G2.D2", "ok", "not yet: no data", "no slow query so far")
DEAD = question("G2.D3", "failed", "Title of G2.D3: no sample of x_bucket")
UNJUDGED = question("G3.4", "consequence", "no data", BECAUSE)


@pytest.mark.parametrize(
    ("questions", "line"),
    [
        ([ANSWERED], "panels    ok           1 of 1 answer"),
        ([ANSWERED, NOT_YET], "panels    ok           1 of 2 answer; not yet: G2.D2 (no slow query so far)"),
        (
            [ANSWERED, NOT_YET, DEAD],
            "panels    FAILED       1 of 3 answer; dead: G2.D3: no sample of x_bucket;"
            " not yet: G2.D2 (no slow query so far)",
        ),
        (
            [DEAD, {**ANSWERED, "status": "consequence"}],
            "panels    FAILED       1 of 2 answer; dead: G2.D3: no sample of x_bucket; not judged: 1",
        ),
        ([UNJUDGED], "alerts    consequence  0 of 1 answer; not judged: 1"),
        ([{**UNJUDGED, "status": "skipped"}], "alerts    skipped      0 of 1 answer; not judged: 1"),
    ],
)
def test_g2_g3_panels_and_alerts_of_a_source_are_one_line_each(
    questions: list[dict[str, Any]], line: str
) -> None:
    table = verification_table([PASSED[2], *questions, BROKEN[1]]).splitlines()
    assert len(table) == 4
    assert " ".join(table[2].split()) == " ".join(line.split())
    assert table[2].startswith("        ")


def test_questions_of_two_kinds_and_sources_are_told_apart() -> None:
    other = {**ANSWERED, "source": "node"}
    table = verification_table([ANSWERED, UNJUDGED, NOT_YET, other]).splitlines()[1:]
    assert [line.split()[:2] for line in table] == [
        ["django", "panels"],
        ["alerts", "consequence"],
        ["node", "panels"],
    ]


def test_each_dead_panel_has_its_paragraph_and_consequences_are_counted() -> None:
    text = verification_report([ANSWERED, DEAD, UNJUDGED, {**UNJUDGED, "check": "alert G3.5"}])
    assert "django, panel G2.D3\n  asked     asked" in text
    assert f"Not judged {BECAUSE}:\n  django 2 alerts" in text
    assert "django 1 alert" in verification_report([UNJUDGED])


COSTS = {
    "kind": "budget",
    "series": 414,
    "points_per_minute": 664.0,
    "share": 0.0664,
    "jobs": [
        {"job": "django", "series": 314, "points_per_minute": 314.0, "share": 0.0314},
        {"job": "no scrape job", "series": 100, "points_per_minute": 350.0, "share": 0.035},
    ],
}
BUDGET = {**check("budget", "series", "ok", "6.6% of 10000"), "details": COSTS}


def test_t16_the_budget_is_a_table_of_its_own() -> None:
    assert verification_report([PASSED[0], BUDGET]).split("\n\n")[1].splitlines() == [
        "BUDGET         SERIES  POINTS/MIN  OF THE PLAN",
        "django            314         314         3.1%",
        "no scrape job     100         350         3.5%",
        "sum               414         664         6.6%",
    ]


def test_a_budget_that_was_not_counted_has_no_table() -> None:
    assert "POINTS/MIN" not in verification_report([{**BUDGET, "details": {}}])


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


def test_json_keeps_each_question_and_each_job() -> None:
    document = json.loads(verification_json([ANSWERED, DEAD, BUDGET, PASSED[0]], "vm", "", 1))
    details = [entry.get("details", {}) for entry in document["checks"]]
    assert [entry.get("id") for entry in details] == ["G2.D1", "G2.D3", None, None]
    assert details[2]["jobs"] == COSTS["jobs"]
    assert "details" not in document["checks"][3]


def test_junit_has_a_case_for_each_question_and_the_budget() -> None:
    xml = verification_junit([ANSWERED, NOT_YET, DEAD, {**BUDGET, "status": "failed"}], "vm", "", 1)
    cases = list(ElementTree.fromstring(xml).iter("testcase"))
    assert [case.get("name") for case in cases] == [
        "panel G2.D1: Title of G2.D1",
        "panel G2.D2: Title of G2.D2",
        "panel G2.D3: Title of G2.D3",
        "series",
    ]
    texts = [text for case in cases for text in case.itertext() if text.strip()]
    assert texts[1] == "asked: not yet: no data\nno slow query so far"
    assert "no scrape job     100" in texts[3]


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
