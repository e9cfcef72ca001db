"""The report of a verification: asked of a real Prometheus, written by Ansible, looked at in a real Chromium.

Prometheus starts with an hour of known values, so that what the page says can be compared with what happened.
Needs `make machine images`; the pictures are kept in artifacts/report.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from plugins.module_utils.metric_probe_asking import Backend
from tests.dashboards import dashboard, panel
from tests.integration.chromium import Chromium

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "artifacts" / "report"
PASSWORD = "a-reader-password-that-must-not-show"
LABELS = {"environment": "test", "host": "server"}
HOSTILE = "/<script>alert(1)</script>{{7*7}}"
RATES = {"/charts": 4, HOSTILE: 1.5}  # requests per second
KOREAN = "응답 시간 (95th percentile)"
DASHBOARDS = [
    dashboard(
        panel(
            *(1, "Requests per endpoint (per second)", "timeseries"),
            "sum by (view) (rate(requests_total[$__rate_interval]))",
            unit="reqps",
            legend="{{ view }}",
            description="How much each view is asked for. A view that is missing was not asked for.",
        ),
        panel(
            *(2, KOREAN, "timeseries", 'latency_seconds{service=~"$service"}'),
            unit="s",
            legend="{{ view }}",
            steps=[("red", 2)],
            description="뷰별 응답 시간입니다. 2초를 넘으면 느린 쿼리를 확인하세요.",
        ),
        panel(
            *(3, "Slow queries (over 2 s)", "stat", "slow_queries"),
            unit="suffix: queries/s",
            steps=[("yellow", 5), ("red", 10)],
        ),
        panel(4, "Database connections", "timeseries", "no_such_metric"),
        panel(
            *(5, "CPU per container", "bargauge", "topk(10, container_cpu)"),
            unit="percent",
            legend="{{ name }}",
            steps=[("dark-red", 80)],
        ),
        panel(6, "Memory per container", "timeseries", "container_memory", unit="bytes", legend="{{ name }}"),
        uid="soundcheck-django",
        title="Django Metrics",
        description="How the web service answers.",
    ),
    dashboard(
        panel(1, "Fifty queues", "timeseries", "queue_depth", unit="short", legend="{{ queue }}"),
        panel(
            *(2, "Celery 작업 총 실행 횟수", "barchart", "tasks"),
            unit="short",
            legend="{{ task_name }} - {{ status }}",
        ),
        panel(3, "Broken question", "timeseries", "latency_seconds * on () slow_queries"),
        panel(4, "Nothing to divide by", "stat", "0 * slow_queries / 0", unit="percent"),
        uid="soundcheck-celery",
        title="Celery Metrics",
    ),
]
QUESTIONS = [{"title": "Database connections", "empty_reason": "no connection was opened yet"}]
BUDGET = {
    "kind": "budget",
    "jobs": [{"job": "django", "series": 183, "points_per_minute": 183.0, "share": 0.0183}],
}
CHECKS: list[dict[str, Any]] = [
    {"source": "django", "check": "endpoint", "status": "ok", "got": "12 of 12 metrics with samples"},
    {"source": "celery", "check": "endpoint", "status": "failed", "got": "connection refused"},
    {"source": "celery", "check": "target", "status": "consequence", "got": "down"},
    {"source": "budget", "check": "series", "status": "ok", "got": "1.8% of 10000", "details": BUDGET},
]
RULES = """
groups:
  - name: test
    rules:
      - alert: BackendCpuHigh
        expr: container_cpu{name="backend"} > 80
        labels: {severity: critical}
        annotations: {summary: 백엔드 CPU 사용량이 80%를 초과했습니다!}
      - alert: DiskUsageHigh
        expr: container_cpu > 1000
"""
START = """
promtool tsdb create-blocks-from openmetrics /etc/prometheus/values.om /prometheus >/dev/null
set -- --config.file=/etc/prometheus/prometheus.yml --web.config.file=/etc/prometheus/web.yml
exec prometheus "$@" --storage.tsdb.path=/prometheus
"""
PROMETHEUS = """
global: {evaluation_interval: 1s}
rule_files: [/etc/prometheus/rules.yml]
"""


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def known_values(now: int) -> str:
    """An hour in OpenMetrics, a value each 15 s, of this deployment and of another one in this backend."""
    gauges: dict[str, dict[str, Any]] = {
        "latency_seconds": {
            'view="/charts",service="backend"': lambda t: 0.3 + 0.1 * math.sin(t / 300),
            'view="/한국어",service="backend"': lambda t: 0.9 + 0.4 * math.sin(t / 500),
        },
        "slow_queries": {"": lambda t: 6 + 3 * math.sin(t / 700)},
        "container_cpu": {'name="backend"': lambda t: 91.5, 'name="celery-beat"': lambda t: 12.25},
        "container_memory": {
            'name="backend"': lambda t: 3e8 + 2e7 * math.sin(t / 200),
            # It ran for some minutes only: a gap before and after it.
            'name="celery-ai"': lambda t: 5e8 if 1200 < now - t < 2400 else None,
        },
        "queue_depth": {f'queue="q{n}"': lambda t, n=n: n + math.sin(t / 200 + n) for n in range(50)},
        "tasks": {
            f'task_name="music.tasks.charts.update_realtime_chart",status="{status}"': lambda t, v=v: v
            for status, v in (("success", 128), ("failure", 3))
        },
    }
    moments = range(now - 3600, now, 15)
    lines = []
    for name, series in gauges.items():
        lines.append(f"# TYPE {name} gauge")
        for labels, value in series.items():
            for host, factor in (("server", 1), ("another", 1000)):
                everything = ",".join(filter(None, (labels, 'environment="test"', f'host="{host}"')))
                lines += [
                    f"{name}{{{everything}}} {value(t) * factor} {t}" for t in moments if value(t) is not None
                ]
    lines.append("# TYPE requests counter")
    for view, rate in RATES.items():
        labels = f'view="{view}",environment="test",host="server"'
        lines += [f"requests_total{{{labels}}} {rate * (t - moments[0])} {t}" for t in moments]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that holds the known values and asks for a password."""
    references = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    images = [reference for reference in references if reference.startswith("soundcheck/prometheus:")]
    assert images, "no soundcheck/prometheus image: run `make images` first"
    folder = tmp_path_factory.mktemp("prometheus")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    files = {
        "prometheus.yml": PROMETHEUS,
        "rules.yml": RULES,
        "web.yml": json.dumps({"basic_auth_users": {"reader": hashed}}),
        "values.om": known_values(int(time.time())),
    }
    volumes = []
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
        (folder / name).chmod(0o644)
        volumes += ["-v", f"{folder / name}:/etc/prometheus/{name}:ro"]
    container = docker(
        *("run", "--detach", "-p", "127.0.0.1::9090", *volumes),
        *("--entrypoint", "/bin/sh", images[0], "-c", START),
    )
    try:
        url = "http://" + docker("port", container, "9090/tcp").splitlines()[0]
        wait_for_rules(url, container)
        yield url
    finally:
        docker("rm", "--force", "--volumes", container)


def wait_for_rules(url: str, container: str) -> None:
    """Until the alert that must fire does."""
    answer: Any = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = Backend(url, "reader", PASSWORD, {}).query('ALERTS{alertstate="firing"}')
        if answer[0]:
            return
        time.sleep(0.5)
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
    pytest.fail(f"no alert fired within a minute, but {answer}; Prometheus' log:\n{logs.stdout}{logs.stderr}")


def check(entry: dict[str, Any]) -> dict[str, Any]:
    texts = {"asked": "http://backend:8000/metrics", "expected": "samples", "likely_cause": ""}
    return {**texts, **entry, "waiting": False}


def write_report(folder: Path, backend: str) -> Path:
    """The file that the role writes."""
    variables = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "soundcheck_templates": str(ROOT / "templates"),
        "soundcheck_artifacts": str(folder),
        "metric_verification_directory": str(folder),
        "metric_verification_report_window": 3600,
        "metric_catalogue_external_labels": LABELS,
        # As the catalogue's filter gives them: what a legend has in braces is no template.
        "metric_catalogue_dashboards": f"{{{{ lookup('file', '{folder}/dashboards.json') | from_json }}}}",
        "metric_catalogue_questions": QUESTIONS,
        "metrics_endpoint": {"query_url": backend, "read_username": "reader"},
        "metrics_endpoint_read_password": PASSWORD,
        "environment_name": "test",
        # A rate over twenty minutes: it still knows the truth when a busy machine asks late.
        "scrape_interval": "5m",
        "__metric_verification": {"checks": [check(entry) for entry in CHECKS], "seconds": 3.4},
    }
    role = {"name": "metric_verification", "tasks_from": "report", "rolespec_validate": False}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"import_role": role}]}
    (folder / "dashboards.json").write_text(json.dumps(DASHBOARDS), encoding="utf-8")
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    (folder / "vars.json").write_text(json.dumps(variables), encoding="utf-8")
    done = subprocess.run(
        [
            "ansible-playbook",
            "-i",
            "server,",
            "-c",
            "local",
            folder / "play.yml",
            "-e",
            f"@{folder}/vars.json",
            "-vvv",
        ],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    return folder / "server.html"


@pytest.fixture(scope="module")
def report(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), backend)


@pytest.fixture(scope="module")
def browser(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    try:
        chromium.resize(1280, 800)
        chromium.open(report.as_uri())
        yield chromium
    finally:
        chromium.close()


def shown(browser: Chromium, identity: str) -> str:
    """The text of a panel."""
    return str(browser.evaluate(f"document.getElementById('{identity}').innerText"))


def test_nothing_is_complained_about_and_nothing_is_fetched(browser: Chromium, report: Path) -> None:
    assert browser.complaints() == []
    assert set(browser.requests()) == {report.as_uri()}


def test_every_panel_is_drawn_or_says_why_not(browser: Chromium) -> None:
    drawn = browser.evaluate(
        """Object.fromEntries([...document.querySelectorAll('.panel')].map(panel => {
          const svg = panel.querySelector('svg'), box = svg && svg.getBoundingClientRect();
          const paths = svg ? [...svg.querySelectorAll('path')].filter(p => p.getBBox().width > 1) : [];
          return [panel.id, svg ? [box.width > 200 && box.height > 50 && paths.length > 0,
                                   svg.getAttribute('aria-label').length > 20] : panel.innerText];
        }))"""
    )
    without = {identity: text for identity, text in drawn.items() if isinstance(text, str)}
    assert len(drawn) == sum(len(entry["panels"]) for entry in DASHBOARDS)
    assert all(drawn[identity] == [True, True] for identity in drawn.keys() - without.keys())
    assert set(without) == {"soundcheck-django-4", "soundcheck-celery-3", "soundcheck-celery-4"}
    assert "No data: no connection was opened yet" in without["soundcheck-django-4"]
    assert "No data: the backend did not answer: HTTP 4" in without["soundcheck-celery-3"]
    assert "No data: every value is NaN" in without["soundcheck-celery-4"]


def test_what_is_shown_is_what_happened(browser: Chromium) -> None:
    """Values of this deployment alone: the other one in the backend has a thousand times more."""
    requests = shown(browser, "soundcheck-django-1").split()
    for view, rate in RATES.items():
        # The values end when Prometheus starts, the rate's window when it is asked.
        assert float(requests[requests.index(view) + 1]) == pytest.approx(rate, rel=0.15)
    bars = browser.evaluate("document.querySelector('#soundcheck-django-5 svg').textContent").split("\n")
    texts = [text.strip() for text in bars if text.strip()]
    assert texts == ["backend", "91.5 %", "celery-beat", "12.2 %"]
    assert "celery-ai\nno data now" in shown(browser, "soundcheck-django-6")
    assert "38 more, drawn thin and grey" in shown(browser, "soundcheck-celery-1")


def test_alerts_and_budget_are_told(browser: Chromium) -> None:
    alerts = shown(browser, "alerts")
    assert "BackendCpuHigh" in alerts
    assert "firing" in alerts
    assert "백엔드 CPU 사용량이 80%를 초과했습니다!" in alerts
    assert "Quiet: DiskUsageHigh" in alerts, "it fires for the other deployment alone"
    assert "django\t183\t183\t1.8%" in shown(browser, "budget")


def test_the_verdict_is_at_the_top_and_a_failure_explains_itself(browser: Chromium) -> None:
    assert "1 of 4 checks failed" in browser.evaluate("document.querySelector('header').innerText")
    assert "expected\nsamples" in shown(browser, "checks")


def test_no_secret_is_in_the_file(report: Path) -> None:
    assert PASSWORD not in report.read_text(encoding="utf-8")


def test_a_backend_that_is_down_leaves_a_report_that_says_so(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    page = write_report(tmp_path, nobody).read_text(encoding="utf-8")
    panels = sum(len(entry["panels"]) for entry in DASHBOARDS)
    assert page.count("the backend did not answer: connection refused") == panels
    assert "The backend tells no alert rules: connection refused." in page


def test_korean_is_more_than_boxes(browser: Chromium) -> None:
    """A font that lacks a script draws the same box for each of its letters."""
    pictures = browser.evaluate(
        """['한', '국'].map(letter => {
          const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
          pen.font = `40px ${getComputedStyle(document.querySelector('.panel svg text')).fontFamily}`;
          pen.fillText(letter, 10, 60);
          return canvas.toDataURL();
        })"""
    )
    assert pictures[0] != pictures[1], "no font of this machine has Korean letters: run `make machine`"


@pytest.mark.parametrize(
    ("picture", "width", "media", "scheme"),
    [
        ("1280", 1280, "screen", "light"),
        ("1280-dark", 1280, "screen", "dark"),
        ("360", 360, "screen", "light"),
        ("print", 794, "print", "light"),
    ],
)
def test_it_fits(browser: Chromium, picture: str, width: int, media: str, scheme: str) -> None:
    """A desk, the same at night, a phone, and paper (A4): nothing is cut, nothing scrolls sideways."""
    browser.resize(width, 800, mobile=width < 500)
    browser.call(
        "Emulation.setEmulatedMedia",
        media=media,
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    browser.screenshot(PICTURES / f"{picture}.png")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    beyond = browser.evaluate(
        """[...document.querySelectorAll('body *')].filter(element => {
          const box = element.getBoundingClientRect();
          const frame = (element.closest('svg') || document.documentElement).getBoundingClientRect();
          return element.tagName !== 'clipPath' && box.width > 0
            && (box.right > frame.right + 1 || box.left < frame.left - 1)
            && (element.tagName === 'text' || !element.closest('svg'));
        }).map(element => element.outerHTML.slice(0, 200))"""
    )
    assert beyond == []
