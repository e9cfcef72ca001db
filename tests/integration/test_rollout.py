"""A rollout with a real gunicorn behind a real Caddy: who serves, what a bad version changes, the way back.

Broker, worker and beat are containers that sleep: what is asked here is the order in which they are replaced.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "soundcheck-rollout"
PORT = 18080
SITE = """\
{
  admin localhost:2019
}
:80 {
  reverse_proxy {
    to soundcheck-rollout-web-blue:8000 soundcheck-rollout-web-green:8000
    lb_try_duration 5s
    health_uri /ready
    health_interval 1s
    transport http {
      keepalive off
    }
  }
}
"""
APP = """\
import os, time
def app(environ, start_response):
    time.sleep(0.05)
    retired = environ["PATH_INFO"] == "/ready" and os.path.exists("/tmp/retired")
    start_response("503 Retired" if retired else "200 OK", [("Content-Type", "text/plain")])
    return [os.environ["VERSION"].encode()]
"""
COMPOSE = """\
x-app: &app
  image: {app}
  init: true
services:
  web:
    <<: *app
    command: {{{{ web_command | to_json }}}}
    environment: {{VERSION: {{{{ version | to_json }}}}, PYTHONPATH: /srv}}
    volumes: ["{directory}/web:/srv:ro"]
    healthcheck: {{test: [CMD, python, -c, {{{{ health | to_json }}}}], interval: 1s, retries: 2}}
  worker:
    <<: *app
    command: sleep 600
    environment: {{VERSION: {{{{ version | to_json }}}}}}
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
  beat:
    <<: *app
    command: sleep 600
    environment: {{VERSION: {{{{ version | to_json }}}}}}
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
  broker:
    <<: *app
    command: {{{{ broker_command | to_json }}}}
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
  proxy:
    image: {caddy}
    ports: ["127.0.0.1:{port}:80"]
    volumes: ["{directory}/proxy:/etc/caddy:ro"]
    healthcheck: {{test: [CMD, caddy, version], interval: 1s}}
  migrate:
    <<: *app
    profiles: [job]
    command: {{{{ migrate_command | to_json }}}}
"""
GUNICORN = "gunicorn app:app --bind 0.0.0.0:8000 --workers 2 --worker-tmp-dir /dev/shm"
ANSWERS = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/').read()"
PROVES_ALL_BUT_3 = 'test "$VERSION" != 3 || { echo nobody consumes ai_queue; exit 1; }'
DEFAULTS = {
    "version": "1",
    "web_command": GUNICORN,
    "health": ANSWERS,
    "broker_command": "sleep 600",
    "migrate_command": "true",
    "proof": ["true"],
    "rollout_more": {},
    "release": "",
}


def docker(*arguments: str) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.strip()


def image(name: str) -> str:
    listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    found = [reference for reference in listed if reference.startswith(f"soundcheck/{name}:")]
    assert found, f"no image soundcheck/{name}: run `make images` first"
    return found[0]


@dataclass
class Load:
    """Thirty requests per second through the proxy, each on a connection of its own."""

    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self.ask) for _ in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def ask(self) -> None:
        while not self.stop.wait(0.1):
            try:
                self.versions.append(served())
            except (OSError, urllib.error.URLError) as error:
                self.failures.append(str(error))


def served() -> str:
    # With a body: Caddy 2.6 cannot send it a second time.
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", data=b"{}", timeout=10) as answer:
        return str(answer.read().decode())


class App:
    """The project in a temporary folder, deployed by a playbook of one task."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.directory = folder, folder / "project"
        (folder / "templates").mkdir()
        compose = COMPOSE.format(app=image("app"), caddy=image("caddy"), port=PORT, directory=self.directory)
        (folder / "templates" / "compose.yml.j2").write_text(compose)
        task = {
            "project": PROJECT,
            "directory": str(self.directory),
            "compose_file": "compose.yml",
            "templates": str(folder / "templates"),
            "files": [
                {"path": "compose.yml", "template": "compose.yml.j2"},
                {"path": "web/app.py", "content": APP},
                {"path": "proxy/Caddyfile", "content": SITE},
                {
                    "path": "web.env",
                    "content": "PASSWORD='{{ version }}-secret'\n",
                    "mode": "0600",
                    "secret": True,
                },
            ],
            "release": "{{ release }}",
            "jobs": ["migrate"],
            "wait_timeout": 20,
            "rollout": "{{ rollout | combine(rollout_more) }}",
        }
        rollout = {
            "web": "web",
            "port": 8000,
            "slots": [f"{PROJECT}-web-blue", f"{PROJECT}-web-green"],
            "retire": ["touch", "/tmp/retired"],
            "seen_seconds": 3,
            "proxy": "proxy",
            "reload": ["caddy", "reload", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
            "drain_seconds": 20,
            "scheduler": "beat",
            "workers": ["worker"],
            "quiet": ["true"],
            "proof": "{{ proof }}",
            "kept": ["broker", "proxy"],
            "version": "{{ version }}",
            "by": "tester",
            "keep": 2,
        }
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"rollout": rollout},
            "tasks": [{"compose_project": task}],
        }
        (folder / "play.yml").write_text(json.dumps([play]))

    def deploy(self, *options: str, **variables: Any) -> dict[str, Any]:
        """The module's result; `failed` and `msg` when it failed."""
        interpreter = {"ansible_python_interpreter": "/usr/bin/python3"}
        (self.folder / "vars.json").write_text(json.dumps({**DEFAULTS, **interpreter, **variables}))
        run = subprocess.run(
            [
                *["ansible-playbook", "-i", "localhost,", "-c", "local", str(self.folder / "play.yml")],
                *["-e", f"@{self.folder / 'vars.json'}", *options],
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        # The actions are printed before the callback prints its JSON.
        report = json.loads(run.stdout[run.stdout.index("{\n") :])
        result: dict[str, Any] = report["plays"][0]["tasks"][0]["hosts"]["localhost"]
        return result

    def containers(self, service: str) -> list[str]:
        label = f"label=com.docker.compose.service={service}"
        mine = f"label=com.docker.compose.project={PROJECT}"
        return docker("ps", "-q", "--filter", label, "--filter", mine).split()

    def releases(self) -> dict[str, str]:
        """Version to result of each release, oldest first."""
        records = sorted((self.directory / "releases").glob("2*/release.json"))
        read = [json.loads(path.read_text()) for path in records]
        return {entry["version"]: entry["result"] for entry in read}

    def current(self) -> str:
        return os.readlink(self.directory / "releases" / "current")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("rollout")
    folder.chmod(0o755)
    deployed = App(folder)
    first = deployed.deploy()
    assert not first.get("failed"), first
    yield deployed
    down = ["docker", "compose", "-p", PROJECT, "down", "-t", "1", "--volumes"]
    subprocess.run(down, capture_output=True, timeout=60, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_second_deploy_changes_nothing(app: App) -> None:
    assert served() == "1"
    again = app.deploy()

    assert not again["changed"], again
    assert again["release"] == app.current()
    assert not app.deploy("--check")["changed"]


def test_a_new_version_takes_over_without_a_lost_request(app: App) -> None:
    """T11"""
    broker, proxy = app.containers("broker"), app.containers("proxy")

    with Load() as load:
        time.sleep(1)
        result = app.deploy(version="2")
        time.sleep(1)

    assert not result.get("failed"), result["msg"]
    assert load.failures == []
    assert set(load.versions) == {"1", "2"}
    assert load.versions[-1] == "2"
    assert (app.containers("broker"), app.containers("proxy")) == (broker, proxy)
    assert len(app.containers("web")) == len(app.containers("beat")) == 1
    assert app.releases()["2"] == "deployed"
    secret = app.directory / "releases" / app.current() / "files" / "web.env"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"web_command": "sh -c 'echo no such module; exit 3'"}, "no such module"),
        ({"health": "raise SystemExit('not yet')"}, "not yet"),
        ({"migrate_command": "sh -c 'echo relation exists; exit 1'"}, "relation exists"),
    ],
    ids=["exits at once", "never healthy", "migration fails"],
)
def test_a_version_that_does_not_come_up_never_serves(app: App, fault: dict[str, str], reason: str) -> None:
    assert not app.deploy(version="2").get("failed")
    before = {service: app.containers(service) for service in ("web", "worker", "beat", "broker", "proxy")}
    current, compose = app.current(), (app.directory / "compose.yml").read_text()

    with Load() as load:
        result = app.deploy(version="bad", **fault)

    assert result["failed"]
    assert reason in result["msg"]
    assert "The running services were not touched." in result["msg"]
    assert load.failures == []
    assert set(load.versions) == {"2"}
    assert {service: app.containers(service) for service in before} == before
    assert app.current() == current
    assert app.releases()["bad"] == "failed"
    assert (app.directory / "compose.yml").read_text() == compose
    assert not app.deploy(version="2")["changed"]


def test_a_version_whose_workers_are_not_proven_is_rolled_back(app: App) -> None:
    app.deploy(version="2")

    with Load() as load:
        result = app.deploy(version="3", proof=["sh", "-c", PROVES_ALL_BUT_3])

    assert result["failed"]
    assert "nobody consumes ai_queue" in result["msg"]
    assert f"Rolled back: release {app.current()} serves again." in result["msg"]
    assert load.failures == []
    assert load.versions[-1] == "2"
    assert len(app.containers("beat")) == len(app.containers("worker")) == 1
    assert not app.deploy(version="2")["changed"]


def test_the_broker_is_not_restarted_unasked(app: App) -> None:
    app.deploy(version="2")
    broker = app.containers("broker")

    refused = app.deploy(version="2", broker_command="sleep 601")

    assert refused["failed"]
    assert "broker would be restarted" in refused["msg"]
    assert "app_release_restart_backing=true" in refused["msg"]
    assert app.containers("broker") == broker
    allowed = app.deploy(version="2", broker_command="sleep 601", rollout_more={"restart_kept": True})
    assert not allowed.get("failed"), allowed
    assert app.containers("broker") != broker
    app.deploy(version="2", rollout_more={"restart_kept": True})


def test_the_way_back_by_hand(app: App) -> None:
    app.deploy(version="4")
    app.deploy(version="5", migrate_command="echo '  Applying music.0007_royalties... OK'")
    assert served() == "5"

    refused = app.deploy(release="previous")
    assert refused["failed"]
    assert "music.0007_royalties" in refused["msg"]
    assert "app_release_ignore_migrations=true" in refused["msg"]
    assert served() == "5"

    unknown = app.deploy(release="nine")
    assert "nine is not known on this host; set one of: " in unknown["msg"]

    with Load() as load:
        back = app.deploy(release="previous", rollout_more={"ignore_migrations": True, "reason": "slow"})
    assert not back.get("failed"), back
    assert load.failures == []
    assert served() == "4"
    assert app.releases()["5"] == "rolled back"
    assert app.current().endswith("-4")
    assert not app.deploy(version="4")["changed"]


def test_old_releases_are_forgotten(app: App) -> None:
    for version in ("6", "7", "8"):
        assert not app.deploy(version=version).get("failed")

    good = [version for version, result in app.releases().items() if result == "deployed"]
    assert good == ["7", "8"]


def test_a_deploy_that_was_cut_off_is_completed_by_the_next(app: App) -> None:
    """A second web container without a name for the proxy, and no beat: what kill -9 leaves behind."""
    app.deploy(version="8")
    compose = ["compose", "-p", PROJECT, "-f", str(app.directory / "compose.yml")]
    docker(*compose, "up", "-d", "--no-deps", "--no-recreate", "--scale", "web=2", "web")
    docker("rm", "-f", *app.containers("beat"))

    with Load() as load:
        result = app.deploy(version="9")

    assert not result.get("failed"), result
    assert load.failures == []
    assert served() == "9"
    assert len(app.containers("web")) == len(app.containers("beat")) == 1
