#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: compose_project
short_description: Bring one Docker Compose project to its wanted state in one round trip
description:
  - Compares the project's files with what lies on the host, validates the new ones beside the old,
    replaces them, runs one-off jobs (checks, migrations), starts the services and waits until they are well.
  - A file that fails validation and a job that fails leave the files of the running project as they were.
  - Meant to be called through the action plugin of the same name, which renders templates on the controller.
options:
  project:
    description: Name of the compose project.
    type: str
    required: true
  directory:
    description: The project's directory on the host; created with mode 0755.
    type: path
    required: true
  compose_file:
    description: Path of the compose file below O(directory); must be one of O(files).
    type: str
    required: true
  files:
    description: Files that may be shown in a diff.
    type: list
    elements: dict
    required: true
    options: &file
      path: {description: Path below O(directory)., type: str, required: true}
      content: {description: The whole content., type: str, required: true}
      mode: {description: Octal mode as a string., type: str, default: "0644"}
      owner: {description: Numeric user id., type: int, default: 0}
      group: {description: Numeric group id., type: int, default: 0}
  secret_files:
    description: Files whose content is never shown, neither in diffs nor in messages.
    type: list
    elements: dict
    default: []
    options: *file
  networks:
    description: Networks shared with other projects, created when missing.
    type: list
    elements: str
    default: []
  checks:
    description:
      - Commands that must succeed on the new files before they replace the old ones; where no file differs
        there is nothing to check. C({staging}) in an argument stands for the folder that holds the new files.
    type: list
    elements: dict
    default: []
    options:
      name: {description: What the command checks, for the error message., type: str, required: true}
      argv: {description: The command., type: list, elements: str, required: true}
  jobs:
    description: Compose services run once each, in this order, before services change.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: Seconds until every service must be well.
    type: int
    default: 180
attributes:
  check_mode: {support: full, description: Renders, compares and validates; changes nothing.}
  diff_mode: {support: full, description: Shows every file but the secret ones.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Start the demo
  compose_project:
    project: demo
    directory: /opt/demo
    compose_file: docker-compose.yml
    files:
      - path: docker-compose.yml
        content: "services: {web: {image: 'nginx:1.29'}}"
"""

RETURN = r"""
actions:
  description: What was done, in order, as short sentences.
  type: list
  elements: str
  returned: always
pending:
  description: Services that were (check mode, would be) created, recreated or started.
  type: list
  elements: str
  returned: always
seconds:
  description: Duration of the steps C(validate), C(jobs), C(start) and C(wait), in seconds.
  type: dict
  returned: always
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.compose_files import (
    FileOnHost,
    RecordedService,
    RecordedState,
    WantedFile,
    diff_entry,
    differs,
    from_parameters,
    problems_in_paths,
    read,
    read_state,
    secret_values,
    write,
    write_state,
)
from ansible.module_utils.compose_state import (
    PROJECT_LABEL,
    Container,
    explanation,
    orphans,
    parse,
    pending_services,
    verdict,
)

FILE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "int", "default": 0},
    "group": {"type": "int", "default": 0},
}
LOG_LINES = 15
Result = TypeVar("Result")


class QuietModule(AnsibleModule):
    """Leaves its arguments out of the host's journal, where Ansible writes those of every module.

    Secret values are masked there, but the content of a secret file stands in a printed list, in which its
    line ends look different. `no_log` on the option would mask modes and paths, too, wherever they occur.
    """

    def _log_invocation(self) -> None:
        self.log(f"Invoked for project {self.params['project']} in {self.params['directory']}")


class Project:
    """One run of the module: the steps in the order in which `main` takes them."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.name: str = module.params["project"]
        self.directory: str = module.params["directory"]
        self.compose_file: str = module.params["compose_file"]
        self.files: list[WantedFile] = [
            *from_parameters(module.params["files"], secret=False),
            *from_parameters(module.params["secret_files"], secret=True),
        ]
        self.recorded = read_state(self.directory)
        self.actions: list[str] = []
        self.seconds: dict[str, float] = {}
        module.no_log_values.update(secret_values(self.files))

    def fail(self, message: str, **details: object) -> None:
        self.module.fail_json(msg=message, actions=self.actions, **details)

    def timed(self, step: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a step and keep its duration, which `make bench` reports."""
        started = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self.seconds[step] = round(time.monotonic() - started, 2)

    # --- commands -----------------------------------------------------------------------------------

    def docker(self, *arguments: str, cwd: str | None = None) -> tuple[int, str, str]:
        code, out, err = self.module.run_command(
            ["docker", *arguments],
            cwd=cwd,
            environ_update={"COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain"},
        )
        return code, out, err

    def compose(self, *arguments: str, directory: str | None = None) -> tuple[int, str, str]:
        folder = directory or self.directory
        return self.docker(
            "compose", "-p", self.name, "-f", os.path.join(folder, self.compose_file), *arguments, cwd=folder
        )

    def engine_answers(self) -> bool:
        return bool(self.module.get_bin_path("docker")) and self.docker("compose", "ls", "-q")[0] == 0

    def containers(self) -> list[Container]:
        code, out, err = self.docker(
            "ps", "-aq", "--no-trunc", "--filter", f"label={PROJECT_LABEL}={self.name}"
        )
        if code != 0:
            self.fail(f"Docker does not answer on this host: {err.strip()}")
        identities = out.split()
        if not identities:
            return []
        # A container may be gone between the two calls; inspect then prints the others and exits with 1.
        _code, out, _err = self.docker("inspect", *identities)
        return parse(self.module.from_json(out))

    def last_lines(self, container: Container) -> list[str]:
        _code, out, err = self.docker("logs", "--tail", str(LOG_LINES), container.identity)
        return (out + err).splitlines()[-LOG_LINES:]

    # --- steps --------------------------------------------------------------------------------------

    def changed_files(self) -> tuple[list[tuple[WantedFile, FileOnHost]], list[str]]:
        """Files to write with what they replace, and managed files to remove."""
        pairs = [(entry, read(os.path.join(self.directory, entry.path))) for entry in self.files]
        kept = {entry.path for entry in self.files}
        stale = [path for path in self.recorded.files if path not in kept]
        return [(entry, found) for entry, found in pairs if differs(entry, found)], stale

    def validate(self, staging: str, differing: bool) -> dict[str, str]:
        """Write everything to a staging folder, check it there, return the config hash of each service.

        `differing`: whether any file does; the checks of an earlier deploy hold for the same files.
        """
        for entry in self.files:
            write(os.path.join(staging, entry.path), entry)
        # The project directory stays the real one: relative paths are part of the config hash.
        arguments: tuple[str, ...] = ("compose", "-p", self.name, "--project-directory", self.directory)
        arguments += ("-f", os.path.join(staging, self.compose_file))
        staged_env = os.path.join(staging, ".env")
        if os.path.exists(staged_env):
            arguments += ("--env-file", staged_env)
        code, out, err = self.docker(*arguments, "config", "--hash", "*", cwd=staging)
        if code != 0:
            self.fail(f"{self.compose_file} of project {self.name} is not valid: {err.strip()}")
        for check in self.module.params["checks"] if differing else []:
            argv = [argument.replace("{staging}", staging) for argument in check["argv"]]
            code, check_out, err = self.module.run_command(argv)
            if code != 0:
                self.fail(f"{check['name']} failed on the new files: {(check_out + err).strip()}")
        return dict(line.split()[:2] for line in out.splitlines() if len(line.split()) >= 2)

    def ensure_networks(self) -> None:
        for network in self.module.params["networks"]:
            code, _out, _err = self.docker("network", "inspect", network)
            if code == 0:
                continue
            if not self.module.check_mode:
                code, _out, err = self.docker(
                    "network", "create", "--label", f"soundcheck.network={network}", network
                )
                if code != 0:
                    self.fail(f"network {network} could not be created: {err.strip()}")
            self.actions.append(f"created network {network}")

    def write_files(self, changes: list[tuple[WantedFile, FileOnHost]], stale: list[str]) -> None:
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        for entry, _found in changes:
            write(os.path.join(self.directory, entry.path), entry)
            self.actions.append(f"wrote {entry.path}")
        for path in stale:
            if os.path.exists(os.path.join(self.directory, path)):
                os.unlink(os.path.join(self.directory, path))
            self.actions.append(f"removed {path}")

    def recorded_hashes(self) -> dict[str, tuple[str, str]]:
        return {name: (entry.wanted, entry.running) for name, entry in self.recorded.services.items()}

    def record(self, hashes: dict[str, str], containers: list[Container]) -> None:
        running = {container.service: container.config_hash for container in containers}
        services = {name: RecordedService(hashes[name], running.get(name, "")) for name in sorted(hashes)}
        state = RecordedState(tuple(sorted(entry.path for entry in self.files)), services)
        if state != self.recorded:
            write_state(self.directory, state)

    def restore_files(self, changes: list[tuple[WantedFile, FileOnHost]]) -> None:
        for entry, found in changes:
            path = os.path.join(self.directory, entry.path)
            if found.content is None or found.mode is None:
                os.unlink(path)
            else:
                write(
                    path,
                    WantedFile(entry.path, found.content, found.mode, found.owner or 0, found.group or 0),
                )

    def run_jobs(self, changes: list[tuple[WantedFile, FileOnHost]]) -> None:
        for job in self.module.params["jobs"]:
            code, out, err = self.compose("run", "--rm", "-T", job)
            if code != 0:
                self.restore_files(changes)
                lines = [line for line in (out + "\n" + err).splitlines() if line.strip()]
                self.fail(
                    f"job {job} of project {self.name} failed with status {code};"
                    " the running services were not touched.\n" + "\n".join(lines[-30:])
                )
            self.actions.append(f"ran job {job}")

    def start(self) -> None:
        code, _out, err = self.compose("up", "-d", "--remove-orphans")
        if code != 0:
            # Compose names the container that kept another one waiting; its own words say why it failed.
            self.report_failed(
                f"docker compose up of project {self.name} failed: {err.strip().splitlines()[-1:]}"
            )

    def wait(self) -> list[Container]:
        """Poll until every container is up; a container that failed twice in a row ends the wait."""
        deadline = time.monotonic() + self.module.params["wait_timeout"]
        failed_before: set[str] = set()
        while True:
            now = datetime.now(UTC)
            containers = self.containers()
            verdicts = {
                entry.identity: verdict(entry, seconds_since(entry.started_at, now)) for entry in containers
            }
            failed = {identity for identity, word in verdicts.items() if word == "failed"}
            if all(word == "up" for word in verdicts.values()):
                return containers
            if failed & failed_before or time.monotonic() > deadline:
                self.report_failed(f"project {self.name} did not come up")
            failed_before = failed
            time.sleep(1.0)

    def report_failed(self, headline: str) -> None:
        now = datetime.now(UTC)
        parts = [headline]
        for container in self.containers():
            if verdict(container, seconds_since(container.started_at, now)) != "up":
                parts.append(explanation(container))
                parts.extend(f"    {line}" for line in self.last_lines(container))
        self.fail("\n".join(parts))


def seconds_since(started_at: str, now: datetime) -> float:
    """Age of a container in seconds; Docker prints nanoseconds, which datetime does not read."""
    try:
        started = datetime.strptime(started_at[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return (now - started).total_seconds()


def main() -> None:
    module = QuietModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "compose_file": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {**FILE_OPTIONS, "content": {"type": "str", "required": True}},
            },
            "secret_files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {**FILE_OPTIONS, "content": {"type": "str", "required": True, "no_log": True}},
            },
            "networks": {"type": "list", "elements": "str", "default": []},
            "checks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "argv": {"type": "list", "elements": "str", "required": True},
                },
            },
            "jobs": {"type": "list", "elements": "str", "default": []},
            "wait_timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    project = Project(module)
    problems = problems_in_paths(project.files)
    if problems:
        project.fail("; ".join(problems))
    if not any(entry.path == project.compose_file for entry in project.files):
        project.fail(f"compose_file {project.compose_file} is not among the files")

    changes, stale = project.changed_files()
    diff = [diff_entry(project.directory, entry, found) for entry, found in changes]
    if module.check_mode and not project.engine_answers():
        # The engine itself would be installed by this deploy: nothing more can be foretold.
        project.actions.append("would start every service: the host has no Docker with Compose yet")
        module.exit_json(changed=True, diff=diff, pending=[], actions=project.actions, seconds={})

    before = project.containers()
    staging = tempfile.mkdtemp(prefix="soundcheck-")
    try:
        hashes = project.timed("validate", project.validate, staging, bool(changes))
    finally:
        shutil.rmtree(staging)
    pending = pending_services(hashes, project.recorded_hashes(), before)
    surplus = orphans(hashes, before)
    project.ensure_networks()

    changed = bool(changes or stale or pending or surplus or project.actions)
    if module.check_mode:
        module.exit_json(changed=changed, diff=diff, pending=pending, actions=project.actions, seconds={})
    project.write_files(changes, stale)
    if pending:
        project.timed("jobs", project.run_jobs, changes)
    if pending or surplus:
        project.timed("start", project.start)
    after = project.timed("wait", project.wait)
    project.record(hashes, after)
    changed = changed or {entry.generation for entry in after} != {entry.generation for entry in before}
    project.actions.extend(f"started {service}" for service in pending)
    module.exit_json(
        changed=changed, diff=diff, pending=pending, actions=project.actions, seconds=project.seconds
    )


if __name__ == "__main__":
    main()
