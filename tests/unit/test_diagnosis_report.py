"""What is made of the diagnoses of all hosts: charts for the symptom, marks, views, JSON and words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.dashboard_panels import dashboard_panels, panel_questions
from plugins.filter.diagnosis_report import (
    SYMPTOM_PANELS,
    TITLES,
    diagnosis_failure,
    diagnosis_json,
    diagnosis_marks,
    diagnosis_order,
    diagnosis_view,
    diagnosis_words,
    marked,
    symptom_entries,
)
from plugins.filter.grafana_dashboards import grafana_dashboards
from plugins.filter.panel_chart import charted
from plugins.filter.panel_views import panel_views
from tests.dashboards import answer, dashboard, history, panel
from tests.diagnoses import facts, finding, result
from tests.render import TEMPLATES, Rendering

NOON = 1_795_521_600.0


@pytest.fixture(scope="module")
def entries() -> dict[str, Any]:
    found: dict[str, Any] = Rendering().value("metric_catalogue_entries")
    return found


# --- panels --------------------------------------------------------------------------------------------


def test_every_panel_of_a_symptom_is_in_the_catalogue(entries: dict[str, Any]) -> None:
    known = {panel["id"] for board in entries["dashboards"] for panel in board["panels"]}
    assert {identifier for wanted in SYMPTOM_PANELS.values() for identifier in wanted} <= known
    assert SYMPTOM_PANELS.keys() == TITLES.keys()


@pytest.mark.parametrize(
    ("symptom", "order"),
    [
        ("", ["cpu", "memory", "connections"]),
        ("memory", ["memory", "cpu", "connections"]),
        ("connections", ["connections", "cpu", "memory"]),
    ],
)
def test_what_was_noticed_comes_first_and_no_panel_twice(
    entries: dict[str, Any], symptom: str, order: list[str]
) -> None:
    boards = symptom_entries(entries, symptom, "en", 3)["dashboards"]
    assert [board["name"] for board in boards] == [f"3-{name}" for name in order]
    assert [panel["id"] for panel in boards[0]["panels"]] == list(SYMPTOM_PANELS[order[0]])
    shown = [panel["id"] for board in boards for panel in board["panels"]]
    assert len(shown) == len(set(shown))


def test_they_can_be_asked_and_hosts_do_not_share_a_name(entries: dict[str, Any]) -> None:
    asked: list[str] = []
    for place in range(2):
        models = grafana_dashboards(symptom_entries(entries, "cpu", "ko", place), "prometheus")
        boards = dashboard_panels(models, {"environment": "test", "host": "vm"}, 10800, 15)
        assert [board["title"] for board in boards] == ["CPU와 작업", "메모리", "연결과 요청"]
        assert [panel["title"] for panel in boards[0]["panels"]][:2] == ["CPU of host and containers", "Load"]
        asked += [question["key"] for question in panel_questions(boards)]
    assert len(asked) == len(set(asked)) > 30
    assert {key.split("/")[0] for key in asked} == {
        f"soundcheck-{place}-{name}" for place in range(2) for name in SYMPTOM_PANELS
    }


def test_a_source_that_is_not_deployed_leaves_the_others(entries: dict[str, Any]) -> None:
    without = {
        "dashboards": [
            {**board, "panels": [panel for panel in board["panels"] if panel["source"] != "cadvisor"]}
            for board in entries["dashboards"]
        ]
    }
    [cpu, memory, _connections] = symptom_entries(without)["dashboards"]
    assert [panel["id"] for panel in cpu["panels"]][:3] == ["host-cpu", "host-load", "celery-duration"]
    assert [panel["id"] for panel in memory["panels"]] == ["host-memory"]


# --- marks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (result(), [("deploy", NOON - 600), ("deploy", NOON - 86400)]),
        (
            result(
                document={"facts": facts(deploys=None), "findings": []},
                bundles=[{"taken_at": "2026-11-24T11:58:00Z"}, {"taken_at": None}],
            ),
            [("bundle", NOON - 120)],
        ),
        (result(document={"facts": facts(taken_at=None), "findings": []}), []),
        (result(document={"facts": facts(deploys=[{"seconds_ago": None}]), "findings": []}), []),
        ({"unreachable": True, "msg": "gone"}, []),
        (result(document={}, bundles=[{"taken_at": "yesterday"}]), []),
    ],
)
def test_deploys_and_bundles_are_marks(given: dict[str, Any], expected: list[tuple[str, float]]) -> None:
    assert [(mark["kind"], mark["at"]) for mark in diagnosis_marks(given)] == expected


def test_marks_are_drawn_where_they_lie_in_the_time() -> None:
    panels = dashboard_panels([dashboard(panel(1, "P", "timeseries", "a"))], {}, 3600, 15)
    views = panel_views(panels, history({"soundcheck-test/1/A": answer(({}, "1 2 3 4 5 6"))}))
    start = views[0]["panels"][0]["start"]
    marks = [
        {"kind": kind, "at": start + at} for kind, at in (("deploy", 60), ("bundle", 90), ("bundle", -1))
    ]
    [board] = marked(views, marks)
    assert board["panels"][0]["marks"] == marks[:2]
    plain, drawn = (
        re.findall(r"stroke: var\(--(ink|bad)\)", charted(shown)[0]["panels"][0]["chart"])
        for shown in (views, [board])
    )
    assert (drawn.count("bad") - plain.count("bad"), drawn.count("ink") - plain.count("ink")) == (1, 1)


# --- views -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "state", "problem", "failure"),
    [
        (result(), "clean", "", ""),
        (result(finding()), "findings", "", ""),
        (result(state="incomplete"), "incomplete", "", ""),
        (
            result(state="missing", problem="x.sh is not on this host", document={}),
            *("missing", "x.sh is not on this host"),
            "web1 could not be diagnosed: x.sh is not on this host; "
            "deploy first: deploy_telemetry.yml installs it",
        ),
        (
            result(state="unable", problem="x.sh ended with status 2 and said: no", document={}),
            *("unable", "x.sh ended with status 2 and said: no"),
            "web1 could not be diagnosed: x.sh ended with status 2 and said: no",
        ),
        (
            {"unreachable": True, "msg": "ssh:\n refused", "changed": False},
            *("unreachable", "ssh: refused", "web1 could not be diagnosed: ssh: refused"),
        ),
        (
            {"failed": True, "msg": "Missing sudo password"},
            *("unable", "Missing sudo password", "web1 could not be diagnosed: Missing sudo password"),
        ),
        ({}, "unable", "it was not asked", "web1 could not be diagnosed: it was not asked"),
    ],
)
def test_every_end_of_a_diagnosis_is_a_view(
    given: dict[str, Any], state: str, problem: str, failure: str
) -> None:
    view = diagnosis_view(given, "web1", "test")
    assert (view["state"], view["problem"]) == (state, problem)
    assert diagnosis_failure(view) == failure


@pytest.mark.parametrize(
    ("more", "figures"),
    [
        ({}, (97.4, 75.0, 65, 100)),
        ({"server": None, "database": None}, (None, None, None, None)),
        ({"server": {"memory": {"total": 1, "available": None}}}, (None, None, 65, 100)),
        ({"database": {"max_connections": None, "connections": [{"count": None}]}}, (97.4, 75.0, None, None)),
        ({"database": {"max_connections": 100, "connections": []}}, (97.4, 75.0, None, 100)),
    ],
)
def test_what_is_unknown_is_not_zero(more: dict[str, Any], figures: tuple[Any, ...]) -> None:
    given = result(document={"facts": facts(**more), "findings": []})
    assert tuple(diagnosis_view(given, "web1", "test")["figures"].values()) == figures


def test_sections_that_said_nothing_are_named() -> None:
    sections = {
        "server": {"state": "ok", "problem": ""},
        "database": {"state": "unable", "problem": "refused"},
        "tasks": {"state": "partial", "problem": "no worker answered"},
    }
    view = diagnosis_view(result(document={"facts": facts(sections=sections), "findings": []}), "w", "t")
    assert [(entry["section"], entry["state"], entry["problem"]) for entry in view["silent"]] == [
        ("database", "unable", "refused"),
        ("tasks", "partial", "no worker answered"),
    ]


def test_what_is_worst_comes_first() -> None:
    views = [
        diagnosis_view(given, host, "test")
        for host, given in {
            "clean": result(),
            "low": result(finding(confidence="low")),
            "gone": {"unreachable": True, "msg": "no"},
            "high": result(finding()),
            "incomplete": result(state="incomplete"),
            "bare": result(state="missing", document={}),
        }.items()
    ]
    assert [view["host"] for view in diagnosis_order(views)] == [
        *("bare", "gone", "high", "low", "incomplete", "clean")
    ]


def test_the_document_holds_facts_and_findings_and_null_where_there_are_none() -> None:
    views = [
        diagnosis_view(result(finding()), "web1", "test"),
        diagnosis_view({"unreachable": True, "msg": "no"}, "web2", "test"),
    ]
    document = json.loads(diagnosis_json(views, "2026-11-24 12:00 UTC", "cpu"))
    assert (document["schema"], document["finished"], document["symptom"]) == (
        *(1, "2026-11-24 12:00 UTC", "cpu"),
    )
    assert document["hosts"] == [
        {
            **{"host": "web1", "environment": "test", "state": "findings", "problem": ""},
            **{"facts": facts(), "findings": [finding()], "bundles": []},
        },
        {
            **{"host": "web2", "environment": "test", "state": "unreachable", "problem": "no"},
            **{"facts": None, "findings": [], "bundles": []},
        },
    ]


# --- words -----------------------------------------------------------------------------------------------


def test_every_word_of_the_page_is_known_in_both_languages() -> None:
    page = (TEMPLATES / "report" / "diagnosis.html.j2").read_text("utf-8")
    used = set(re.findall(r'words\["([^"]+)"\]', page))
    # Those that stand for a state or a confidence, named in the page's tables or by the tool.
    used |= set(re.findall(r'\("([a-z ,]+)", "(?:ok|warning|bad)"\)', page))
    used |= {"high", "medium", "low", "partial", "unable"}
    english, korean = diagnosis_words("en"), diagnosis_words("ko")
    assert used == english.keys() == korean.keys()
    assert all(word == meaning for word, meaning in english.items())
    assert [word for word, meaning in korean.items() if not re.search("[가-힣]", meaning)] == [
        *("CPU", "by Soundcheck")
    ]


def test_another_language_is_refused_by_name() -> None:
    with pytest.raises(AnsibleFilterError, match="locale: 'fr' is unknown, one of en, ko was expected"):
        diagnosis_words("fr")
