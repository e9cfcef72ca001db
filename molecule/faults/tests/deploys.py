"""A deploy that runs beside a test: watched, killed at a stage, waited for."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import yaml
from server import CONNECTION, INVENTORY, ROOT, Playbook, Server

PATIENCE = 300
# How Ansible's modules show in a list of the server's processes: their code came through standard input.
MODULE = re.compile(r"^\s*(\d+) /usr/bin/python3$", re.M)


def ssh(command: str) -> list[str]:
    connection = yaml.safe_load(CONNECTION.read_text(encoding="utf-8"))
    options = shlex.split(connection["ansible_ssh_common_args"])
    key = connection["ansible_ssh_private_key_file"]
    return ["ssh", "-i", key, *options, f"root@{connection['ansible_host']}", command]


class Lines:
    """Lines of a process as they come; the first that `wanted` accepts is waited for."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )
        self.lines: list[str] = []
        self.news = threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], seconds: float = PATIENCE) -> str:
        """The line; an assertion fails with all lines when the process ends or time runs out before it."""
        with self.news:
            self.news.wait_for(lambda: self.ended or any(map(wanted, self.lines)), seconds)
            found = [line for line in self.lines if wanted(line)]
        assert found, "the line never came:\n" + "\n".join(self.lines[-60:])
        return found[0]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(10)


class Deploy(Lines):
    """`ansible-playbook` in a session of its own."""

    def __init__(self, name: str, *arguments: str) -> None:
        inherited = {key: text for key, text in os.environ.items() if not key.endswith("FORCE_COLOR")}
        settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        super().__init__(
            ["ansible-playbook", "-i", str(INVENTORY), name, *arguments],
            cwd=ROOT,
            # Lines as they come, not when a buffer is full.
            env={**inherited, **settings, "PYTHONUNBUFFERED": "1"},
        )

    def end(self) -> Playbook:
        status = self.process.wait(PATIENCE)
        self.reader.join(10)
        return Playbook(status, "\n".join(self.lines))


class Events(Lines):
    """What the server's engine does to the app project's containers, one JSON object a line."""

    def __init__(self) -> None:
        label = "label=com.docker.compose.project=app"
        super().__init__(ssh(f"docker events --filter {label} --format '{{{{json .}}}}'"))

    def wait_for_action(self, action: str, service: str) -> None:
        """Such as `start` of a service; an action is the beginning of what the engine calls it."""

        def is_it(line: str) -> bool:
            try:
                event = json.loads(line)
            except ValueError:
                return False
            attributes = event["Actor"]["Attributes"]
            return event["Action"].startswith(action) and (
                attributes.get("com.docker.compose.service") == service
            )

        self.wait_for(is_it)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def kill_the_module(server: Server) -> int:
    """Kill, by their ids, the modules that a deploy left running on the server; how many there were."""
    found = MODULE.findall(server.run("ps -eo pid=,args="))
    if found:
        # One may have ended meanwhile.
        server.host.run(f"kill -9 {' '.join(found)}")
    return len(found)
