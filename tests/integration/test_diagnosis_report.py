"""The report of a diagnosis in a real Chromium: it fits, needs no network, and complains of nothing.

Needs `make machine`; the pictures are kept in artifacts/report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
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
from tests.dashboards import answer, dashboard, history, panel, values
from tests.diagnoses import HOSTILE, facts, finding, result
from tests.integration.chromium import Chromium

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "artifacts" / "report"
POINTS = 180
STATEMENT = (
    "SELECT music_id, count(*) FROM music_playlogs WHERE played_at >= $1 AND NOT is_deleted GROUP BY 1"
)
TERMINAL = "\n".join(
    f"{'HOST web1 진단 결과' if line == 0 else 'celery  97.4 %'} {'.' * 60}" for line in range(40)
)
FINDINGS = [
    finding(
        title="The table music_playlogs has no index for what update_realtime_chart asks of it",
        evidence=[
            "1990000 rows were read for 120 that match",
            f"the slowest statement, 41 s: {STATEMENT}",
        ],
        remedy={
            "say": "Make the index; diagnose.yml -e apply=index does.",
            "sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS music_playlogs_played_at_music_id_idx "
            "ON music_playlogs (played_at) INCLUDE (music_id) WHERE NOT is_deleted",
        },
    ),
    finding(
        "memory-limit",
        "medium",
        title="celery-ai has little room in its memory",
        evidence=["492M of 512M at the peak"],
        remedy={
            "say": "Raise the limit.",
            **{"variable": "app_stack_workers[celery-ai].memory", "from": "512M", "to": "640M"},
        },
    ),
    finding("recent-deploy", "low", title=f"A deploy just before {HOSTILE}"),
]


def web1() -> dict[str, Any]:
    """A host under stress, with charts of three hours, a deploy and two bundles in them."""
    model = dashboard(
        panel(1, "CPU of host and containers", "timeseries", "a", unit="percent", legend="{{ n }}"),
        panel(2, "메모리와 스왑", "timeseries", "a", unit="bytes", legend="{{ n }}"),
        panel(3, "Memory of the limit", "bargauge", "a", unit="percent", legend="{{ n }}"),
        panel(4, "Throttled CPU periods", "timeseries", "a"),
        title="CPU and tasks",
    )
    steps = range(POINTS)
    lines = [
        ({"n": name}, values([round(height + 20 * math.sin(step / 9 + height)) for step in steps]))
        for name, height in (("host", 70), ("backend", 40), ("celery", 55))
    ]
    answers = {
        "soundcheck-test/1/A": answer(*lines),
        "soundcheck-test/2/A": answer(*lines),
        "soundcheck-test/3/A": answer(*((labels, text.split()[-1]) for labels, text in lines)),
        "soundcheck-test/4/A": answer(),
    }
    told = history(answers, points=POINTS)
    kept = {"name": "1.json", "reasons": ["CPU at 97 %, at or above 80 % for 2 looks in a row"]}
    given = result(
        *FINDINGS,
        text=TERMINAL,
        document={
            "facts": facts(
                taken_at="2026-09-21T17:12:00Z",
                deploys=[{"seconds_ago": 4000}],
                sections={"tasks": {"state": "partial", "problem": "celery-ai did not answer within 2 s"}},
            ),
            "findings": FINDINGS,
        },
        bundles=[
            {**kept, "taken_at": moment, "finding": {"title": "An index is missing", "confidence": "high"}}
            for moment in ("2026-09-21T16:50:00Z", "2026-09-21T15:20:00Z")
        ],
        bundles_left=4,
    )
    shown = panel_views(dashboard_panels([model], {}, 10800, 15), told)
    return diagnosis_view(given, "web1", "production", charted(marked(shown, diagnosis_marks(given))))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    template = (ROOT / "templates" / "report" / "diagnosis.html.j2").read_text(encoding="utf-8")
    gone = {"unreachable": True, "msg": "ssh: connect to host web2 port 22: Connection refused"}
    hosts = diagnosis_order([web1(), diagnosis_view(gone, "web2", "production")])
    pages = {}
    for locale in ("en", "ko"):
        pages[locale] = folder / f"{locale}.html"
        page = html_page(
            template,
            **{"hosts": hosts, "finished": "2026-09-21 17:13 UTC", "symptom": "cpu", "locale": locale},
            words=diagnosis_words(locale),
        )
        pages[locale].write_text(page, encoding="utf-8")
    return pages


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.mark.parametrize(
    ("picture", "locale", "width", "media", "scheme"),
    [
        ("1280", "en", 1280, "screen", "light"),
        ("1280-dark", "ko", 1280, "screen", "dark"),
        ("360", "ko", 360, "screen", "light"),
        ("print", "en", 794, "print", "light"),
    ],
)
def test_it_fits_and_needs_nothing(
    browser: Chromium,
    reports: dict[str, Path],
    picture: str,
    locale: str,
    width: int,
    media: str,
    scheme: str,
) -> None:
    """A desk, the same at night, a phone, and paper (A4); the terminal's report scrolls in its own box."""
    browser.resize(width, 800, mobile=width < 500)
    browser.call(
        "Emulation.setEmulatedMedia",
        media=media,
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    browser.events.clear()
    browser.open(reports[locale].as_uri())
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    browser.screenshot(PICTURES / f"diagnosis-{picture}.png")
    assert browser.complaints() == []
    assert set(browser.requests()) == {reports[locale].as_uri()}
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    beyond = browser.evaluate(
        """[...document.querySelectorAll('main *')].filter(element => {
          const box = element.getBoundingClientRect(), edge = document.documentElement.clientWidth + 1;
          return !element.closest('svg') && box.width > 0 && box.right > edge;
        }).map(element => element.outerHTML.slice(0, 200))"""
    )
    assert beyond == []
    drawn = browser.evaluate("document.querySelectorAll('.panel svg').length")
    assert drawn == 3, "the fourth panel has no data and says so"
