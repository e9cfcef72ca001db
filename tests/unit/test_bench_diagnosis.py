"""The bench of the diagnosis: what the guide's way asks, how runs are summed up, what a host is told."""

from __future__ import annotations

import json
import subprocess

import pytest

from tools.bench_diagnosis import LOOPS, METER, NUMBER, SCRIPT, Diagnosis, guide, markdown, summary


class Host:
    """Says what each way took, and remembers what was run."""

    def __init__(self, status: int = 0) -> None:
        self.commands: list[str] = []
        self.status = status

    def run(self, command: str, stdin: str = "") -> str:
        self.commands.append(command)
        if not stdin:
            return "soundcheck/app:1\n"
        seconds = 3.0 if SCRIPT in command else 9.0
        ended = [self.status, "no such service"]
        return json.dumps({"seconds": seconds, "cpu_seconds": seconds / 6, "ended": ended})


def test_the_guides_way_asks_its_five_questions_and_is_a_shell_script() -> None:
    script = guide("config", "/opt/soundcheck/app")

    for part in ("docker top", "celery -A config inspect active", "grep", "pg_stat_activity", "docker stats"):
        assert part in script
    # All connections, and the active ones: Django starts for each.
    assert script.count("manage.py shell") == 2
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_meter_is_python() -> None:
    compile(METER, "meter", "exec")


def test_medians_of_the_runs() -> None:
    taken = [{"seconds": value, "cpu_seconds": value / 4, "ended": [1, ""]} for value in (2.0, 9.0, 3.004)]

    assert summary(taken) == {
        "seconds": [2.0, 9.0, 3.0],
        "cpu_seconds": [0.5, 2.25, 0.75],
        "seconds_median": 3.0,
        "cpu_seconds_median": 0.75,
    }


def test_both_ways_take_turns_on_a_busy_server_that_is_left_as_it_was() -> None:
    host = Host()

    found = Diagnosis(host, "/opt/soundcheck/app").measure(2)

    measured = [SCRIPT in command for command in host.commands if command.startswith("python3")]
    assert measured == [True, False, True, False]
    assert f"--name {LOOPS}" in host.commands[1]
    assert f"seq {NUMBER}" in host.commands[1]
    assert host.commands[-1] == f"docker rm --force {LOOPS}"
    assert markdown(found)[2:] == [
        "| `debug_cpu_spike.sh` | 3.0 | 0.5 |",
        "| the guide's commands, one after the other | 9.0 | 1.5 |",
        "",
    ]


def test_a_way_that_did_not_work_is_no_figure() -> None:
    host = Host(status=2)

    with pytest.raises(SystemExit, match="ended with 2: no such service"):
        Diagnosis(host, "/opt/soundcheck/app").measure(1)

    assert host.commands[-1] == f"docker rm --force {LOOPS}"
