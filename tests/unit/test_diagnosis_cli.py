"""The command: options, exit status, and the sentence of what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.diagnosis_look import CONFIG, fresh
from tests.unit.diagnosis_modules import MONITORING

OK = {"state": "ok", "seconds": 0.1, "problem": ""}
UNABLE = {"state": "unable", "seconds": 0.1, "problem": "Docker is down"}


class Doubles:
    """What the command calls, and how."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"sections": {"server": OK}}
        self.findings: list[dict[str, Any]] = []
        self.asked: dict[str, Any] = {}

    def collect(self, config: dict[str, Any], since: int) -> dict[str, Any]:
        self.asked |= {"since": since, "project": config["app_project"]}
        return self.facts

    def find(self, facts: Any, config: Any, symptom: str) -> list[dict[str, Any]]:
        self.asked |= {"symptom": symptom}
        return self.findings

    def render(self, facts: Any, findings: Any, locale: str, width: int, color: bool) -> str:
        self.asked |= {"locale": locale, "width": width, "color": color}
        return "보고서"

    def watch(self, config: Any, collect: Any) -> int:
        self.asked |= {"watched": collect(config, 60)}
        return 0


@pytest.fixture
def doubles() -> Doubles:
    return Doubles()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, doubles: Doubles) -> ModuleType:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    modules = {
        "sections": SimpleNamespace(collect=doubles.collect),
        "verdict": SimpleNamespace(findings=doubles.find),
        "text": SimpleNamespace(render=doubles.render),
        "watch": SimpleNamespace(main=doubles.watch),
    }
    return fresh(monkeypatch, "cli", doubles=modules)


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "diagnosis.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("findings", "sections", "status"),
    [
        ([], {"server": OK}, 0),
        ([{"id": "missing-index"}], {"server": OK}, 1),
        ([{"id": "missing-index"}], {"server": OK, "logs": UNABLE}, 1),
        ([], {"server": OK, "logs": UNABLE}, 2),
        ([], {"server": OK, "logs": {**UNABLE, "state": "partial"}}, 2),
    ],
    ids=["clean", "findings", "findings, although not all was seen", "unable", "partial"],
)
def test_exit_status(
    cli: ModuleType,
    doubles: Doubles,
    config: str,
    capsys: pytest.CaptureFixture[str],
    findings: list[dict[str, Any]],
    sections: dict[str, Any],
    status: int,
) -> None:
    doubles.findings, doubles.facts = findings, {"sections": sections}
    assert cli.main(["--json", "--config", config]) == status
    assert json.loads(capsys.readouterr().out) == {"facts": doubles.facts, "findings": findings}


def test_a_person_reads_text(
    cli: ModuleType, doubles: Doubles, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--config", config, "--since", "2h", "--symptom", "memory", "--locale", "ko"]) == 0
    assert capsys.readouterr().out == "보고서\n"
    assert doubles.asked == {
        "since": 7200,
        "project": "app",
        "symptom": "memory",
        "locale": "ko",
        "width": 80,
        "color": False,
    }


def test_the_watch_gets_the_same_look(cli: ModuleType, doubles: Doubles, config: str) -> None:
    assert cli.main(["--watch", "--config", config]) == 0
    assert doubles.asked["watched"] == doubles.facts
    assert doubles.asked["since"] == 60


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "15"], "expected a number with s, m or h such as 15m, at most 24h, got '15'"),
        (["--since", "0m"], "got '0m'"),
        (["--since", "25h"], "at most 24h, got '25h'"),
        (["--since", "-5m"], "expected one argument"),
        (["--symptom", "disk"], "invalid choice: 'disk'"),
        (["--locale", "de"], "invalid choice: 'de'"),
        (["--jsn"], "unrecognized arguments: --jsn"),
        (["celery"], "unrecognized arguments: celery"),
    ],
)
def test_bad_options(
    cli: ModuleType, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(options)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory; deploy_telemetry.yml writes it"),
        ("{", "expected JSON"),
        ("[]", "expected schema 1, got None; deploy the telemetry again"),
        ('{"schema": 2}', "expected schema 1, got 2"),
    ],
)
def test_a_bad_configuration(
    cli: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    path = tmp_path / "diagnosis.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert cli.main(["--config", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_who_may_see_nothing_is_told(
    cli: ModuleType,
    config: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cli.main(["--config", config]) == 2
    assert capsys.readouterr().err == (
        "debug_cpu_spike.sh: user 1000 may not use /var/run/docker.sock: run it as root, with sudo\n"
    )


def test_the_group_docker_may_look(cli: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of root nothing is asked: its engine may be down.
    assert cli.no_access(str(tmp_path / "none")) == ""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "docker.sock").touch()
    assert cli.no_access(str(tmp_path / "docker.sock")) == ""


@pytest.mark.parametrize(
    ("environment", "locale"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "ko_KR", "LANG": "ko_KR"}, "en"),
        ({"LANG": "C.UTF-8"}, "the deploy's"),
        ({"LC_ALL": "", "LANG": "POSIX"}, "the deploy's"),
        ({}, "the deploy's"),
    ],
)
def test_language(cli: ModuleType, environment: dict[str, str], locale: str) -> None:
    assert cli.locale_of(environment, "the deploy's") == locale


def test_the_script_says_when_there_is_no_python(tmp_path: Path) -> None:
    for name in ("dirname", "readlink"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", MONITORING / "debug_cpu_spike.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "debug_cpu_spike.sh: python3 is not on this server: apt-get install python3-minimal\n"
    )


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = (MONITORING / "run.py").read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit) as ended:
        exec(compile(source, "run.py", "exec"), {"__name__": "run", "__file__": "run.py"})
    assert ended.value.code == 2
    assert capsys.readouterr().err == "debug_cpu_spike.sh: expected Python 3.10 or newer, got 3.9\n"


@pytest.mark.parametrize(
    ("arguments", "user", "raised"),
    [([], 0, [-5]), (["--json"], 0, [-5]), (["--watch"], 0, []), ([], 1000, [])],
    ids=["a person's look", "for a machine", "the watch waits", "not root"],
)
def test_a_persons_look_comes_first(
    cli: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], user: int, raised: list[int]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "setpriority", lambda _, __, priority: asked.append(priority))
    source = (MONITORING / "run.py").read_text(encoding="utf-8")
    exec(compile(source, "run.py", "exec"), {"__name__": "run", "__file__": str(MONITORING / "run.py")})
    assert asked == raised
