"""Stand-ins for Slack, Discord and Telegram, built from their official documentation, and a real SMTP server.

What each service would refuse is refused here, with its answer: Slack's incoming webhooks and attachments
(docs.slack.dev: messaging/sending-messages-using-incoming-webhooks), Discord's Execute Webhook and its limits
(docs.discord.com: resources/webhook, resources/message#embed-object-embed-limits) and Telegram's sendMessage
(core.telegram.org/bots/api#sendmessage). What passes here says nothing of anybody's accounts.
"""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

# The secrets that the stand-ins know. All others are refused as the services refuse them.
SLACK_PATH = "/services/T024BE7LD/B0451K5QN/a-secret-of-slack"
DISCORD_PATH = "/api/webhooks/118273645546738291/a-secret-of-discord"
TELEGRAM_TOKEN = "7214365809:AA-a-secret-of-telegram-0123456789"
TELEGRAM_CHAT = -1001234567890
SMTP_USER = "alerts"
SMTP_PASSWORD = "a-secret-of-the-mail-server"


@dataclass
class Received:
    """A message as a reader sees it."""

    kind: str
    title: str
    text: str
    at: float = field(default_factory=time.monotonic, compare=False)


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass
class Receivers:
    """The running servers, what they took and what they refused."""

    address: str = "127.0.0.1"
    http_port: int = 0
    smtp_port: int = 0
    taken: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Received]:
        return [message for message in self.taken if message.kind == kind]

    @property
    def log_in(self) -> bool:
        """Whether mail needs a password, which Alertmanager gives without TLS to localhost alone."""
        return self.address == "127.0.0.1"

    def settings(self) -> dict[str, Any]:
        """An inventory whose services they are, and which waits as little as Alertmanager permits."""
        web = f"http://{self.address}:{self.http_port}"
        smtp = {"host": self.address, "port": self.smtp_port, "from": "alerts@music.test", "tls": False}
        user = {"username": SMTP_USER} if self.log_in else {}
        return {
            "contact_points": {
                "email": {
                    "addresses": ["ops@music.test", "dev@music.test"],
                    "smtp": {**smtp, **user},
                },
                "slack": {},
                "discord": {},
                "telegram": {"chat_id": TELEGRAM_CHAT, "api_url": web},
            },
            "contact_points_group_wait": "1s",
            "contact_points_group_interval": "5s",
            "vault_slack_webhook_url": web + SLACK_PATH,
            "vault_discord_webhook_url": web + DISCORD_PATH,
            "vault_telegram_bot_token": TELEGRAM_TOKEN,
            "vault_smtp_password": SMTP_PASSWORD,
        }

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition became true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


# --- rules of the services ----------------------------------------------------------------------------------


def length(value: object) -> int:
    """Discord and Telegram count UTF-16 code units; a character outside the basic plane is two."""
    return len(str(value).encode("utf-16-le")) // 2


def slack(path: str, body: Any) -> tuple[Answer, Received | str]:
    def refuse(status: int, word: str) -> tuple[Answer, str]:
        return Answer(status, word.encode(), "text/plain"), word

    if path != SLACK_PATH:
        return refuse(404, "no_service")
    if not isinstance(body, dict):
        return refuse(400, "invalid_payload")
    attachments = body.get("attachments", [])
    if not (body.get("text") or body.get("blocks") or attachments):
        return refuse(400, "no_text")
    if not isinstance(attachments, list) or not all(isinstance(entry, dict) for entry in attachments):
        return refuse(400, "invalid_attachments")
    if len(attachments) > 100:
        return refuse(400, "too_many_attachments")
    texts = ("text", "pretext", "fallback", "title", "title_link", "color", "footer")
    if any(not isinstance(entry.get(name, ""), str) for entry in attachments for name in texts):
        return refuse(400, "invalid_attachments")
    shown = "\n".join([str(body.get("text", "")), *(entry.get("text", "") for entry in attachments)])
    if len(shown) > 40000:
        return refuse(400, "msg_too_long")
    title = attachments[0].get("title", "") if attachments else ""
    return Answer(200, b"ok", "text/plain"), Received("slack", title, shown.strip())


def discord(path: str, body: Any) -> tuple[Answer, Received | str]:
    def refuse(status: int, code: int, message: str) -> tuple[Answer, str]:
        return Answer(status, json.dumps({"code": code, "message": message}).encode()), message

    if path != DISCORD_PATH:
        return refuse(401, 50027, "Invalid Webhook Token")
    if not isinstance(body, dict):
        return refuse(400, 50109, "The request body contains invalid JSON.")
    content, embeds = body.get("content") or "", body.get("embeds") or []
    if not content and not embeds:
        return refuse(400, 50006, "Cannot send an empty message")
    if length(content) > 2000 or not isinstance(embeds, list) or len(embeds) > 10:
        return refuse(400, 50035, "Invalid Form Body: content or embeds")
    limits = {"title": 256, "description": 4096}
    total = 0
    for embed in embeds:
        fields = embed.get("fields") or []
        parts = [
            embed.get("title", ""),
            embed.get("description", ""),
            embed.get("footer", {}).get("text", ""),
        ]
        parts += [text for entry in fields for text in (entry.get("name", ""), entry.get("value", ""))]
        total += sum(length(part) for part in parts)
        broken = [name for name, limit in limits.items() if length(embed.get(name, "")) > limit]
        broken += ["fields"] if len(fields) > 25 else []
        broken += [
            "field"
            for entry in fields
            if not (0 < length(entry.get("name", "")) <= 256 and 0 < length(entry.get("value", "")) <= 1024)
        ]
        if broken or not isinstance(embed.get("color", 0), int):
            return refuse(400, 50035, f"Invalid Form Body: {', '.join(broken) or 'color'}")
    if total > 6000:
        return refuse(400, 50035, "Invalid Form Body: embeds of more than 6000 characters")
    title = embeds[0].get("title", "") if embeds else ""
    text = "\n".join([content, *(embed.get("description", "") for embed in embeds)]).strip()
    return Answer(204, b""), Received("discord", title, text)


def telegram(path: str, body: Any) -> tuple[Answer, Received | str]:
    def refuse(status: int, description: str) -> tuple[Answer, str]:
        answer = {"ok": False, "error_code": status, "description": description}
        return Answer(status, json.dumps(answer).encode()), description

    if path != f"/bot{TELEGRAM_TOKEN}/sendMessage":
        return refuse(401, "Unauthorized")
    text = body.get("text", "") if isinstance(body, dict) else ""
    if not text:
        return refuse(400, "Bad Request: message text is empty")
    if str(body.get("chat_id")) != str(TELEGRAM_CHAT):
        return refuse(400, "Bad Request: chat not found")
    if body.get("parse_mode", "") not in {"", "HTML", "Markdown", "MarkdownV2"}:
        return refuse(400, "Bad Request: unsupported parse_mode")
    if length(text) > 4096:
        return refuse(400, "Bad Request: message is too long")
    result = {"message_id": 1, "date": 1, "chat": {"id": TELEGRAM_CHAT, "type": "group"}, "text": text}
    title, _, rest = text.partition("\n")
    return Answer(200, json.dumps({"ok": True, "result": result}).encode()), Received(
        "telegram", title, rest.strip()
    )


def service_of(path: str) -> Callable[[str, Any], tuple[Answer, Received | str]] | None:
    if path.startswith("/services/"):
        return slack
    if path.startswith("/api/webhooks/"):
        return discord
    return telegram if path.startswith("/bot") else None


# --- servers ----------------------------------------------------------------------------------------------


def http_handler(receivers: Receivers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service = service_of(self.path)
            kind = service.__name__ if service else "nobody"
            if service is None:
                answer, outcome = Answer(404, b"{}"), cast(Received | str, "unknown path")
            elif self.headers.get_content_type() != "application/json":
                answer, outcome = Answer(415, b"{}"), f"content type {self.headers.get_content_type()}"
            else:
                answer, outcome = service(self.path, parsed(raw))
            if isinstance(outcome, Received):
                receivers.taken.append(outcome)
            else:
                receivers.refused.append(f"{kind}: {outcome}")
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests read what was taken and refused."""

    return Handler


def parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


class Mailbox:
    """Takes every mail of a session that logged in, where it has to."""

    def __init__(self, receivers: Receivers) -> None:
        self.receivers = receivers

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        raw = cast(bytes, envelope.content)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        body = message.get_body(("plain",))
        if body is None or not message["Subject"] or not message["From"] or not message["To"]:
            self.receivers.refused.append("email: a mail without subject, sender, recipient or text")
            return "550 this is no mail"
        text = str(body.get_content()).replace("\r\n", "\n").strip()
        self.receivers.taken.append(Received("email", str(message["Subject"]), text))
        return "250 Message accepted for delivery"


def authenticator(receivers: Receivers) -> Callable[..., AuthResult]:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        expected = LoginPassword(SMTP_USER.encode(), SMTP_PASSWORD.encode())
        if data != expected:
            receivers.refused.append("email: authentication failed")
        return AuthResult(success=data == expected, handled=False)

    return check


@contextmanager
def running(address: str = "127.0.0.1", http_port: int = 0) -> Iterator[Receivers]:
    """All four on an address of this machine, and on free ports where none is given."""
    receivers = Receivers(address)
    web = ThreadingHTTPServer((address, http_port), http_handler(receivers))
    receivers.http_port = web.server_address[1]
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    mail = Controller(
        Mailbox(receivers),
        hostname=address,
        port=free_port(address),
        authenticator=authenticator(receivers),
        auth_required=receivers.log_in,
        # Its LOGIN asks for a "User Name", which Alertmanager, used to "Username:", does not answer.
        auth_exclude_mechanism=["LOGIN"],
        auth_require_tls=False,
    )
    mail.start()
    receivers.smtp_port = mail.port
    try:
        yield receivers
    finally:
        mail.stop()
        web.shutdown()
        web.server_close()
        thread.join()


def free_port(address: str) -> int:
    with ThreadingHTTPServer((address, 0), BaseHTTPRequestHandler) as probe:
        return int(probe.server_address[1])
