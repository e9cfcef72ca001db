"""What the module makes of a run of the tool, which bundles it fetches, and what the controller keeps."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

from plugins.action import diagnosis as action
from plugins.module_utils.diagnosis_bundles import newest
from plugins.modules import diagnosis
from tests.diagnoses import facts, finding

DOCUMENT = {"facts": facts(), "findings": [finding()]}
CLEAN = {"facts": facts(), "findings": []}
GIVEN = {"directory": "/opt/x", "symptom": "", "since": "15m", "timeout": 60}


@pytest.mark.parametrize(("symptom", "more"), [("", []), ("memory", ["--symptom", "memory"])])
def test_the_command_line(symptom: str, more: list[str]) -> None:
    assert diagnosis.arguments({**GIVEN, "symptom": symptom}) == [
        *("timeout", "--kill-after=5", "60", "/opt/x/debug_cpu_spike.sh", "--json", "--since", "15m", *more)
    ]


@pytest.mark.parametrize(
    ("status", "out", "err", "state", "problem"),
    [
        (0, json.dumps(CLEAN), "", "clean", ""),
        (1, json.dumps(DOCUMENT), "", "findings", ""),
        (2, json.dumps(CLEAN), "", "incomplete", ""),
        (2, json.dumps(DOCUMENT), "", "findings", ""),
        (
            2,
            "",
            "Traceback\nuser 7 may not use docker.sock\n",
            "unable",
            "status 2 and said: user 7 may not use",
        ),
        (124, "", "", "unable", "debug_cpu_spike.sh did not end within 60 s"),
        (137, "{", "", "unable", "did not end within 60 s"),
        (1, json.dumps(CLEAN), "", "unable", "status 1 and said: {"),
        (0, "[]", "", "unable", "status 0 and said: []"),
        (0, '{"facts": {}}', "", "unable", "status 0 and said: {"),
        (0, '{"facts": {}, "findings": null}', "", "unable", "status 0 and said: {"),
        (127, "", "", "unable", "status 127 and said: nothing"),
    ],
)
def test_how_a_run_is_judged(status: int, out: str, err: str, state: str, problem: str) -> None:
    found = diagnosis.judged(status, out, err, 60)
    assert found["state"] == state
    assert problem in found["problem"]
    assert (found["document"] != {}) is (state != "unable")


def test_it_is_told_in_the_language_that_is_asked_for(tmp_path: Path) -> None:
    package = tmp_path / "soundcheck_diagnosis"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "text.py").write_text("def render(facts, findings, locale): return f'{locale}: 보고서'\n")
    (package / "words.py").write_text(
        "def fill(template, values, locale): return f'{locale} {template}'.format(**values)\n"
    )
    phrases = {
        "title": ["{a} is missing", {"a": "An index"}],
        "evidence": [["{n} rows", {"n": "9"}]],
        "app": None,
    }
    known = finding(phrases=phrases, remedy={"say": "Make it.", "app": "Read less.", "sql": "CREATE"})
    findings = [known, finding()]
    document = {"facts": facts(), "findings": findings}
    done = subprocess.run(
        [*diagnosis.PYTHON, diagnosis.TELL, str(tmp_path), "ko"],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=True,
    )
    told = diagnosis.in_words(done.returncode, done.stdout, done.stderr, findings)
    assert told["text"] == "ko: 보고서"
    first, second = told["findings"]
    assert (first["title"], first["evidence"]) == ("ko An index is missing", ["ko 9 rows"])
    assert first["remedy"] == {"say": "Make it.", "app": "Read less.", "sql": "CREATE"}
    assert second == finding(), "what has no phrases stays English"


def test_a_tool_that_cannot_tell_leaves_its_findings() -> None:
    told = diagnosis.in_words(1, "", "Traceback\nImportError: words", [finding()])
    assert told == {
        "text": "The report cannot be shown: Traceback\nImportError: words\n",
        "findings": [finding()],
    }


def test_what_a_tool_says_is_bounded() -> None:
    assert len(diagnosis.judged(3, "", "x" * 10000, 60)["problem"]) < 600


# --- bundles ---------------------------------------------------------------------------------------------


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    for minute in range(5):
        (tmp_path / f"2026112{minute}T120000Z.json").write_text("x" * 100)
    (tmp_path / ".20261129T120000Z.json.tmp").write_text("half")
    (tmp_path / "notes.json").write_text("of somebody")
    return tmp_path


@pytest.mark.parametrize(
    ("most", "most_bytes", "days", "left"),
    [
        (20, 10_000, "43210", 0),
        (2, 10_000, "43", 3),
        (20, 250, "43", 3),
        (20, 99, "", 5),
        (0, 10_000, "", 5),
    ],
)
def test_the_newest_as_many_as_fit(bundles: Path, most: int, most_bytes: int, days: str, left: int) -> None:
    taken, remaining = newest(bundles, most, most_bytes)
    assert [bundle["name"] for bundle in taken] == [f"2026112{day}T120000Z.json" for day in days]
    assert remaining == left


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "no", 20, 1000) == ([], 0)


def test_one_that_goes_meanwhile_is_gone(bundles: Path) -> None:
    (bundles / "20261124T120000Z.json").unlink()
    (bundles / "20261124T120000Z.json").symlink_to("removed")
    taken, _left = newest(bundles, 20, 1000)
    assert taken[0]["name"] == "20261123T120000Z.json"


# --- the controller --------------------------------------------------------------------------------------

BUNDLE = {
    "name": "20261124T120000Z.json",
    "content": json.dumps({"schema": 1, "reasons": ["CPU at 97 %"], **DOCUMENT}),
}
ABOUT = {
    "name": "20261124T120000Z.json",
    "taken_at": "2026-11-24T12:00:00Z",
    "reasons": ["CPU at 97 %"],
    "finding": {"id": "missing-index", "title": "An index is missing", "confidence": "high"},
}


class Asked(action.ActionModule):
    """The action plugin with the answer of a host."""

    def __init__(self, answer: dict[str, Any], keep: Path, check_mode: bool = False) -> None:
        self._task: Any = SimpleNamespace(
            args={"directory": "/opt/x", "keep": str(keep)}, check_mode=check_mode, async_val=0
        )
        self.said: list[str] = []
        self._display: Any = SimpleNamespace(display=self.said.append)
        self.answer = answer
        self.arguments: dict[str, Any] = {}

    def _execute_module(self, module_args: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.arguments = module_args
        return self.answer


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *arguments: {})


def answered(**more: Any) -> dict[str, Any]:
    return {"state": "findings", "problem": "", "text": "WEB1\n", "bundles": [BUNDLE], **more}


@pytest.mark.usefixtures("bare")
def test_bundles_are_kept_for_whoever_runs_it_and_told_in_short(tmp_path: Path) -> None:
    keep = tmp_path / "diagnosis" / "web1"
    asked = Asked(answered(), keep)
    result = asked.run(task_vars={"inventory_hostname": "web1"})
    assert asked.arguments == {"directory": "/opt/x"}
    assert asked.said == ["WEB1\n"]
    assert result["bundles"] == [ABOUT]
    path = keep / BUNDLE["name"]
    assert path.read_text("utf-8") == BUNDLE["content"]
    assert [oct(found.stat().st_mode & 0o777) for found in (keep, path)] == ["0o700", "0o600"]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("answer", "check_mode"),
    [(answered(), True), (answered(bundles=[]), False), ({"failed": True, "msg": "no"}, False)],
)
def test_nothing_is_written_in_check_mode_nor_for_nothing(
    tmp_path: Path, answer: dict[str, Any], check_mode: bool
) -> None:
    Asked(answer, tmp_path / "web1", check_mode).run(task_vars={"inventory_hostname": "web1"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bare")
def test_a_host_that_is_unable_is_told_by_name(tmp_path: Path) -> None:
    asked = Asked(answered(text="", problem="it said: no", bundles=[]), tmp_path)
    asked.run(task_vars={"inventory_hostname": "web1"})
    assert asked.said == ["    web1: it said: no"]


@pytest.mark.parametrize("name", ["../../.bashrc", ".json", "a/b.json", "x.sh", "/etc/passwd", "..json", ""])
def test_no_name_of_a_host_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnsibleActionFail, match=r"a name such as 20261124T120000Z\.json was expected"):
        action.keep(tmp_path / "web1", [BUNDLE, {"name": name, "content": "x"}])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="file/web1: Not a directory"):
        action.keep(tmp_path / "file" / "web1", [BUNDLE])


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"facts": {}, "findings": [], "reasons": []}', '{"findings": [{"id": 1}]}']
)
def test_a_bundle_that_cannot_be_read_is_listed_as_such(content: str) -> None:
    assert action.about("1.json", content) == {
        **{"name": "1.json", "taken_at": None, "reasons": ["it cannot be read"], "finding": None},
    }


def test_a_bundle_without_findings_has_none() -> None:
    told = action.about("1.json", json.dumps({"reasons": [], **CLEAN}))
    assert (told["taken_at"], told["finding"]) == ("2026-11-24T12:00:00Z", None)


def test_the_module_documents_its_options() -> None:
    assert set(yaml.safe_load(diagnosis.DOCUMENTATION)["options"]) == {
        *("directory", "bundles", "symptom", "since", "locale", "most_bundles", "most_bytes", "timeout"),
    }
