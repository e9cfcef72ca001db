"""Alerts through the real Alertmanager of images/alertmanager, as it is deployed, to every channel.

Slack, Discord and Telegram are the stand-ins of tests/receivers.py; the mail server is a real one. The image
comes from `make images`, and its container runs on the network of this machine.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils.compose_files import WantedFile, write
from tests import receivers as stand_ins
from tests.receivers import Receivers, free_port
from tests.render import ROOT, SECRETS, Rendering

KINDS = ("email", "slack", "discord", "telegram")
PROJECT = "soundcheck-test-notifications"
ALERT: dict[str, Any] = {
    "labels": {
        "alertname": "Backend CPU High",
        "severity": "critical",
        "host": "music-1",
        "environment": "production",
    },
    "annotations": {
        "summary": "Backend CPU above 80 % & rising <now>",
        "description": "백엔드 CPU 사용량이 80%를 초과했습니다!",
        "runbook": "Look at `docker stats`; app_stack_backend_workers has more.",
    },
}
# What the reader of each language sees.
WORDS = {
    "en": {"firing": "FIRING", "resolved": "RESOLVED", "runbook": "What to do: ", "until": "Until: "},
    "ko": {"firing": "발생", "resolved": "해소", "runbook": "조치: ", "until": "종료: "},
}


@dataclass
class Alertmanager:
    """A running container."""

    name: str
    port: int
    receivers: Receivers
    health: list[str]

    def request(self, path: str, body: Any = None, authorized: bool = True) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if authorized:
            password = SECRETS["vault_metrics_read_password"]
            request.add_header(
                "Authorization", "Basic " + base64.b64encode(f"reader:{password}".encode()).decode()
            )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=10
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def post(self, *alerts: dict[str, Any], ended: bool = False) -> None:
        now = datetime.now(UTC)
        span = (now - timedelta(minutes=1), now) if ended else (now, now + timedelta(minutes=5))
        times = {"startsAt": span[0].isoformat(), "endsAt": span[1].isoformat()}
        assert self.request("/api/v2/alerts", [{**alert, **times} for alert in alerts]) == 200

    def logs(self) -> str:
        return docker("logs", self.name)


def settings(receivers: Receivers, locale: str) -> dict[str, Any]:
    """An inventory whose services are the stand-ins, and whose Telegram takes critical alerts alone."""
    found = receivers.settings()
    found["contact_points"]["telegram"]["severities"] = ["critical"]
    return {"locale": locale, **found}


def docker(*arguments: str) -> str:
    """Output of a command that has to succeed, of both streams."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def image(name: str) -> str:
    references = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"soundcheck/{name}").split()
    assert references, f"no image soundcheck/{name}: run `make images` first"
    return references[0]


def lay_out(rendering: Rendering, folder: Path) -> dict[str, Any]:
    """Write the files of both services with their modes and owners; returns the compose file's services."""
    files = rendering.project("telemetry")
    for entry in rendering.entries("telemetry"):
        if entry["path"].startswith(("alertmanager/", "metrics-backend/")):
            options = {key: entry[key] for key in ("mode", "owner", "group") if key in entry}
            write(str(folder / entry["path"]), WantedFile(entry["path"], files[entry["path"]], **options))
    services: dict[str, Any] = yaml.safe_load(files["docker-compose.prod.yml"])["services"]
    return services


@contextmanager
def alertmanager(folder: Path, locale: str, **changes: Any) -> Iterator[Alertmanager]:
    """The service as the compose file describes it, with another port."""
    with stand_ins.running() as receivers:
        rendering = Rendering(settings={**settings(receivers, locale), **changes})
        service = lay_out(rendering, folder)["alertmanager"]
        port = free_port("127.0.0.1")
        running = Alertmanager(f"{PROJECT}-{port}", port, receivers, service["healthcheck"]["test"][1:])
        command = [argument for argument in service["command"] if "web.listen-address" not in argument]
        labels = {"com.docker.compose.project": running.name, "com.docker.compose.service": "alertmanager"}
        try:
            docker(
                *(
                    "run",
                    "--detach",
                    f"--name={running.name}",
                    "--network=host",
                    "--read-only",
                    "--cap-drop=ALL",
                ),
                *(
                    f"--memory={service['deploy']['resources']['limits']['memory']}",
                    f"--user={service['user']}",
                ),
                *(f"--label={name}={value}" for name, value in labels.items()),
                f"--volume={folder}/alertmanager:/etc/alertmanager:ro",
                *(image("alertmanager"), *command, f"--web.listen-address=127.0.0.1:{running.port}"),
            )
            if not receivers.wait(lambda: running.request("/-/ready") == 200, 30):
                pytest.fail(f"Alertmanager did not become ready:\n{running.logs()}")
            yield running
        finally:
            subprocess.run(["docker", "rm", "-fv", running.name], capture_output=True, check=False)


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_an_alert_and_its_end_reach_every_channel(tmp_path: Path, locale: str) -> None:
    """G4, G3: alert, severity, texts, runbook, host, environment and link, in the chosen language."""
    words = WORDS[locale]
    with alertmanager(tmp_path, locale) as running:
        took = running.receivers
        running.post(ALERT)
        assert took.wait(lambda: all(len(took.of(kind)) == 1 for kind in KINDS), 30), (took, running.logs())
        running.post(ALERT, ended=True)
        assert took.wait(lambda: all(len(took.of(kind)) == 2 for kind in KINDS), 40), (took, running.logs())
        logs = running.logs()

    assert took.refused == []
    for kind in KINDS:
        firing, resolved = took.of(kind)
        what = "Backend CPU High (critical) - music-1 (production)"
        assert firing.title == f"[{words['firing']}:1] {what}", kind
        assert resolved.title == f"[{words['resolved']}] {what}", kind
        summary = ALERT["annotations"]["summary"]
        if kind == "slack":
            summary = summary.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for message, status in ((firing, "firing"), (resolved, "resolved")):
            assert message.text.startswith(f"{words[status]}: {summary}\n"), kind
            assert ALERT["annotations"]["description"] in message.text, kind
            assert words["runbook"] + ALERT["annotations"]["runbook"] in message.text, kind
            assert "music-1 (production)" in message.text, kind
            assert "http://127.0.0.1:9093/#/alerts" in message.text, kind
            assert (words["until"] in message.text) == (status == "resolved"), kind
    assert not [secret for secret in secrets_of(took) if secret in logs]


def test_each_severity_reaches_those_that_take_it(tmp_path: Path) -> None:
    """A warning, and an alert that says nothing of its severity, spare Telegram."""
    labels = {name: value for name, value in ALERT["labels"].items() if name != "severity"}
    warning = {**ALERT, "labels": {**labels, "severity": "warning", "alertname": "Disk"}}
    unknown = {**ALERT, "labels": {**labels, "alertname": "Unknown"}}
    others = [kind for kind in KINDS if kind != "telegram"]
    with alertmanager(tmp_path, "en") as running:
        took = running.receivers
        running.post(warning, unknown, ALERT)
        assert took.wait(lambda: all(len(took.of(kind)) == 3 for kind in others), 30), (took, running.logs())
        assert took.wait(lambda: len(took.of("telegram")) == 1, 10), running.logs()

    assert took.of("telegram")[0].title.startswith("[FIRING:1] Backend CPU High")
    assert took.refused == []


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_many_long_alerts_fit_into_every_channel(tmp_path: Path, locale: str) -> None:
    """None is refused for its length, and a message that leaves alerts out says so."""
    long = dict.fromkeys(ALERT["annotations"], "가나다라 & <마바사> " * 60)
    labels = {**ALERT["labels"], "host": "h" * 200}
    alerts = [{"labels": {**labels, "service": str(n)}, "annotations": long} for n in range(25)]
    with alertmanager(tmp_path, locale) as running:
        took = running.receivers
        running.post(*alerts)
        assert took.wait(lambda: all(took.of(kind) for kind in KINDS), 30), (took, running.logs())
        logs = running.logs()

    assert took.refused == []
    assert "Truncated" not in logs
    for kind, shown in (("email", 20), ("slack", 6), ("discord", 3), ("telegram", 3)):
        message = took.of(kind)[0]
        assert message.text.count(WORDS[locale]["runbook"]) == shown, kind
        last = message.text.splitlines()[-1]
        assert "25" in last, kind
        assert str(shown) in last, kind


def test_the_api_is_closed_and_the_health_check_has_its_key(tmp_path: Path) -> None:
    """T12"""
    with alertmanager(tmp_path, "en") as running:
        assert running.request("/api/v2/status", authorized=False) == 401
        assert running.request("/metrics", authorized=False) == 401
        assert running.request("/api/v2/status") == 200
        health = [argument.replace(":9093", f":{running.port}") for argument in running.health]
        docker("exec", running.name, *health)
        with pytest.raises(AssertionError, match="401"):
            docker("exec", running.name, *[argument for argument in health if "http.config" not in argument])


# Prometheus knows its Alertmanager some seconds after its start, and sends an alert again after a minute.
RULES = """
groups:
  - name: test
    rules:
      - alert: Backend CPU High
        expr: vector(1) > 0
        for: 10s
        labels: {severity: critical, host: music-1, environment: production}
        annotations: {summary: It is high., description: It fires., runbook: Look at it.}
"""


def test_an_alert_of_the_embedded_prometheus_arrives(tmp_path: Path) -> None:
    """Both services as the compose file describes them, after the check of the deploy."""
    network = f"{PROJECT}-{free_port('127.0.0.1')}"
    docker("network", "create", network)
    try:
        gateway = json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"][0]["Gateway"]
        with stand_ins.running(gateway) as took:
            rendering = Rendering(
                settings={
                    "contact_points": {"slack": {}},
                    "contact_points_group_wait": "1s",
                    "vault_slack_webhook_url": f"http://{gateway}:{took.http_port}{stand_ins.SLACK_PATH}",
                    "metrics_backend_evaluation_interval": "1s",
                    "telemetry_directory": str(tmp_path),
                    "ansible_check_mode": False,
                }
            )
            services = lay_out(rendering, tmp_path)
            images = {
                services["alertmanager"]["image"]: image("alertmanager"),
                services["metrics-backend"]["image"]: image("prometheus"),
            }
            for check in rendering.value("metrics_backend_checks"):
                argv = [part.replace("{staging}", str(tmp_path)) for part in check["argv"]]
                docker(*[images.get(part, part) for part in argv[1:]])
            # In place of the catalogue's rules, an alert that always fires.
            (tmp_path / "metrics-backend" / "rules" / "soundcheck.yml").write_text(RULES, encoding="utf-8")
            # Their data lie in the volumes that the images declare.
            for name, program in (("alertmanager", "alertmanager"), ("metrics-backend", "prometheus")):
                service = services[name]
                mounts = [mount for mount in service["volumes"] if mount.startswith("/")]
                docker(
                    *("run", "--detach", f"--name={network}-{name}", f"--network={network}"),
                    *(
                        f"--network-alias={name}",
                        "--read-only",
                        "--cap-drop=ALL",
                        f"--user={service['user']}",
                    ),
                    *(f"--volume={mount}" for mount in mounts),
                    *(image(program), *service["command"]),
                )
            arrived = took.wait(lambda: bool(took.of("slack")), 40)
            logs = [docker("logs", f"{network}-{name}") for name in ("alertmanager", "metrics-backend")]
            assert arrived, (took.refused, logs)
            assert (
                took.of("slack")[0].title == "[FIRING:1] Backend CPU High (critical) - music-1 (production)"
            )
    finally:
        for name in ("alertmanager", "metrics-backend"):
            subprocess.run(["docker", "rm", "-fv", f"{network}-{name}"], capture_output=True, check=False)
        docker("network", "rm", network)


def sent_by_the_module(running: Alertmanager, took: Receivers) -> dict[str, Any]:
    """What the module notification_test returns, called as Ansible calls a module."""
    rendering = Rendering(settings=settings(took, "en"))
    arguments = {
        "service": "alertmanager",
        "url": f"http://127.0.0.1:{running.port}",
        "username": "reader",
        "password": SECRETS["vault_metrics_read_password"],
        "contact_points": rendering.value("contact_points_grafana"),
        "alert": {"labels": ALERT["labels"], "annotations": {"summary": "This is a test message"}},
        "timeout": 30,
        "project": running.name,
    }
    code = (
        "import ansible.module_utils, runpy; ansible.module_utils.__path__.append('plugins/module_utils');"
        "runpy.run_path('plugins/modules/notification_test.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    shown = json.dumps({name: value for name, value in result.items() if name != "invocation"})
    assert not [secret for secret in secrets_of(took) if secret in shown]
    return result


def secrets_of(took: Receivers) -> list[str]:
    found = settings(took, "en")
    return [str(value) for name, value in found.items() if name.startswith("vault_")]


def test_a_test_message_is_delivered_by_every_channel(tmp_path: Path) -> None:
    """Telegram as well, which takes critical alerts alone; and the end of the test is told."""
    with alertmanager(tmp_path, "en") as running:
        result = sent_by_the_module(running, running.receivers)
        took = running.receivers
        assert result["undelivered"] == []
        assert [line.split(":")[0] for line in result["report"]] == [f"soundcheck-{kind}" for kind in KINDS]
        assert all("ok - delivered" in line for line in result["report"])
        assert {message.kind for message in took.taken} == set(KINDS)
        assert all("This is a test message" in message.text for message in took.taken)
        assert took.wait(lambda: all(len(took.of(kind)) == 2 for kind in KINDS), 60), running.logs()
        assert all("[RESOLVED]" in took.of(kind)[1].title for kind in KINDS)


def playbook(running: Alertmanager, folder: Path, **changes: Any) -> tuple[int, str]:
    """Status and output of playbooks/test_notification.yml on this machine, as talkative as it can be."""
    variables = {
        **settings(running.receivers, "ko"),
        **{name: value for name, value in SECRETS.items() if name.startswith("vault_metrics_")},
        "metrics_backend_alertmanager_port": running.port,
        "telemetry_project": running.name,
        "contact_points_test_timeout": 30,
        **changes,
    }
    (folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    command = ["-i", "inventories/local", "playbooks/test_notification.yml", "-vvv", "--diff"]
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/ansible-playbook", *command, "-e", f"@{folder}/variables.json"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    output = done.stdout + done.stderr
    leaked = [*secrets_of(running.receivers), SECRETS["vault_metrics_read_password"]]
    assert not [secret for secret in leaked if secret in output]
    return done.returncode, output


def test_the_playbook_tells_what_became_of_each_message(tmp_path: Path) -> None:
    """In the language of the inventory, and without a secret."""
    with alertmanager(tmp_path, "ko") as running:
        status, output = playbook(running, tmp_path)
        took = running.receivers
        assert status == 0, output
        for kind in KINDS:
            assert f"soundcheck-{kind}: ok - delivered" in output
            assert "Soundcheck의 시험 메시지입니다" in took.of(kind)[0].text

        status, output = playbook(running, tmp_path, contact_points={})
        assert status != 0
        assert "contact_points is empty" in output

        status, output = playbook(running, tmp_path, metrics_destination="grafana_cloud")
        assert status != 0
        assert "grafana_url is not set" in output


def test_the_playbook_fails_for_a_channel_that_fails(tmp_path: Path) -> None:
    with alertmanager(tmp_path, "ko", vault_telegram_bot_token="1:wrong") as running:
        status, output = playbook(running, tmp_path)

    assert status != 0
    assert "soundcheck-telegram: FAILED - " in output
    assert "not delivered: soundcheck-telegram" in output
    assert "soundcheck-slack: ok - delivered" in output


@contextmanager
def grafana(token: str, seen: list[dict[str, Any]]) -> Iterator[int]:
    """The old test API of Grafana; Slack fails, with an error that quotes the webhook as Go's errors do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            authorized = self.headers["Authorization"] == f"Bearer {token}"
            known = self.path == "/api/alertmanager/grafana/config/api/v1/receivers/test"
            if authorized and known:
                seen.append(body)
                [config] = body["receivers"][0]["grafana_managed_receiver_configs"]
                told = {"name": config["name"], "uid": "", "status": "ok"}
                if config["type"] == "slack":
                    told |= {"status": "failed", "error": f'Post "{config["settings"]["url"]}": EOF'}
                body["receivers"][0]["grafana_managed_receiver_configs"] = [told]
            answer = json.dumps(body if authorized and known else {"message": "refused"}).encode()
            self.send_response((200 if known else 404) if authorized else 401)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def test_the_playbook_asks_grafana_where_there_is_no_alertmanager(tmp_path: Path) -> None:
    """A stand-in for its API, built from its source: Grafana does not run here."""
    token = "glsa_a-secret-of-grafana"
    seen: list[dict[str, Any]] = []
    with grafana(token, seen) as port:
        nobody = Alertmanager(PROJECT, 1, Receivers(http_port=1, smtp_port=1), [])
        cloud = {"metrics_destination": "grafana_cloud", "grafana_url": f"http://127.0.0.1:{port}"}
        status, output = playbook(nobody, tmp_path, **cloud, vault_grafana_token=token)
        assert token not in output

        assert status != 0
        assert "not delivered: soundcheck-slack" in output
        assert "soundcheck-slack: FAILED - Post" in output
        for kind in ("email", "discord", "telegram"):
            assert f"soundcheck-{kind}: ok - delivered: Grafana sent it" in output
        assert {body["alert"]["labels"]["alertname"] for body in seen} == {"SoundcheckTest"}

        status, output = playbook(nobody, tmp_path, **cloud, vault_grafana_token="glsa_wrong")
        assert status != 0
        assert "Grafana does not know the token" in output

        status, output = playbook(nobody, tmp_path, **cloud)
        assert status != 0
        assert "vault_grafana_token is not set" in output


WRONG = [
    ("email", "vault_smtp_password", "wrong", "Authentication"),
    ("slack", "vault_slack_webhook_url", "{web}/services/T1/B1/wrong", "no_service"),
    ("discord", "vault_discord_webhook_url", "{web}/api/webhooks/1/wrong", "401"),
    ("telegram", "vault_telegram_bot_token", "1:wrong", "Unauthorized"),
]


@pytest.mark.parametrize(("kind", "variable", "value", "reason"), WRONG, ids=[entry[0] for entry in WRONG])
def test_a_wrong_secret_is_a_failure_that_names_its_channel(
    tmp_path: Path, kind: str, variable: str, value: str, reason: str
) -> None:
    """The other three deliver."""
    port = free_port("127.0.0.1")
    wrong = {variable: value.format(web=f"http://127.0.0.1:{port}")}
    with elsewhere(port), alertmanager(tmp_path, "en", **wrong) as running:
        started = time.monotonic()
        result = sent_by_the_module(running, running.receivers)

    assert result["undelivered"] == [f"soundcheck-{kind}"]
    [line] = [line for line in result["report"] if "FAILED" in line]
    assert line.startswith(f"soundcheck-{kind}: FAILED - ")
    assert reason in line
    assert wrong[variable] not in json.dumps(result["report"])
    assert time.monotonic() - started < 30


@contextmanager
def elsewhere(port: int) -> Iterator[None]:
    """Another set of stand-ins, at a port that is known beforehand."""
    with stand_ins.running(http_port=port):
        yield
