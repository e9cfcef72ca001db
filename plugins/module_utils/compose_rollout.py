"""Replace the services of an app one after the other, so that neither a request nor a task is lost.

The order: what the app stands on (only if it may be restarted), new web containers beside the old until they
are healthy, the switch, the end of the old ones, beat's end, the workers, proof that each new one answers
and consumes its queues, one beat, and everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.compose_docker import DeployFailed, Engine
from ansible.module_utils.compose_drain import connections_of
from ansible.module_utils.compose_state import Container

PROOF_TRIES = 3
LOOK_SECONDS = 0.2
# Two seconds: what the proxy handed over just before its switch is on its way.
QUIET_LOOKS = 10


@dataclass(frozen=True)
class Plan:
    """Which service plays which part, as the role that describes the app knows it."""

    web: str
    port: int
    slots: tuple[str, ...]
    """Two names that the proxy knows. A web container bears one of them while it serves, and only then."""
    proxy: str
    """Service of the proxy; empty when it is somebody else's."""
    proxy_files: str
    """Folder of its files, below the project's directory."""
    reload: tuple[str, ...]
    retire: tuple[str, ...]
    """Command in a web container that makes it tell the proxy that it takes no more requests."""
    seen_seconds: float
    """How long the proxy may take to see that a container bears one of the names, or is retired."""
    drain_seconds: float
    """How long the old web containers may take to answer what they have before they are asked to end."""
    scheduler: str
    workers: tuple[str, ...]
    quiet: tuple[str, ...]
    """Command in a worker's container that has the workers named as its arguments take no more tasks."""
    proof: tuple[str, ...]
    """Command in a worker's container that proves the workers named as its arguments."""
    kept: tuple[str, ...]
    """Services that a deploy of the app does not restart unasked: broker, database, proxy."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Plan:
        values = {name: options[name] for name in cls.__dataclass_fields__}
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})

    def unnamed(self, containers: Sequence[Container]) -> bool:
        """Whether somebody recreated the web container by hand, so that the proxy does not know it."""
        web = [entry for entry in containers if entry.service == self.web]
        return bool(web) and not any(entry.name in self.slots for entry in web)


def restarts(plan: Plan, pending: Collection[str], containers: Sequence[Container]) -> list[str]:
    """Kept services that run now and would be replaced; one that does not run is only started."""
    running = {entry.service for entry in containers if entry.status == "running"}
    return [service for service in plan.kept if service in pending and service in running]


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
        retired: list[Container] = []
        if plan.web in pending:
            retired = self.replace_web()
        elif plan.unnamed(web := self.web()):
            self.take_name(web[-1])
        if plan.proxy in pending:
            if not self.engine.containers([plan.proxy]):
                # Whoever comes now comes to a web container directly, whose port the proxy may need.
                self.retire(retired)
            self.replace([plan.proxy])
        elif plan.proxy and reload:
            self.reload_proxy()
        self.retire(retired)
        workers = [service for service in plan.workers if service in pending]
        if workers or plan.scheduler in pending:
            self.touched.add(plan.scheduler)
            self.engine.remove(self.engine.containers([plan.scheduler]))
        self.quiet(workers)
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
        """Recreate services; Compose lets each old container end within its grace period.

        Even where Compose would see nothing to do, because its hash of a service is another one with
        `--no-deps`: a worker that was told to take no more tasks takes none until it is replaced.
        """
        if not services:
            return
        self.touched.update(services)
        self.engine.up(services, "--force-recreate")
        self.engine.wait(lambda: self.engine.containers(services), self.timeout)
        for service in services:
            self.note(f"started {service}")

    # --- web ----------------------------------------------------------------------------------------

    def replace_web(self) -> list[Container]:
        """A new container beside the old; it serves, under one of the proxy's names, when it is healthy.

        Returns the old ones. A failure removes the new one: nothing has changed.
        """
        plan = self.plan
        old = self.old_web()
        known = {entry.identity for entry in old}

        def new() -> list[Container]:
            return [entry for entry in self.web() if entry.identity not in known]

        try:
            self.engine.up([plan.web], "--no-recreate", "--scale", f"{plan.web}={len(old) + 1}")
            self.engine.wait(new, self.timeout)
            self.take_name(new()[0])
        except DeployFailed:
            self.engine.remove(new())
            raise
        self.touched.add(plan.web)
        self.note(f"started {plan.web}")
        self.let_the_proxy_see()
        return old

    def let_the_proxy_see(self) -> None:
        """Somebody else's proxy, too, asks for health; before the first start of one's own nobody does."""
        if not self.plan.proxy or self.engine.containers([self.plan.proxy]):
            time.sleep(self.plan.seen_seconds)

    def old_web(self) -> list[Container]:
        """The container that serves. What else is there a deploy that was cut off left: it goes first."""
        running = [entry for entry in self.web() if entry.status == "running"]
        serving = [entry for entry in running if entry.name in self.plan.slots]
        old = serving[-1:] or running
        self.engine.remove([entry for entry in self.web() if entry not in [*old, *serving]])
        self.retire([entry for entry in serving if entry not in old])
        return old

    def web(self) -> list[Container]:
        """Web containers, the newest last."""
        return sorted(self.engine.containers([self.plan.web]), key=lambda entry: entry.started_at)

    def take_name(self, container: Container) -> None:
        taken = {entry.name for entry in self.web()}
        name = next(slot for slot in self.plan.slots if slot not in taken)
        self.rename(container, name)

    def rename(self, container: Container, name: str) -> None:
        """Docker's DNS follows at once, and running connections do not notice."""
        code, _out, err = self.engine.docker("rename", container.identity, name)
        if code != 0:
            raise DeployFailed(f"{container.name} could not be renamed to {name}: {err.strip()}")

    def retire(self, containers: Sequence[Container]) -> None:
        """Have them tell the proxy that they end, let them answer what they have, and end them.

        They keep their name until they are gone: a request that is sent to a name which nobody bears is lost
        if it has a body (Caddy 2.6 cannot send it again).
        """
        present = {entry.identity for entry in self.web()}
        retired = [entry for entry in containers if entry.identity in present]
        if not retired:
            return
        for entry in retired:
            self.engine.docker("exec", entry.identity, *self.plan.retire)
        self.let_the_proxy_see()
        self.drain(retired)
        self.engine.remove(retired)
        self.note(f"stopped the old {self.plan.web}")

    def drain(self, retired: Sequence[Container]) -> None:
        """Wait until no request waits for them or is answered; the proxy keeps no idle connection to them."""
        deadline = time.monotonic() + self.plan.drain_seconds
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            busy = sum(connections_of(entry.pid, self.plan.port) for entry in retired)
            quiet = 0 if busy else quiet + 1
            time.sleep(LOOK_SECONDS)

    def reload_proxy(self) -> None:
        """Have the proxy read its files again; requests under way go on where they are."""
        for proxy in self.engine.containers([self.plan.proxy]):
            code, out, err = self.engine.docker("exec", proxy.identity, *self.plan.reload)
            if code != 0:
                raise DeployFailed(f"{proxy.name} did not take its new configuration: {(out + err).strip()}")
        self.note(f"reloaded {self.plan.proxy}")

    # --- workers ------------------------------------------------------------------------------------

    def quiet(self, workers: Sequence[str]) -> None:
        """Have the old workers leave their queues. One that cannot be told is stopped all the same."""
        running = [entry for entry in self.engine.containers(workers) if entry.status == "running"]
        if running:
            self.touched.update(workers)
            self.engine.docker("exec", running[0].identity, *self.plan.quiet, *workers)

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
