"""One deploy of a compose project: compare, validate, replace files, change services, record, or go back."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, TypeVar

from ansible.module_utils.compose_docker import DeployFailed, Engine
from ansible.module_utils.compose_files import (
    FileOnHost,
    RecordedService,
    RecordedState,
    WantedFile,
    configuration_digest,
    diff_entry,
    differs,
    problems_in_paths,
    read,
    read_state,
    write,
    write_state,
)
from ansible.module_utils.compose_releases import (
    DEPLOYED,
    Release,
    Releases,
    applied_migrations,
    new_id,
)
from ansible.module_utils.compose_rollout import Plan, Rollout, restarts
from ansible.module_utils.compose_state import Container, orphans, pending_services

Changes = list[tuple[WantedFile, FileOnHost]]
Result = TypeVar("Result")
JOB_LINES = 30


@dataclass(frozen=True)
class Wanted:
    """What a project is to become. Without `plan` Compose replaces what differs, and no release is kept."""

    files: Sequence[WantedFile]
    networks: Sequence[str] = ()
    checks: Sequence[dict[str, Any]] = ()
    jobs: Sequence[str] = ()
    only_jobs: bool = False
    timeout: float = 180
    plan: Plan | None = None
    rollout: dict[str, Any] = field(default_factory=dict)
    """The plan's options, for the record of the release."""
    target: Release | None = None
    """The earlier release that these files are of, in a rollback."""


class Deploy:
    """The steps in the order in which `run` takes them."""

    def __init__(self, engine: Engine, wanted: Wanted, *, check_mode: bool) -> None:
        self.engine, self.wanted, self.check_mode = engine, wanted, check_mode
        self.directory = engine.directory
        self.recorded = read_state(self.directory)
        self.releases = Releases(self.directory)
        self.current = self.releases.current()
        self.release: Release | None = None
        self.actions: list[str] = []
        self.migrations: list[str] = list(wanted.rollout.get("migrations", ()))
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """What the module returns. Raises DeployFailed, whose message says what became of the project."""
        problems = problems_in_paths(list(self.wanted.files))
        if not any(entry.path == self.engine.compose_file for entry in self.wanted.files):
            problems.append(f"compose_file {self.engine.compose_file} is not among the files")
        if problems:
            raise DeployFailed("; ".join(problems))

        changes, stale = self.changed_files()
        diff = [diff_entry(self.directory, entry, found) for entry, found in changes]
        if self.check_mode and not self.engine.answers():
            # The engine itself would be installed by this deploy: nothing more can be foretold.
            self.actions.append("would start every service: the host has no Docker with Compose yet")
            return self.result(changed=True, diff=diff, pending=[])

        before = self.engine.containers()
        hashes = self.timed("validate", self.hashes, changes)
        pending = pending_services(hashes, self.recorded_hashes(), before)
        surplus = [entry for entry in before if entry.service in orphans(hashes, before)]
        reload = self.refuse_and_foresee(pending, before, changes)
        self.ensure_networks()
        changed = bool(changes or stale or pending or surplus or reload or self.actions)
        if self.check_mode or not (changed or self.unrecorded):
            if not self.check_mode:
                self.record(hashes, self.timed("wait", self.settle, before))
            return self.result(changed=changed, diff=diff, pending=pending)

        rollout = self.rollout() if self.wanted.plan else None
        try:
            if rollout and self.wanted.only_jobs:
                return self.jobs_alone(rollout, pending, changes)
            self.begin_release()
            self.write_files(changes)
            self.act(rollout, pending, surplus, reload)
            after = self.timed("wait", self.settle)
        except (DeployFailed, OSError) as error:
            raise DeployFailed(self.recovered(error, rollout, changes)) from error
        self.remove_files(stale)
        self.record(hashes, after)
        self.end_release(after)
        changed = changed or {entry.generation for entry in after} != {entry.generation for entry in before}
        return self.result(changed=changed, diff=diff, pending=pending)

    def result(self, **values: Any) -> dict[str, Any]:
        release = self.release or self.current
        return {
            **values,
            "actions": self.actions,
            "seconds": self.seconds,
            "release": release.id if release else "",
            "migrations": self.migrations,
        }

    def timed(self, step: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a step and keep its duration, which `make bench` reports."""
        started = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self.seconds[step] = round(time.monotonic() - started, 2)

    # --- before anything changes --------------------------------------------------------------------

    def changed_files(self) -> tuple[Changes, list[str]]:
        """Files to write with what they replace, and managed files to remove."""
        pairs = [(entry, read(os.path.join(self.directory, entry.path))) for entry in self.wanted.files]
        kept = {entry.path for entry in self.wanted.files}
        stale = [path for path in self.recorded.files if path not in kept]
        return [(entry, found) for entry, found in pairs if differs(entry, found)], stale

    def hashes(self, changes: Changes) -> dict[str, str]:
        """The config hash of each service: the recorded one, unless Compose may say something else now."""
        if not changes and self.recorded.configuration == self.configuration:
            return {name: entry.wanted for name, entry in self.recorded.services.items()}
        return self.validate(bool(changes))

    @property
    def configuration(self) -> str:
        return configuration_digest(self.wanted.files, self.engine.compose_file)

    def validate(self, differing: bool) -> dict[str, str]:
        """Write everything to a staging folder, check it there, return the config hash of each service.

        `differing`: whether any file does; the checks of an earlier deploy hold for the same files.
        """
        staging = tempfile.mkdtemp(prefix="soundcheck-")
        try:
            for entry in self.wanted.files:
                write(os.path.join(staging, entry.path), entry)
            # The project directory stays the real one: relative paths are part of the config hash.
            arguments = ["compose", "-p", self.engine.name, "--project-directory", self.directory]
            arguments += ["-f", os.path.join(staging, self.engine.compose_file)]
            if os.path.exists(os.path.join(staging, ".env")):
                arguments += ["--env-file", os.path.join(staging, ".env")]
            code, out, err = self.engine.docker(*arguments, "config", "--hash", "*", cwd=staging)
            if code != 0:
                name = f"{self.engine.compose_file} of project {self.engine.name}"
                raise DeployFailed(f"{name} is not valid: {err.strip()}")
            for check in self.wanted.checks if differing else ():
                argv = [argument.replace("{staging}", staging) for argument in check["argv"]]
                code, said, err = self.engine.run(argv)
                if code != 0:
                    raise DeployFailed(f"{check['name']} failed on the new files: {(said + err).strip()}")
        finally:
            shutil.rmtree(staging)
        return dict(line.split()[:2] for line in out.splitlines() if len(line.split()) >= 2)

    def recorded_hashes(self) -> dict[str, tuple[str, str]]:
        return {name: (entry.wanted, entry.running) for name, entry in self.recorded.services.items()}

    def refuse_and_foresee(
        self, pending: Sequence[str], before: Sequence[Container], changes: Changes
    ) -> bool:
        """Whether the proxy has something new to read. Refuses restarts that nobody asked for."""
        plan = self.wanted.plan
        if plan is None:
            return False
        unasked = restarts(plan, pending, before)
        if unasked and not self.wanted.rollout["restart_kept"]:
            differing = ", ".join(entry.path for entry, _found in changes) or "none"
            raise DeployFailed(
                f"{', '.join(unasked)} would be restarted, which a deploy of the app does not do unasked"
                f" (files that differ: {differing}); nothing was changed."
                " Set app_release_restart_backing=true for a deploy that may"
            )
        folder = plan.proxy_files + "/"
        return any(entry.path.startswith(folder) for entry, _found in changes) or (
            plan.web not in pending and plan.unnamed(before)
        )

    def ensure_networks(self) -> None:
        for network in self.wanted.networks:
            code, _out, _err = self.engine.docker("network", "inspect", network)
            if code == 0:
                continue
            if not self.check_mode:
                label = f"soundcheck.network={network}"
                code, _out, err = self.engine.docker("network", "create", "--label", label, network)
                if code != 0:
                    raise DeployFailed(f"network {network} could not be created: {err.strip()}")
            self.actions.append(f"created network {network}")

    @property
    def unrecorded(self) -> bool:
        return self.wanted.plan is not None and self.current is None

    # --- change -------------------------------------------------------------------------------------

    def rollout(self) -> Rollout:
        assert self.wanted.plan is not None
        return Rollout(self.engine, self.wanted.plan, self.wanted.timeout, self.actions.append)

    def write_files(self, changes: Changes) -> None:
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        for entry, _found in changes:
            write(os.path.join(self.directory, entry.path), entry)
            self.actions.append(f"wrote {entry.path}")

    def remove_files(self, paths: Sequence[str]) -> None:
        for path in paths:
            if os.path.exists(os.path.join(self.directory, path)):
                os.unlink(os.path.join(self.directory, path))
            self.actions.append(f"removed {path}")

    def act(
        self, rollout: Rollout | None, pending: Sequence[str], surplus: Sequence[Container], reload: bool
    ) -> None:
        def jobs() -> None:
            if pending:
                self.timed("jobs", self.run_jobs)

        def start() -> None:
            if rollout:
                rollout.run(pending, jobs, reload=reload)
                return
            jobs()
            if pending:
                self.engine.up_all()
                self.actions.extend(f"started {service}" for service in pending)

        self.timed("start", start)
        if surplus:
            self.engine.remove(surplus)
            self.actions.extend(f"removed {entry.name}" for entry in surplus)

    def jobs_alone(self, rollout: Rollout, pending: Sequence[str], changes: Changes) -> dict[str, Any]:
        """The jobs with the new files in place, which then make room for the old ones again."""
        if pending:
            self.write_files(changes)
            rollout.replace_backing(pending)
            self.timed("jobs", self.run_jobs)
            self.restore_files(changes)
        return self.result(changed=bool(pending), diff=[], pending=pending)

    def run_jobs(self) -> None:
        for job in self.wanted.jobs:
            # A rollout has started what the job needs; elsewhere Compose does.
            options = ["--no-deps"] if self.wanted.plan else []
            code, out, err = self.engine.compose("run", "--rm", "-T", *options, job)
            self.migrations += applied_migrations(out + err)
            if self.release:
                self.release = replace(self.release, migrations=self.migrations)
                self.releases.write(self.release)
            if code != 0:
                lines = [line for line in (out + "\n" + err).splitlines() if line.strip()]
                headline = f"job {job} of project {self.engine.name} failed with status {code}"
                raise JobFailed("\n".join([f"{headline};", *lines[-JOB_LINES:]]))
            self.actions.append(f"ran job {job}")

    def settle(self, known: list[Container] | None = None) -> list[Container]:
        """Wait until all is well. `known`: the containers as they were asked for just now."""
        return self.engine.wait(self.engine.containers, self.wanted.timeout, known)

    # --- record -------------------------------------------------------------------------------------

    def record(self, hashes: dict[str, str], containers: Sequence[Container]) -> None:
        running = {container.service: container.config_hash for container in containers}
        services = {name: RecordedService(hashes[name], running.get(name, "")) for name in sorted(hashes)}
        paths = tuple(sorted(entry.path for entry in self.wanted.files))
        state = RecordedState(paths, services, self.configuration)
        if state != self.recorded:
            write_state(self.directory, state)

    def begin_release(self) -> None:
        """Written before anything changes: a full disk is noticed, and a deploy cut off leaves its name."""
        if self.wanted.plan is None or self.wanted.target:
            self.release = self.wanted.target
            return
        rollout, now = self.wanted.rollout, datetime.now(timezone.utc)
        release = Release(
            id=new_id(rollout["version"], now),
            version=rollout["version"],
            at=now.isoformat(timespec="seconds"),
            by=rollout["by"] or getpass.getuser(),
            result="started",
            migrations=self.migrations,
            rollout=rollout,
        )
        self.releases.add(release, self.wanted.files)
        self.release = next(entry for entry in self.releases.all() if entry.id == release.id)

    def end_release(self, containers: Sequence[Container]) -> None:
        if self.release is None:
            return
        if self.wanted.target and self.current and self.current.id != self.release.id:
            reason = self.wanted.rollout["reason"]
            self.releases.write(replace(self.current, result="rolled back", reason=reason))
            self.actions.append(f"rolled back from {self.current.id} to {self.release.id}")
        images = {entry.reference: entry.image for entry in containers}
        self.release = replace(self.release, result=DEPLOYED, reason="", images=images)
        self.releases.write(self.release)
        self.releases.point_at(self.release)
        removed, unused = self.releases.prune(self.wanted.rollout["keep"])
        for release in removed:
            self.actions.append(f"forgot release {release.id}")
        for image in sorted(unused):
            # Refused while another project's container uses it, which is as it should be.
            if self.engine.docker("rmi", image)[0] == 0:
                self.actions.append(f"removed image {image.removeprefix('sha256:')[:12]}")

    # --- go back ------------------------------------------------------------------------------------

    def recovered(self, error: Exception, rollout: Rollout | None, changes: Changes) -> str:
        """Undo what was begun; the error's text with what became of the project."""
        reason = f"writing failed: {error}" if isinstance(error, OSError) else str(error)
        if self.wanted.plan is None and not isinstance(error, (JobFailed, OSError)):
            return reason
        self.mark_failed(reason)
        touched = rollout.touched if rollout else set()
        if touched and self.current is None:
            return f"{reason}\nThere is no earlier release to go back to: the failed one was left as it is."
        if touched and self.wanted.rollout["keep_failed"]:
            return f"{reason}\nLeft as it is, because app_release_keep_failed is set."
        if touched and self.release and self.release.migrations and not self.may_pass_migrations:
            return (
                f"{reason}\nNot rolled back: this deploy applied {', '.join(self.release.migrations)}, which"
                " the earlier release does not know. If its code can live with them:"
                " ansible-playbook playbooks/rollback.yml -e app_release_ignore_migrations=true"
            )
        try:
            self.restore_files(changes)
        except OSError as second:
            return f"{reason}\nThe files of the release that serves could not be put back: {second}"
        if not touched:
            return f"{reason}\nThe running services were not touched."
        back = self.rollout()
        try:
            back.run(sorted(touched), lambda: None, reload=True)
            self.settle()
        except (DeployFailed, OSError) as second:
            return f"{reason}\nThe rollback failed, too: {second}"
        return f"{reason}\nRolled back: release {self.current.id if self.current else ''} serves again."

    @property
    def may_pass_migrations(self) -> bool:
        return bool(self.wanted.rollout["ignore_migrations"])

    def mark_failed(self, reason: str) -> None:
        if self.release and self.release != self.wanted.target:
            self.release = replace(self.release, result="failed", reason="; ".join(reason.splitlines()[:2]))
            try:
                self.releases.write(self.release)
            except OSError:
                # A disk that is full; what is on it already says that this release was started.
                return

    def restore_files(self, changes: Changes) -> None:
        """The files of the release that serves, or where none is recorded those that lay here before."""
        if self.current:
            files = self.releases.files(self.current)
            surplus = {entry.path for entry in self.wanted.files} - {entry.path for entry in files}
        else:
            files = [
                WantedFile(entry.path, found.content, found.mode, found.owner or 0, found.group or 0)
                for entry, found in changes
                if found.content is not None and found.mode is not None
            ]
            surplus = {entry.path for entry, found in changes if found.content is None}
        for entry in files:
            path = os.path.join(self.directory, entry.path)
            if differs(entry, read(path)):
                write(path, entry)
        for name in surplus:
            path = os.path.join(self.directory, name)
            if os.path.exists(path):
                os.unlink(path)


class JobFailed(DeployFailed):
    """A one-off job ended with an error before any service changed."""
