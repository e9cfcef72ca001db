"""No secret of the inventory, and none that stands in a URL, a log or an argument, is told or kept."""

from __future__ import annotations

import json
import shlex

from canaries import ERROR, Canaries, told
from causes import AI_TASK
from inside import busy_loops, container
from server import ROOT, Server, eventually, playbook
from tool import Tool

KEPT = "/var/lib/soundcheck/diagnosis"
REPORTS = ROOT / "artifacts" / "diagnosis"


def plant(server: Server, canaries: Canaries) -> None:
    """In a request, in a log as the app itself would, and in a task that runs while it is looked for."""
    server.host.run(f"curl --silent 'http://127.0.0.1:8000/api/none?access_token={canaries.query}'")
    line = shlex.quote(f"echo {shlex.quote(canaries.error)} > /proc/1/fd/1")
    server.run(f"docker exec {container(server, 'backend')} sh -c {line}")
    server.post("/api/ai/music", json.dumps({"prompt": canaries.prompt, "megabytes": 1, "seconds": 45}))


def test_no_secret_is_told(server: Server, tool: Tool, secrets: dict[str, str]) -> None:
    canaries = Canaries.new()
    plant(server, canaries)
    with busy_loops(server, 2, canaries.command):
        facts = tool.look().document["facts"]
        for locale in ("en", "ko"):
            tool.report(locale)

        def kept() -> dict[str, str]:
            tool.watch(cpu_percent=50, pause_seconds=0)
            return tool.bundles()

        bundles = eventually(kept, bool, 30)
    reported = playbook("playbooks/diagnose.yml")
    tool.told["playbooks/diagnose.yml"] = reported.output
    files = {str(path): path.read_text("utf-8") for path in REPORTS.rglob("*") if path.is_file()}
    texts = {**tool.told, **bundles, **tool.bundles(KEPT), **files}

    # What stands beside each of them was seen.
    assert any(ERROR in json.dumps(entry["log"]) for entry in facts["containers"])
    assert any(run["name"] == AI_TASK and run["arguments"] for run in facts["tasks"]["running"])
    assert any("while :" in stranger["command"] for stranger in facts["strangers"])
    assert bundles
    assert reported.status == 0, reported.output
    assert {path.name for path in REPORTS.iterdir()} >= {"report.html", "report.json"}
    assert told(canaries.secrets() | secrets, texts) == []
