"""What notification_test makes of the answers of Alertmanager and of both of Grafana's test APIs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from plugins.module_utils import notification_alertmanager as alertmanager
from plugins.module_utils import notification_grafana as grafana
from plugins.module_utils.notification_asking import Answer, client, explained
from plugins.modules.notification_test import ARGUMENTS
from tests.render import Rendering

ALERT = {"labels": {"alertname": "SoundcheckTest"}, "annotations": {"summary": "a test"}}
POINT = {
    "uid": "soundcheck-slack",
    "name": "soundcheck-slack",
    "type": "slack",
    "settings": {"url": "https://hooks.slack.com/services/T1/B1/secret"},
    "disableResolveMessage": False,
}


def page(**counted: tuple[int, int]) -> str:
    """Alertmanager's metrics; kind to attempts and failures."""
    lines = []
    for kind, (total, failed) in counted.items():
        lines += [
            f'alertmanager_notification_requests_total{{integration="{kind}"}} {total}',
            f'alertmanager_notification_requests_failed_total{{integration="{kind}"}} {failed}',
        ]
    return "\n".join(["alertmanager_alerts 3", *lines, ""])


class Alertmanager:
    """Answers of Alertmanager: its metrics in turn, the last one ever after."""

    def __init__(self, *pages: Answer, post: Answer | None = None) -> None:
        self.pages = list(pages)
        self.post = post or Answer(200)
        self.posted: list[Any] = []

    def __call__(self, method: str, path: str, body: Any) -> Answer:
        if (method, path) == ("POST", "/api/v2/alerts"):
            self.posted.append(body)
            return self.post
        assert (method, path) == ("GET", "/metrics")
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


def through(ask: Alertmanager, *kinds: str, log: str = "", timeout: float = 0.2) -> list[str]:
    found = alertmanager.outcomes(ask, kinds, ALERT, timeout, lambda since: log)
    return [str(outcome) for outcome in found]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "POLL_SECONDS", 0.01)


def test_an_attempt_without_a_failure_is_a_delivery() -> None:
    ask = Alertmanager(
        Answer(200, page(slack=(4, 2), email=(0, 0))),
        Answer(200, page(slack=(4, 2), email=(1, 0))),
        Answer(200, page(slack=(5, 2), email=(1, 0))),
    )

    assert through(ask, "email", "slack") == [
        f"soundcheck-email: ok - {alertmanager.TOLD}",
        f"soundcheck-slack: ok - {alertmanager.TOLD}",
    ]
    [[alert]] = ask.posted
    assert alert["labels"]["alertname"] == "SoundcheckTest"
    assert alert["labels"][alertmanager.TEST_LABEL]
    lasts = datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["startsAt"])
    assert lasts == alertmanager.LASTS


LOG = r"""
level=WARN msg="Notify attempt failed, will retry later" receiver=soundcheck-email err="dial tcp: refused"
level=ERROR msg="Notify for alerts failed" err="soundcheck-slack/slack[0]: channel \"\": 404: no_service"
level=ERROR msg="Notify for alerts failed" num_alerts=1
"""


@pytest.mark.parametrize(
    ("kind", "log", "answer"),
    [
        ("slack", LOG, 'soundcheck-slack/slack[0]: channel "": 404: no_service'),
        ("email", LOG, "dial tcp: refused"),
        ("discord", LOG, alertmanager.UNTOLD),
        ("slack", "", alertmanager.UNTOLD),
    ],
)
def test_a_failed_attempt_names_its_channel_and_the_reason(kind: str, log: str, answer: str) -> None:
    """Also while Alertmanager tries again."""
    ask = Alertmanager(Answer(200, page(**{kind: (7, 3)})), Answer(200, page(**{kind: (9, 4)})))

    assert through(ask, kind, log=log) == [f"soundcheck-{kind}: FAILED - {answer}"]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (
            Alertmanager(Answer(200, page(slack=(1, 0)))),
            "no attempt within 0.2 s: is the contact point deployed?",
        ),
        (Alertmanager(Answer(200, "alertmanager_alerts 3\n")), "no attempt within 0.2 s"),
        (Alertmanager(Answer(401, "Unauthorized")), "Alertmanager's metrics cannot be read: HTTP 401"),
        (
            Alertmanager(Answer(0, problem="Connection refused")),
            "Alertmanager's metrics cannot be read: Connec",
        ),
        (Alertmanager(Answer(200, "<html>")), "Alertmanager's metrics cannot be read: line 1"),
        (
            Alertmanager(Answer(200, page()), post=Answer(400, '{"message": "bad label"}')),
            "Alertmanager did not take the alert: HTTP 400: bad label",
        ),
    ],
)
def test_what_keeps_a_message_from_being_sent_is_said(ask: Alertmanager, expected: str) -> None:
    [line] = through(ask, "slack")
    assert line.startswith(f"soundcheck-slack: FAILED - {expected}")


def test_a_page_that_fails_meanwhile_is_asked_again() -> None:
    ask = Alertmanager(
        Answer(200, page(slack=(0, 0))), Answer(0, problem="reset"), Answer(200, page(slack=(1, 0)))
    )
    assert through(ask, "slack") == [f"soundcheck-slack: ok - {alertmanager.TOLD}"]


def test_the_label_of_a_test_is_the_one_that_the_configuration_routes() -> None:
    [tests, *_others] = Rendering(settings={"contact_points": {"slack": {}}}).value(
        "contact_points_alertmanager"
    )["route"]["routes"]
    assert tests["matchers"] == [f'{alertmanager.TEST_LABEL}!=""']


# --- Grafana ----------------------------------------------------------------------------------------------


def old_result(status: str, error: str = "") -> str:
    """As Grafana 9 to 12 answer."""
    config = {"name": "soundcheck-slack", "uid": "", "status": status, "error": error}
    receivers = [{"name": "soundcheck-slack", "grafana_managed_receiver_configs": [config]}]
    return json.dumps({"alert": ALERT, "receivers": receivers, "notified_at": "2026-11-24T17:00:00Z"})


GONE = Answer(410, '{"message": "this endpoint is gone"}')
SETTINGS = Answer(200, '{"namespace": "stacks-1234", "buildInfo": {"version": "13.1.0"}}')
REPORTS = [
    # up to 12
    ([Answer(200, old_result("ok"))], f"ok - {grafana.TOLD}"),
    ([Answer(207, old_result("failed", "404 no_service"))], "FAILED - 404 no_service"),
    ([Answer(400, old_result("failed", "invalid URL"))], "FAILED - invalid URL"),
    ([Answer(408, old_result("failed"))], "FAILED - status failed"),
    ([Answer(400, '{"message": "bad request data"}')], "FAILED - HTTP 400: bad request data"),
    ([Answer(200, "<html>")], "FAILED - HTTP 200"),
    ([Answer(200, '{"receivers": []}')], "FAILED - HTTP 200"),
    (
        [Answer(401, '{"message": "Invalid API key"}')],
        "FAILED - Grafana does not know the token: vault_grafana_token",
    ),
    (
        [Answer(403, "{}")],
        "FAILED - the service account may not test contact points: give it the role Editor",
    ),
    ([Answer(0, problem="no answer within 60 s")], "FAILED - no answer within 60 s"),
    ([Answer(502, "<html>")], "FAILED - HTTP 502"),
    # from 13 on
    ([GONE, SETTINGS, Answer(200, '{"status": "success", "duration": "12ms"}')], f"ok - {grafana.TOLD}"),
    ([GONE, SETTINGS, Answer(200, '{"status": "failure", "error": "no_service"}')], "FAILED - no_service"),
    ([GONE, SETTINGS, Answer(403, '{"message": "forbidden"}')], "FAILED - the service account may not test"),
    ([GONE, SETTINGS, Answer(404, "{}")], "FAILED - this Grafana has no API to test contact points"),
    ([GONE, SETTINGS, Answer(500, '{"message": "boom"}')], "FAILED - HTTP 500: boom"),
    ([GONE, Answer(200, "{}")], "FAILED - this Grafana does not tell its namespace"),
]


@pytest.mark.parametrize(("answers", "expected"), REPORTS, ids=lambda value: str(value)[:50])
def test_what_grafana_answers_is_told(answers: list[Answer], expected: str) -> None:
    left = list(answers)
    [outcome] = grafana.outcomes(lambda *_asked: left.pop(0), [POINT], ALERT)

    assert str(outcome).startswith(f"soundcheck-slack: {expected}")
    assert left == []


def test_both_generations_are_asked_with_their_own_paths_and_bodies() -> None:
    asked: list[tuple[str, str, Any]] = []
    left = [GONE, SETTINGS, Answer(200, '{"status": "success"}')]

    def ask(method: str, path: str, body: Any) -> Answer:
        asked.append((method, path, body))
        return left.pop(0)

    grafana.outcomes(ask, [POINT], ALERT)

    integration = {"type": "slack", "settings": POINT["settings"], "disableResolveMessage": False}
    configs = [{"name": "soundcheck-slack", **integration}]
    assert asked == [
        (
            "POST",
            "/api/alertmanager/grafana/config/api/v1/receivers/test",
            {
                "receivers": [{"name": "soundcheck-slack", "grafana_managed_receiver_configs": configs}],
                "alert": ALERT,
            },
        ),
        ("GET", "/api/frontend/settings", None),
        (
            "POST",
            "/apis/notifications.alerting.grafana.app/v1beta1/namespaces/stacks-1234/receivers/-/test",
            {"integration": {**integration, "version": "v1"}, "alert": ALERT},
        ),
    ]


# --- the client -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Answers with what it was asked; 404 below /missing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = {
                "authorization": self.headers["Authorization"],
                "type": self.headers["Content-Type"],
                "body": body,
            }
            answer = json.dumps({"message": "not here"} if self.path == "/missing" else told).encode()
            self.send_response(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield int(running.server_address[1])
        running.shutdown()


def test_a_request_carries_its_authorization_and_json(server: int) -> None:
    answer = client(f"http://127.0.0.1:{server}/", "Bearer t", 5, direct=True)("POST", "/x", {"a": 1})
    assert answer.json == {"authorization": "Bearer t", "type": "application/json", "body": '{"a": 1}'}


def test_an_answer_that_is_an_error_is_explained(server: int) -> None:
    answer = client(f"http://127.0.0.1:{server}", "Bearer t", 5, direct=True)("POST", "/missing", {})
    assert explained(answer) == "HTTP 404: not here"


def test_a_server_that_is_not_there_is_a_problem_without_its_address() -> None:
    answer = client("http://127.0.0.1:1/secret", "Bearer t", 5, direct=True)("GET", "/x", None)
    assert answer.status == 0
    assert "refused" in explained(answer)
    assert "secret" not in explained(answer)


# --- as the role calls it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_the_role_gives_what_the_module_takes(locale: str) -> None:
    rendering = Rendering(
        settings={"locale": locale, "contact_points": {"slack": {}, "telegram": {"chat_id": 5}}}
    )
    spec: dict[str, dict[str, Any]] = ARGUMENTS["contact_points"]["options"]
    for point in rendering.value("contact_points_grafana"):
        assert set(point) <= set(spec)
        assert {name for name, option in spec.items() if option.get("required")} <= set(point)
    assert spec["settings"]["no_log"] is True
    alert = rendering.value("_contact_points_test_alert")
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"en": "test message", "ko": "시험 메시지"}[locale] in alert["annotations"]["summary"]
