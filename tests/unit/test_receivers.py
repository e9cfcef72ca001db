"""The stand-ins refuse what the services refuse; one that took everything would prove nothing."""

from __future__ import annotations

import http.client
import json
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from tests import receivers as stand_ins
from tests.receivers import DISCORD_PATH, SLACK_PATH, TELEGRAM_CHAT, TELEGRAM_TOKEN, Receivers

TELEGRAM_PATH = f"/bot{TELEGRAM_TOKEN}/sendMessage"
SLACK = {"attachments": [{"title": "t", "text": "x"}]}
DISCORD: dict[str, Any] = {"embeds": [{"title": "t", "description": "x"}]}
TELEGRAM = {"chat_id": str(TELEGRAM_CHAT), "text": "t\n\nx"}

REFUSED: list[tuple[str, Any, int, str]] = [
    (SLACK_PATH + "x", SLACK, 404, "slack: no_service"),
    (SLACK_PATH, {}, 400, "slack: no_text"),
    (SLACK_PATH, [], 400, "slack: invalid_payload"),
    (SLACK_PATH, {"attachments": ["x"]}, 400, "slack: invalid_attachments"),
    (SLACK_PATH, {"attachments": [{"text": "x" * 40001}]}, 400, "slack: msg_too_long"),
    (DISCORD_PATH + "x", DISCORD, 401, "discord: Invalid Webhook Token"),
    (DISCORD_PATH, {"content": ""}, 400, "discord: Cannot send an empty message"),
    (DISCORD_PATH, {"content": "x" * 2001}, 400, "discord: Invalid Form Body"),
    (DISCORD_PATH, {"embeds": [{"title": "x" * 257}]}, 400, "discord: Invalid Form Body: title"),
    (
        DISCORD_PATH,
        {"embeds": [{"description": "가" * 4097}]},
        400,
        "discord: Invalid Form Body: description",
    ),
    (DISCORD_PATH, {"embeds": [{"fields": [{"name": "a", "value": ""}]}]}, 400, "discord: Invalid Form Body"),
    (
        DISCORD_PATH,
        {"embeds": [{"description": "x" * 4000}] * 2},
        400,
        "discord: Invalid Form Body: embeds of",
    ),
    ("/bot1:wrong/sendMessage", TELEGRAM, 401, "telegram: Unauthorized"),
    (TELEGRAM_PATH, {**TELEGRAM, "chat_id": "1"}, 400, "telegram: Bad Request: chat not found"),
    (TELEGRAM_PATH, {**TELEGRAM, "text": ""}, 400, "telegram: Bad Request: message text is empty"),
    (TELEGRAM_PATH, {**TELEGRAM, "text": "가" * 4097}, 400, "telegram: Bad Request: message is too long"),
    (TELEGRAM_PATH, {**TELEGRAM, "parse_mode": "None"}, 400, "telegram: Bad Request: unsupported parse_mode"),
    ("/elsewhere", {}, 404, "nobody: unknown path"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Receivers]:
    with stand_ins.running() as receivers:
        yield receivers


def post(
    receivers: Receivers, path: str, body: Any, content_type: str = "application/json"
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", receivers.http_port, timeout=10)
    connection.request("POST", path, json.dumps(body), {"Content-Type": content_type})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(SLACK_PATH, SLACK, 200), (DISCORD_PATH, DISCORD, 204), (TELEGRAM_PATH, TELEGRAM, 200)],
)
def test_a_message_in_the_documented_form_is_taken(
    running: Receivers, path: str, body: Any, status: int
) -> None:
    assert post(running, path, body)[0] == status
    assert (running.taken[-1].title, running.taken[-1].text) == ("t", "x")


@pytest.mark.parametrize(("path", "body", "status", "expected"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_a_service_refuses_is_refused(
    running: Receivers, path: str, body: Any, status: int, expected: str
) -> None:
    before = len(running.taken)

    assert post(running, path, body)[0] == status
    assert running.refused[-1].startswith(expected)
    assert len(running.taken) == before


def test_a_form_is_not_json(running: Receivers) -> None:
    assert post(running, SLACK_PATH, SLACK, "application/x-www-form-urlencoded")[0] == 415


def mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "t", "a@example.org", "b@example.org"
    message.set_content("x")
    return message


def test_mail_needs_the_password(running: Receivers) -> None:
    with smtplib.SMTP("127.0.0.1", running.smtp_port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(stand_ins.SMTP_USER, "wrong")
        with pytest.raises(smtplib.SMTPResponseException):
            client.send_message(mail())
        client.login(stand_ins.SMTP_USER, stand_ins.SMTP_PASSWORD)
        client.send_message(mail())
    assert (running.taken[-1].kind, running.taken[-1].title, running.taken[-1].text) == ("email", "t", "x")


def test_mail_from_elsewhere_needs_none() -> None:
    with stand_ins.running("127.0.0.2") as receivers:
        with smtplib.SMTP("127.0.0.2", receivers.smtp_port, timeout=10) as client:
            client.send_message(mail())
        point = receivers.settings()["contact_points"]["email"]

    assert [message.title for message in receivers.taken] == ["t"]
    assert "username" not in point["smtp"]
