"""report/diagnosis.html.j2: what the page says of each host, and that nothing of a host becomes markup."""

from __future__ import annotations

import re
from typing import Any

import pytest

from plugins.filter.dashboard_panels import dashboard_panels
from plugins.filter.diagnosis_report import (
    diagnosis_marks,
    diagnosis_order,
    diagnosis_view,
    diagnosis_words,
    marked,
)
from plugins.filter.html_page import html_page
from plugins.filter.panel_chart import charted
from plugins.filter.panel_views import panel_views
from tests.dashboards import answer, dashboard, history, panel
from tests.diagnoses import HOSTILE, facts, finding, result
from tests.render import TEMPLATES
from tests.unit.test_render_report import Page

TEMPLATE = (TEMPLATES / "report" / "diagnosis.html.j2").read_text(encoding="utf-8")


def rendered(*views: dict[str, Any], symptom: str = "", locale: str = "en") -> str:
    return html_page(
        TEMPLATE,
        hosts=diagnosis_order(views),
        finished="2026-11-24 12:01 UTC",
        symptom=symptom,
        locale=locale,
        words=diagnosis_words(locale),
    )


def view(given: dict[str, Any], host: str = "web1", **more: Any) -> dict[str, Any]:
    return diagnosis_view(given, host, "production", **more)


def boards(given: dict[str, Any]) -> list[dict[str, Any]]:
    panels = dashboard_panels([dashboard(panel(1, "Load", "timeseries", "a", unit="short"))], {}, 3600, 15)
    shown = panel_views(panels, history({"soundcheck-test/1/A": answer(({}, "1 2 3 4 5 6"))}))
    return charted(marked(shown, diagnosis_marks(given)))


def test_a_finding_is_told_with_its_evidence_and_remedy() -> None:
    limit = {
        "say": "Raise the limit.",
        "variable": "app_stack_workers[celery-ai].memory",
        **{"from": "350M", "to": "512M", "app": "Stream the file."},
    }
    findings = (finding(), finding("memory-limit", "medium", title="The limit is too small", remedy=limit))
    text = Page(rendered(view(result(*findings)), symptom="memory")).text
    assert "Diagnosis 2026-11-24 12:01 UTC · symptom: memory · by Soundcheck" in text
    assert "web1 An index is missing 97 % 75 % 65 / 100" in text
    assert "1. An index is missing missing-index · Confidence: high 1990000 rows read for 120" in text
    assert "Remedy Make the index. SQL CREATE INDEX CONCURRENTLY played" in text
    assert "2. The limit is too small" in text
    assert "Variable app_stack_workers[celery-ai].memory : 350M → 512M in the app Stream the file." in text
    assert "WEB1 CPU 97 %" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (result(), "web1 nothing found 97 % 75 % 65 / 100"),
        (result(state="incomplete"), "web1 nothing found, but not everything could be asked 97 %"),
        (
            result(state="missing", problem="x.sh is not on this host", document={}, text=""),
            "not installed - deploy first (deploy_telemetry.yml) x.sh is not on this host",
        ),
        (result(state="unable", problem="it said: no", document={}), "production unable it said: no"),
        ({"unreachable": True, "msg": "refused"}, "web1 unreachable unknown unknown unknown"),
        (
            result(document={"facts": facts(server=None, database=None), "findings": []}),
            "web1 nothing found unknown unknown unknown",
        ),
    ],
)
def test_a_host_without_findings_says_why(given: dict[str, Any], said: str) -> None:
    assert said in Page(rendered(view(given))).text


def test_one_host_that_is_gone_does_not_spoil_the_others() -> None:
    page = Page(
        rendered(view({"unreachable": True, "msg": "refused"}, "web2"), view(result(finding()), "web1"))
    )
    assert "web2 unreachable unknown unknown unknown web1 An index is missing" in page.text
    assert page.tags.count("section") == 3


def test_charts_show_deploys_and_what_the_watch_kept_or_say_why_there_are_none() -> None:
    # The charts end at 2026-09-21 14:18 UTC.
    document = {
        "facts": facts(taken_at="2026-09-21T14:17:00Z", deploys=[{"seconds_ago": 60}]),
        "findings": [],
    }
    kept = {"name": "1.json", "taken_at": "2026-09-21T14:15:00Z", "reasons": ["CPU at 97 %", "OOM"]}
    given = result(
        document=document,
        bundles=[{**kept, "finding": {"id": "x", "title": "Too busy", "confidence": "low"}}],
        bundles_left=3,
    )
    page = Page(rendered(view(given, dashboards=boards(given))))
    assert page.tags.count("svg") == 1
    assert (
        "Charts from 2026-09-21 14:13 UTC - 2026-09-21 14:18 UTC; times are UTC. "
        "Dotted line: deploy. Dashed red line: diagnosis kept by the watch." in page.text
    )
    assert "2026-09-21T14:15:00Z CPU at 97 %; OOM Too busy 3 more on the host" in page.text

    without = Page(rendered(view(result(), problem="the backend refused")))
    assert "svg" not in without.tags
    assert "The charts are missing: the backend refused" in without.text


@pytest.mark.parametrize(("other", "panels"), [("HTTP 500", 0), ("HTTP 502", 2), ("", 2)])
def test_a_backend_that_is_down_is_told_once(other: str, panels: int) -> None:
    models = [panel(number, f"P{number}", "timeseries", "a") for number in (1, 2)]
    found = dashboard_panels([dashboard(*models)], {}, 3600, 15)
    lines: list[Any] = [] if other else [({}, "1 2 3 4 5 6")]
    answers = {
        "soundcheck-test/1/A": answer(problem="HTTP 500"),
        "soundcheck-test/2/A": answer(*lines, problem=other),
    }
    given = result()
    shown = charted(marked(panel_views(found, history(answers)), diagnosis_marks(given)))
    text = Page(rendered(view(given, dashboards=shown))).text
    assert text.count("HTTP 500") == 1
    assert ("The charts are missing: the backend did not answer: HTTP 500" in text) is (panels == 0)
    assert sum(title in text for title in ("P1", "P2")) == panels


def test_sections_that_could_not_be_asked_are_told() -> None:
    sections = {"database": {"state": "unable", "problem": "connection refused"}}
    given = result(state="incomplete", document={"facts": facts(sections=sections), "findings": []})
    assert "Not answered database (unable) connection refused" in Page(rendered(view(given))).text


def test_in_korean() -> None:
    page = rendered(view(result(finding())), view({"unreachable": True, "msg": "x"}, "b"), locale="ko")
    text = Page(page).text
    assert '<html lang="ko">' in page
    for said in ("진단", "접속 불가", "확신도: 높음", "조치", "전체 보고서"):
        assert said in text


def test_nothing_that_a_host_says_becomes_markup() -> None:
    said = dict.fromkeys(("say", "variable", "from", "to", "sql", "app"), HOSTILE)
    hostile = finding(HOSTILE, title=HOSTILE, evidence=[HOSTILE], remedy=said)
    sections = {HOSTILE: {"state": "unable", "problem": HOSTILE}}
    given = result(
        hostile,
        text=HOSTILE,
        document={"facts": facts(taken_at=HOSTILE, sections=sections), "findings": [hostile]},
        bundles=[
            {"name": HOSTILE, "taken_at": None, "reasons": [HOSTILE], "finding": None},
            {
                "name": "x",
                "taken_at": HOSTILE,
                "reasons": [],
                "finding": {"title": HOSTILE, "confidence": "low"},
            },
        ],
    )
    page = rendered(
        diagnosis_view(given, HOSTILE, HOSTILE, problem=HOSTILE),
        view(result(state="unable", problem=HOSTILE, document={}, text=HOSTILE)),
        symptom=HOSTILE,
    )
    assert "script" not in Page(page).tags
    assert "<script" not in page.lower()
    assert Page(page).text.count("<script>") > 20


def test_the_page_needs_nothing_but_itself() -> None:
    given = result(finding())
    page = rendered(view(given, dashboards=boards(given)))
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert {target[:1] for pair in addresses for target in pair if target} <= {"#", "d"}
