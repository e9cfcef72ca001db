"""playbooks/diagnose.yml by itself: what it refuses, and its report of hosts of which most tell nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.diagnoses import facts, finding
from tests.playbooks import ansible_playbook
from tests.render import ROOT
from tests.unit.test_render_report import Page

PASSWORD = "a-reader-password-that-must-not-show"
# Stands for the tool and its package: prints what it is given, and renders it as the package's text does.
TOOL = """\
#!/bin/sh
[ "$*" = "--json --since 15m --symptom cpu" ] || { echo "not these options: $*" >&2; exit 2; }
cat "$(dirname "$0")/document.json"
exit 1
"""
TEXT = (
    'def render(facts, findings, locale):\n    return f\'{facts["host"]} in {locale}: {findings[0]["id"]}\'\n'
)
WORDS = "def fill(template, values, locale):\n    return f'{template} ({locale})'\n"


def diagnose(tmp_path: Path, *arguments: str) -> Any:
    return ansible_playbook(
        *("-i", str(ROOT / "inventories" / "local"), str(ROOT / "playbooks" / "diagnose.yml")),
        *("-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_become=false"),
        *("-e", f"soundcheck_artifacts={tmp_path}/artifacts", *arguments),
    )


REFUSALS = [
    {
        "symptom=disk": "symptom: `disk`; say one of cpu, memory, connections, or leave it out",
        "apply=everything": "apply: `everything`; say index, or leave it out",
        "diagnose_hours=0": "diagnose_hours: `0`; say a whole number of hours from 1 to 168",
        "diagnose_since=1d": "diagnose_since: `1d`; say a time such as 15m, at most 24h",
    },
    {
        "diagnose_hours=169": "diagnose_hours: `169`; say a whole number of hours from 1 to 168",
        "diagnose_since=25h": "diagnose_since: `25h`; say a time such as 15m, at most 24h",
    },
]


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda refused: " ".join(refused))
def test_what_cannot_be_asked_is_refused_before_anything_is(tmp_path: Path, refused: dict[str, str]) -> None:
    """Bad input: all of it at once."""
    done = diagnose(tmp_path, *(part for asked in refused for part in ("-e", asked)))
    output = " ".join(done.stdout.split())
    assert done.returncode != 0
    for said in refused.values():
        assert said in output, done.stdout + done.stderr
    assert "Ask the host what burns" not in output
    assert not (tmp_path / "artifacts").exists()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Hosts with the tool, without it, with a broken one, and one that is gone; and the finished run."""
    folder = tmp_path_factory.mktemp("fleet")
    for host, tool in (("well", TOOL), ("broken", "#!/bin/sh\necho 'no python3' >&2\nexit 2\n")):
        home = folder / host / "monitoring"
        (home / "soundcheck_diagnosis").mkdir(parents=True)
        (home / "debug_cpu_spike.sh").write_text(tool)
        (home / "debug_cpu_spike.sh").chmod(0o755)
        (home / "soundcheck_diagnosis" / "__init__.py").write_text("")
        (home / "soundcheck_diagnosis" / "text.py").write_text(TEXT)
        (home / "soundcheck_diagnosis" / "words.py").write_text(WORDS)
        (home / "document.json").write_text(
            json.dumps({"facts": facts(host="well"), "findings": [finding()]})
        )
    (folder / "bundles").mkdir()
    (folder / "bundles" / "20261124T115800Z.json").write_text("{}")
    hosts: dict[str, Any] = {
        host: {"ansible_connection": "local", "telemetry_directory": f"{folder}/{host}"}
        for host in ("bare", "well", "broken")
    }
    # Nobody listens there.
    hosts["gone"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    endpoint = {"query_url": "http://127.0.0.1:1", "read_username": "reader"}
    variables = {
        "diagnose_bundles": f"{folder}/bundles",
        "metrics_endpoint": endpoint,
        "metrics_endpoint_read_password": PASSWORD,
        "symptom": "cpu",
    }
    done = diagnose(
        folder, "-i", f"{folder}/hosts.yml", "--limit", "!localhost", "-e", json.dumps(variables), "-vvv"
    )
    return folder, done


def test_the_report_holds_every_host_whatever_became_of_it(fleet: tuple[Path, Any]) -> None:
    folder, done = fleet
    report = json.loads((folder / "artifacts" / "diagnosis" / "report.json").read_text("utf-8"))
    hosts = {host["host"]: host for host in report["hosts"]}
    assert {name: host["state"] for name, host in hosts.items()} == {
        **{"bare": "missing", "broken": "unable", "gone": "unreachable", "well": "findings"},
    }, done.stdout
    assert hosts["well"]["findings"] == [finding()]
    assert hosts["well"]["facts"] == facts(host="well")
    assert hosts["broken"]["problem"].endswith("ended with status 2 and said: no python3")
    page = Page((folder / "artifacts" / "diagnosis" / "report.html").read_text("utf-8"))
    assert "well An index is missing" in page.text
    assert "The charts are missing: the backend did not answer: connection refused" in page.text
    assert "well in en: missing-index" in page.text


def test_hosts_that_told_nothing_fail_at_the_end_and_the_others_do_not(fleet: tuple[Path, Any]) -> None:
    _folder, done = fleet
    output = " ".join(done.stdout.split())
    assert done.returncode != 0
    for host, said in (
        (
            "bare",
            "bare/monitoring/debug_cpu_spike.sh is not on this host; deploy first: deploy_telemetry.yml",
        ),
        ("broken", "broken could not be diagnosed: debug_cpu_spike.sh ended with status 2"),
        ("gone", "gone could not be diagnosed:"),
    ):
        assert f"{host} could not be diagnosed" in output
        assert said in output
    assert "well could not be diagnosed" not in output
    recap = dict(
        line.split(":", 1) for line in done.stdout.split("PLAY RECAP")[1].splitlines() if ":" in line
    )
    failed = {host.strip(): "failed=0" not in counts for host, counts in recap.items()}
    assert failed == {"bare": True, "broken": True, "gone": True, "well": False}
    assert "changed=0" in recap[next(host for host in recap if host.strip() == "well")]


def test_what_the_watch_kept_is_fetched(fleet: tuple[Path, Any]) -> None:
    folder, _done = fleet
    diagnosis = folder / "artifacts" / "diagnosis"
    assert (diagnosis / "well" / "20261124T115800Z.json").read_text("utf-8") == "{}"
    modes = {oct(path.stat().st_mode & 0o777) for path in diagnosis.rglob("*") if path.is_file()}
    assert modes == {"0o600"}


def test_no_secret_is_in_the_output_or_in_a_file(fleet: tuple[Path, Any]) -> None:
    folder, done = fleet
    written = [path.read_text("utf-8") for path in (folder / "artifacts").rglob("*") if path.is_file()]
    assert PASSWORD not in "".join([*written, done.stdout, done.stderr])


def test_check_asks_the_same_and_writes_nothing(tmp_path: Path, fleet: tuple[Path, Any]) -> None:
    folder, _done = fleet
    done = diagnose(
        tmp_path,
        "--check",
        "-e",
        f"telemetry_directory={folder}/well",
        "-e",
        "symptom=cpu",
        "-e",
        "locale=ko",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "well in ko: missing-index" in done.stdout
    assert not (tmp_path / "artifacts").exists()
