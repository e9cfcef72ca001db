"""The diagnosis on the server, run as root does it there, with a state folder of the tests' own."""

from __future__ import annotations

import base64
import json
import math
import shlex
import time
from collections.abc import Mapping
from typing import Any

from looks import TIMEFORMAT, Look, look, merged
from server import Server

MONITORING = "/opt/soundcheck/telemetry/monitoring"
SCRIPT = f"{MONITORING}/debug_cpu_spike.sh"
FOLDER = "/run/soundcheck-diagnose"
STATE = f"{FOLDER}/state"
# s that are looked back, where it does not matter what an earlier test did; its deploys are older.
SINCE = 60
CHANGES: Mapping[str, Any] = {"state": STATE, "thresholds": {"deploy": SINCE, "rollout": SINCE}}
NOTHING: Mapping[str, Any] = {}


def since(began: float) -> int:
    """Whole seconds since a time of this machine's clock: what an earlier test left behind is older."""
    return math.ceil(time.monotonic() - began)


class Tool:
    """Keeps whatever was said, for the search for secrets."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.told: dict[str, str] = {}
        # Anybody may read the configuration; a user without rights runs the tool, too.
        server.run(f"mkdir -p -m 0755 {FOLDER} && mkdir -p -m 0700 {STATE}")
        self.deployed: dict[str, Any] = json.loads(server.run(f"cat {MONITORING}/diagnosis.json"))

    def configured(self, changes: Mapping[str, Any]) -> str:
        """The path of a configuration that differs in this."""
        path = f"{FOLDER}/diagnosis.json"
        text = json.dumps(merged(merged(self.deployed, CHANGES), changes))
        encoded = base64.b64encode(text.encode()).decode()
        self.server.run(f"echo {encoded} | base64 -d > {path} && chmod 0644 {path}")
        return path

    def run(self, options: str, before: str = "") -> Look:
        """With these options, behind a command such as `runuser`."""
        command = f"TIMEFORMAT='{TIMEFORMAT}'; time {before} {SCRIPT} {options}"
        done = self.server.host.run(f"bash -c {shlex.quote(command)}")
        seen = look(done.rc, done.stdout, done.stderr)
        self.told[f"look {len(self.told) + 1}: {options}"] = seen.said
        return seen

    def look(self, changes: Mapping[str, Any] = NOTHING, before: str = "", since: int = SINCE) -> Look:
        """For a machine."""
        return self.run(f"--json --since {since}s --config {self.configured(changes)}", before)

    def report(self, locale: str) -> Look:
        """For a person."""
        return self.run(f"--no-color --locale {locale} --since {SINCE}s --config {self.configured(NOTHING)}")

    def watch(self, **changes: Any) -> Look:
        """As the timer does."""
        return self.run(f"--watch --config {self.configured({'watch': changes})}")

    def bundles(self, state: str = STATE) -> dict[str, str]:
        """Path to text of what was kept."""
        listed = self.server.host.run(f"find {state}/bundles -type f").stdout.split()
        return {path: self.server.run(f"cat {path}") for path in listed}
