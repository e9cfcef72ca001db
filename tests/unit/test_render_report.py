"""report/verification.html.j2: what a page says, and that nothing of a backend becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest

from plugins.filter.alert_rows import alert_rows
from plugins.filter.dashboard_panels import dashboard_panels
from plugins.filter.html_page import PARTS, html_page
from plugins.filter.page_checks import page_budget, page_checks
from plugins.filter.panel_chart import charted
from plugins.filter.panel_views import panel_views
from tests.dashboards import answer, dashboard, history, panel
from tests.render import TEMPLATES

HOSTILE = "<script>alert('x')</script>\"&"
TEMPLATE = (TEMPLATES / "report" / "verification.html.j2").read_text(encoding="utf-8")
VOID = ("meta", "link", "br")


class Page(HTMLParser):
    """Text and elements of a page; an element that is not closed in its turn is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.parts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def check(source: str, status: str = "ok", **more: str) -> dict[str, Any]:
    texts = {"check": "endpoint", "asked": "GET", "expected": "samples", "got": "came", "likely_cause": ""}
    return {"source": source, "status": status, **texts, **more}


def rendered(**more: Any) -> str:
    given: dict[str, Any] = {
        "host": "vm",
        "environment": "test",
        "finished": "2026-11-24 17:00 UTC",
        "seconds": 3.2,
        "checks": [check("django")],
        "dashboards": [],
        "alerts": [],
        "alerts_problem": "",
    }
    given |= more
    checks = {"rows": page_checks(given["checks"]), "budget": page_budget(given["checks"])}
    return html_page(TEMPLATE, **given, **checks)


def dashboards(*panels: dict[str, Any], **answers: dict[str, Any]) -> list[dict[str, Any]]:
    found = dashboard_panels([dashboard(*panels)], {}, 3600, 15)
    known = {f"soundcheck-test/{key[1:]}/A": given for key, given in answers.items()}
    return charted(panel_views(found, history(known)))


def test_a_page_of_a_healthy_host() -> None:
    text = Page(rendered(checks=[check("django"), check("celery")])).text
    assert "vm All 2 checks passed Environment test, verified 2026-11-24 17:00 UTC in 3.2 s" in text
    assert "django endpoint ok came" in text
    assert "Budget" not in text


def test_a_failure_explains_itself_and_a_consequence_names_its_root() -> None:
    checks = [
        check("celery", "failed", got="refused", likely_cause="it stopped"),
        check("celery", "consequence", likely_cause="because celery is broken"),
        check("node", "skipped"),
    ]
    text = Page(rendered(checks=checks)).text
    assert "1 of 3 checks failed" in text
    assert "FAILED refused asked GET expected samples likely it stopped" in text
    assert "consequence came because celery is broken" in text


def test_the_budget_has_its_own_table() -> None:
    jobs = [{"job": "django", "series": 1900, "points_per_minute": 7600.2, "share": 0.76}]
    budget = {**check("budget", check="series", got="19 %"), "details": {"kind": "budget", "jobs": jobs}}
    text = Page(rendered(checks=[check("django"), budget])).text
    assert text.endswith(
        "Budget Check Result What came series ok 19 % "
        "Job Series Points per minute Of the plan django 1,900 7,600 76.0%"
    )
    assert text.count("19 %") == 1
    assert "All 2 checks passed" in text


@pytest.mark.parametrize(
    ("rules", "problem", "said"),
    [
        ([], "", "The backend evaluates no alert rules."),
        ([], "HTTP 404 Not Found", "The backend tells no alert rules: HTTP 404 Not Found."),
        (
            [{"name": "A", "health": "ok", "error": "", "labels": {}, "alerts": []}],
            "",
            "No alert fires. Quiet: A",
        ),
        (
            [{"name": "A", "health": "err", "error": "bad", "labels": {}, "alerts": []}],
            "",
            "A not evaluated bad",
        ),
    ],
)
def test_alerts_are_told_or_why_not(rules: list[dict[str, Any]], problem: str, said: str) -> None:
    assert said in Page(rendered(alerts=alert_rows(rules), alerts_problem=problem)).text


def test_panels_are_drawn_or_say_why_not() -> None:
    shown = dashboards(
        panel(1, "Load", "timeseries", "a", legend="{{ n }}", description="What to do", steps=[("red", 9)]),
        panel(2, "Slow", "stat", "a", unit="s", steps=[("yellow", 1)]),
        panel(3, "Nothing", "timeseries", "a"),
        p1=answer(({"n": "one"}, "1 2 3 4 5 6")),
        p2=answer(({}, "1 2 3 4 5 2")),
        p3=answer(problem="HTTP 500"),
    )
    page = Page(rendered(dashboards=shown))
    assert page.tags.count("svg") == 2
    assert "Load" in page.text
    assert "one 6 critical from 9 What to do" in page.text
    assert "Slow 2 s warning" in page.text
    assert "Nothing No data: the backend did not answer: HTTP 500" in page.text
    assert "Charts from 2026-09-21 14:13 UTC to 2026-09-21 14:18 UTC; times are UTC." in page.text


def test_nothing_that_a_backend_says_becomes_markup() -> None:
    shown = dashboards(
        panel(1, HOSTILE, "timeseries", "a", legend="{{ n }}", description=HOSTILE, unit=f"suffix:{HOSTILE}"),
        panel(2, HOSTILE, "bargauge", "a", legend="{{ n }}"),
        panel(3, HOSTILE, "stat", "a"),
        p1=answer(({"n": HOSTILE}, "1 2 3 4 5 6"), problem=HOSTILE),
        p2=answer(({"n": HOSTILE}, "1")),
        p3=answer(problem=HOSTILE),
    )
    alert = {"state": "firing", "activeAt": HOSTILE, "labels": {"severity": HOSTILE}}
    rule = {"name": HOSTILE, "health": "ok", "error": HOSTILE, "labels": {}}
    fires = {**rule, "alerts": [{**alert, "annotations": {"summary": HOSTILE}}]}
    fails = {**rule, "health": "err", "alerts": []}
    page = rendered(
        **dict.fromkeys(("host", "environment", "finished"), HOSTILE),
        checks=[
            {
                **check(HOSTILE, status),
                **dict.fromkeys(("check", "asked", "expected", "got", "likely_cause"), HOSTILE),
            }
            for status in ("ok", "failed", "consequence", "skipped")
        ],
        dashboards=[{**entry, "title": HOSTILE, "description": HOSTILE} for entry in shown],
        alerts=alert_rows([fires, fails]),
        alerts_problem="",
    )
    assert "script" not in Page(page).tags
    assert "<script" not in page.lower()
    assert Page(page).text.count("<script>") > 30


def test_the_page_needs_nothing_but_itself() -> None:
    page = rendered(dashboards=dashboards(panel(1, "P", "timeseries", "a"), p1=answer(({}, "1 2 3 4 5 6"))))
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert {target[:1] for pair in addresses for target in pair if target} == {"#", "d"}
    assert 'href="data:,"' in page, "without an icon of its own a browser asks for one"


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="hots"):
        html_page("{{ hots }}", host="vm")


def test_only_what_is_marked_is_not_escaped() -> None:
    assert html_page("{{ a }} {{ b | safe }}\n", a="<i>", b="<b>") == "&lt;i&gt; <b>\n"
    safe = {path.name: path.read_text("utf-8").count("| safe") for path in PARTS.iterdir()}
    marked = {name: count for name, count in safe.items() if count}
    assert marked == {"panel.html.j2": 1}, "the charts alone, which are made here"
