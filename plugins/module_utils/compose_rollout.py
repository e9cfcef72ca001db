"""Replace the services of an app one after the other, so that neither a request nor a task is lost.

The order: what the app stands on (only if it may be restarted), new web containers beside the old until they
are healthy, the switch, the end of the old ones, beat's end, the workers, proof that each new one answers and
consumes its queues, one beat, and everything else.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.compose_docker import DeployFailed, Engine
from ansible.module_utils.compose_drain import connections_of
from ansible.module_utils.compose_files import WantedFile, write
from ansible.module_utils.compose_state import Container

UPSTREAM = re.compile(r"(\S+):\d+")
PROOF_TRIES = 3
LOOK_SECONDS = 0.2
# Two seconds: what the proxy handed over just before its switch is on its way.
QUIET_LOOKS = 10


@dataclass(frozen=True)
class Plan:
    """Which service plays which part, as the role that describes the app knows it."""

    web: str
    replicas: int
    port: int
    upstreams: str
    """Path of the proxy's list of web containers, below the project's directory."""
    proxy: str
    """Service of the proxy; empty when it is somebody else's."""
    reload: tuple[str, ...]
    drain_seconds: float
    """How long the old web containers may take to answer what they have before they are asked to end."""
    scheduler: str
    workers: tuple[str, ...]
    proof: tuple[str, ...]
    """Command in a worker's container that proves the workers named as its arguments."""
    kept: tuple[str, ...]
    """Services that a deploy of the app does not restart unasked: broker, database, proxy."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Plan:
        values = {name: options[name] for name in cls.__dataclass_fields__}
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})


def restarts(plan: Plan, pending: Collection[str], containers: Sequence[Container]) -> list[str]:
    """Kept services that run now and would be replaced; one that does not run is only started."""
    running = {entry.service for entry in containers if entry.status == "running"}
    return [service for service in plan.kept if service in pending and service in running]


def serving(text: str) -> list[str]:
    """Names of the web containers in the proxy's list."""
    return UPSTREAM.findall(text)


def upstreams(names: Sequence[str], port: int) -> str:
    """The proxy's list: one line that stands inside Caddy's `reverse_proxy`."""
    return " ".join(["to", *(f"{name}:{port}" for name in names)]) + "\n"


@dataclass
class Rollout:
    """One pass over the services. `touched` are those that no longer run as they did before."""

    engine: Engine
    plan: Plan
    timeout: float
    note: Callable[[str], None]
    touched: set[str] = field(default_factory=set)

    def run(self, pending: Collection[str], jobs: Callable[[], None], *, reload: bool) -> None:
        """Bring the pending services to what the files say. Raises DeployFailed.

        `jobs` runs what must be done before new code serves. `reload`: the proxy's own files changed.
        """
        plan = self.plan
        self.replace_backing(pending)
        jobs()
        if plan.web in pending:
            self.replace_web()
            reload = True
        elif reload or self.listed() != self.web_names():
            self.list_upstreams(self.web_names())
            reload = True
        if plan.proxy in pending:
            if not self.engine.containers([plan.proxy]):
                # Whoever comes now comes to a web container directly, whose port the proxy may need.
                self.retire_web()
            self.replace([plan.proxy])
        elif plan.proxy and reload:
            self.reload_proxy()
        if plan.web in pending:
            self.retire_web()
        workers = [service for service in plan.workers if service in pending]
        if workers or plan.scheduler in pending:
            self.touched.add(plan.scheduler)
            self.engine.remove(self.engine.containers([plan.scheduler]))
        self.replace(workers)
        if workers:
            self.prove(workers)
        if workers or plan.scheduler in pending:
            self.replace([plan.scheduler])
        placed = {*plan.kept, plan.web, plan.scheduler, *plan.workers}
        self.replace([service for service in pending if service not in placed])

    def replace_backing(self, pending: Collection[str]) -> None:
        """Start, or where that is allowed restart, what the app stands on."""
        plan = self.plan
        self.replace([service for service in plan.kept if service in pending and service != plan.proxy])

    def replace(self, services: Sequence[str]) -> None:
        """Start or recreate services; Compose lets each old container end within its grace period."""
        if not services:
            return
        self.touched.update(services)
        self.engine.up(services)
        self.engine.wait(lambda: self.engine.containers(services), self.timeout)
        for service in services:
            self.note(f"started {service}")

    # --- web ----------------------------------------------------------------------------------------

    def replace_web(self) -> None:
        """New containers beside the old, listed when healthy; a failure removes them: nothing has changed."""
        plan = self.plan
        old = self.old_web()
        try:
            self.engine.up([plan.web], "--no-recreate", "--scale", f"{plan.web}={len(old) + plan.replicas}")
            self.engine.wait(lambda: self.new_web(old), self.timeout)
            names = [entry.name for entry in self.new_web(old)]
            self.list_upstreams(names)
        except DeployFailed:
            self.engine.remove(self.new_web(old))
            raise
        self.touched.add(plan.web)
        self.note(f"started {plan.web} ({', '.join(names)})")

    def old_web(self) -> list[Container]:
        """The containers that serve. Others are left from a deploy that was cut off: they go first."""
        listed = self.listed()
        found = self.engine.containers([self.plan.web])
        running = [entry for entry in found if entry.status == "running"]
        old = [entry for entry in running if entry.name in listed] or running
        self.engine.remove([entry for entry in found if entry not in old])
        return old

    def new_web(self, old: Sequence[Container]) -> list[Container]:
        known = {entry.identity for entry in old}
        return [entry for entry in self.engine.containers([self.plan.web]) if entry.identity not in known]

    def retire_web(self) -> None:
        """End the containers that the proxy no longer lists, once what it had handed to them was accepted."""
        listed = self.listed()
        retired = [entry for entry in self.engine.containers([self.plan.web]) if entry.name not in listed]
        if retired:
            self.drain(retired)
            self.engine.remove(retired)
            self.note(f"stopped {', '.join(entry.name for entry in retired)}")

    def drain(self, retired: Sequence[Container]) -> None:
        """Wait until no request waits for them or is answered; the proxy keeps no idle connection to them."""
        deadline = time.monotonic() + self.plan.drain_seconds
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            busy = sum(connections_of(entry.pid, self.plan.port) for entry in retired)
            quiet = 0 if busy else quiet + 1
            time.sleep(LOOK_SECONDS)

    def web_names(self) -> list[str]:
        return [entry.name for entry in self.engine.containers([self.plan.web]) if entry.status == "running"]

    def listed(self) -> list[str]:
        try:
            with open(self.upstreams_path, encoding="utf-8") as stream:
                return serving(stream.read())
        except FileNotFoundError:
            return []

    def list_upstreams(self, names: Sequence[str]) -> None:
        content = upstreams(names, self.plan.port)
        write(self.upstreams_path, WantedFile(self.plan.upstreams, content))

    @property
    def upstreams_path(self) -> str:
        return os.path.join(self.engine.directory, self.plan.upstreams)

    def reload_proxy(self) -> None:
        """Have the proxy read its files again; requests under way go on where they are."""
        for proxy in self.engine.containers([self.plan.proxy]):
            code, out, err = self.engine.docker("exec", proxy.identity, *self.plan.reload)
            if code != 0:
                raise DeployFailed(f"{proxy.name} did not take its new configuration: {(out + err).strip()}")
        self.note(f"reloaded {self.plan.proxy}")

    # --- workers ------------------------------------------------------------------------------------

    def prove(self, workers: Sequence[str]) -> None:
        """Each new worker answers to its own name and consumes the queues it is there for."""
        [container, *_] = self.engine.containers(workers)
        for attempt in range(PROOF_TRIES):
            code, out, err = self.engine.docker("exec", container.identity, *self.plan.proof, *workers)
            if code == 0:
                return
            if attempt + 1 < PROOF_TRIES:
                time.sleep(2.0)
        raise DeployFailed(f"the new workers were not proven: {(out + err).strip()}")
