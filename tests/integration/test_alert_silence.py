"""A silence in the real Alertmanager of images/alertmanager: for one host, with an end, and never a failure.

The image comes from `make images`; its container has the port that Docker gives it on 127.0.0.1.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "soundcheck/alertmanager"
PASSWORD = "canaryOfTheReader"


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(url: str, path: str) -> Any:
    login = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Basic {login}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("alertmanager")
    folder.chmod(0o755)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(json.dumps({"basic_auth_users": {"reader": hashed}}), encoding="utf-8")
    image = docker("images", "--format", "{{.Repository}}:{{.Tag}}", IMAGE).splitlines()[0]
    container = docker(
        *("run", "--detach", "--rm", "--publish", "127.0.0.1::9093", "--volume", f"{folder}:/web:ro", image),
        *("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
        "--web.config.file=/web/web.yml",
    )
    try:
        url = f"http://{docker('port', container, '9093/tcp').splitlines()[0]}"
        deadline = time.monotonic() + 30
        while True:
            try:
                ask(url, "/api/v2/status")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield url
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)


def silence(folder: Path, url: str, *options: str, **changes: Any) -> tuple[int, str]:
    """One run of the module through Ansible."""
    arguments = {
        "url": url,
        "username": "reader",
        "password": PASSWORD,
        "labels": {"environment": "test", "host": "music-1"},
        "minutes": 15,
        "created_by": "kim",
        "comment": "Deploy of music:7",
    } | changes
    tasks = [{"name": "Silence", "alert_silence": arguments}]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(folder / "play.yml"), "-vvv", *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        | {"ANSIBLE_LOCALHOST_WARNING": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = done.stdout + done.stderr
    assert PASSWORD not in output
    return done.returncode, output


def test_the_alerts_of_one_host_are_silent_for_a_while(alertmanager: str, tmp_path: Path) -> None:
    code, output = silence(tmp_path, alertmanager, "--check")
    assert (code, ask(alertmanager, "/api/v2/silences")) == (0, [])
    code, output = silence(tmp_path, alertmanager)
    assert code == 0, output
    (held,) = ask(alertmanager, "/api/v2/silences")
    assert held["status"]["state"] == "active"
    assert {matcher["name"]: matcher["value"] for matcher in held["matchers"]} == {
        "environment": "test",
        "host": "music-1",
    }
    left = datetime.fromisoformat(held["endsAt"]) - datetime.now(UTC)
    assert 14 * 60 < left.total_seconds() <= 15 * 60
    assert (held["createdBy"], held["comment"]) == ("kim", "Deploy of music:7")


def test_a_wrong_password_is_a_warning(alertmanager: str, tmp_path: Path) -> None:
    code, output = silence(tmp_path, alertmanager, password="anotherCanary")
    assert code == 0
    assert "alerts are not silenced: POST" in output
    assert "HTTP 401 Unauthorized; the password of reader is another one" in output


def test_nobody_there_is_a_warning(tmp_path: Path) -> None:
    code, output = silence(tmp_path, "http://127.0.0.1:9")
    assert code == 0
    assert "connection refused" in output
