"""The rendered Caddyfile in a real Caddy before real backends: what is refused, retried, and never lost.

Two programs run in the Debian-built image (`make images` comes first): its own, and that of the release which
`container_images_source: registry` pulls.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.render import Rendering

HERE = Path(__file__).resolve().parent
PREFIX = f"soundcheck-test-proxy-{os.getpid()}"
PUBLIC, TLS, HOST_ONLY = 80, 443, 8000
DOMAIN = "music.localhost"
REFUSED = [
    *("/metrics", "/metrics/", "/metrics?x=1", "//metrics", "/x/../metrics", "/%6detrics", "/METRICS"),
    *("/admin", "/admin/", "/admin/login/?next=/", "/flower/", "/__debug__/sql", "/silk/requests/"),
]


@dataclass
class Answer:
    """What came to one request."""

    status: int
    body: bytes
    headers: dict[str, str]
    seconds: float = 0.0

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Stack:
    """A network with one Caddy; backends come and go."""

    network: str
    folder: Path
    image: str
    python_image: str
    program: Path | None
    settings: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    serving: dict[str, str] = field(default_factory=dict)
    """Name that the proxy knows to the backend that bears it."""
    ports: dict[int, int] = field(default_factory=dict)

    @property
    def proxy(self) -> str:
        return f"{self.network}-caddy"

    @property
    def slots(self) -> list[str]:
        return [f"{self.network}-blue", f"{self.network}-green"]

    def start(self) -> None:
        (self.folder / "maintenance").mkdir()
        rendering = Rendering(settings={**self.settings, "app_stack_web_names": self.slots})
        for name in ("Caddyfile", "maintenance.html"):
            text = rendering.template(f"app/proxy/{name}.j2")
            (self.folder / name).write_text(text, encoding="utf-8")
        docker("network", "create", self.network)
        mounts = [f"--volume={self.folder}:/etc/caddy:ro"]
        if self.program:
            mounts.append(f"--volume={self.program}:/usr/bin/caddy:ro")
        # As the compose file has it.
        self.run(
            self.proxy,
            *mounts,
            *("--read-only", "--tmpfs=/run/caddy", "--tmpfs=/config", "--tmpfs=/data"),
            "--sysctl=net.ipv4.tcp_migrate_req=1",
            *("--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE", "--security-opt=no-new-privileges:true"),
            *("--publish=127.0.0.1::80", "--publish=127.0.0.1::443", "--publish=127.0.0.1::8000"),
            self.image,
        )
        self.ports = {inside: self.port(inside) for inside in (PUBLIC, TLS, HOST_ONLY)}
        until(lambda: docker("exec", self.proxy, "sh", "-c", HEALTH) == "")

    def stop(self) -> None:
        for name in self.names:
            subprocess.run(["docker", "rm", "-fv", name], capture_output=True, timeout=60, check=False)
        subprocess.run(
            ["docker", "network", "rm", self.network], capture_output=True, timeout=60, check=False
        )

    def run(self, name: str, *arguments: str) -> None:
        identity = docker("run", "--detach", f"--name={name}", f"--network={self.network}", *arguments)
        self.names.append(identity)
        self.identities[name] = identity

    def backend(self, name: str) -> str:
        """Start a backend and wait until it answers."""
        container = f"{self.network}-{name}"
        script = HERE / "proxy_upstream.py"
        self.run(
            container,
            *("--init", f"--env=NAME={name}", f"--volume={script}:/upstream.py:ro"),
            *(self.python_image, "python", "/upstream.py"),
        )
        self.addresses[name] = docker("inspect", "--format", ADDRESS, container)
        until(lambda: self.received(name) is not None)
        return self.identities[container]

    def received(self, name: str) -> list[dict[str, Any]]:
        """What a backend was asked, in its own words and not through the proxy."""
        found: list[dict[str, Any]] = ask(self.addresses[name], 8000, "/received").told
        return found

    def route(self, *names: str) -> None:
        """What a rollout does: the new get a free name, the others retire, and lose theirs a little later."""
        left = {slot: name for slot, name in self.serving.items() if name not in names}
        for name in names:
            container = self.identities.get(f"{self.network}-{name}")
            if name in self.serving.values() or container is None:
                continue
            slot = next(slot for slot in self.slots if slot not in self.serving)
            docker("exec", container, "rm", "-f", "/tmp/retired")
            docker("rename", container, slot)
            self.serving[slot] = name
            time.sleep(4)
        for slot in left:
            docker("exec", slot, "touch", "/tmp/retired")
        time.sleep(5 if left else 0)
        for slot, name in left.items():
            docker("rename", slot, f"{self.network}-{name}")
            del self.serving[slot]

    def port(self, inside: int) -> int:
        return int(docker("port", self.proxy, f"{inside}/tcp").splitlines()[0].rpartition(":")[2])

    def ask(self, path: str, *, port: int = PUBLIC, **request: Any) -> Answer:
        return ask("127.0.0.1", self.ports[port], path, **request)


def ask(
    address: str,
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    started = time.monotonic()
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request(method, path, body, {"Host": "localhost", **(headers or {})})
        response = connection.getresponse()
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.read(), given, time.monotonic() - started)
    finally:
        connection.close()


ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
HEALTH: str = Rendering().value("(2020 | http_healthcheck).test[1]")


def docker(*arguments: str) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 0, f"docker {' '.join(arguments)}: {run.stderr}"
    return run.stdout.strip()


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)


def image(name: str) -> str:
    references = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    found = [reference for reference in references if reference.startswith(f"soundcheck/{name}:")]
    assert found, f"no soundcheck/{name} image: run `make images` first"
    return found[0]


@contextmanager
def deployed(program: str, folder: Path, backends: tuple[str, ...], **settings: Any) -> Iterator[Stack]:
    """A proxy of one of the two versions with its backends."""
    folder.chmod(0o755)
    binary = Path(sys.executable).parent / "caddy" if program == "registry" else None
    settings = {"app_stack_proxy_try_seconds": 8, "app_stack_proxy_body_limit": "1M", **settings}
    # Names of containers are names in DNS, which hold 63 characters.
    network = f"{PREFIX}-{folder.name}".replace("_", "-")[:50].rstrip("-")
    stack = Stack(network, folder, image("caddy"), image("app"), binary, settings)
    try:
        stack.start()
        for name in backends:
            stack.backend(name)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module", params=["debian", "registry"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with deployed(request.param, tmp_path_factory.mktemp("proxy"), ("one", "two")) as stack:
        yield stack


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """With the backend `one` alone; its log is printed when a test fails."""
    running.route("one")
    yield running
    print(docker("logs", "--tail=20", running.proxy))


def test_before_the_first_rollout_it_runs_and_says_503(running: Stack) -> None:
    assert running.ask("/").status == 503


@pytest.mark.parametrize("path", REFUSED)
def test_the_public_gets_no_metrics_and_no_administration(stack: Stack, path: str) -> None:
    before = len([r for r in stack.received("one") if r["path"] == path and "user" in r["headers"]])

    assert stack.ask(path).status == 404

    assert len([r for r in stack.received("one") if r["path"] == path and "user" in r["headers"]]) == before


def test_the_host_itself_gets_the_metrics(stack: Stack) -> None:
    """G7."""
    assert stack.ask("/metrics", port=HOST_ONLY).told["name"] == "one"


def test_what_a_client_says_of_itself_is_replaced(stack: Stack) -> None:
    forged = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}

    headers = stack.ask("/", headers=forged).told["headers"]

    assert "1.2.3.4" not in headers["x-forwarded-for"]
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("http", "localhost")
    assert headers["host"] == "localhost"


def test_health_is_asked_by_a_name_that_django_accepts(stack: Stack) -> None:
    def checks() -> list[dict[str, str]]:
        found = [r["headers"] for r in stack.received("one") if r["path"] == "/soundcheck/ready"]
        return [headers for headers in found if headers["host"] == "localhost" and len(headers) < 6]

    before = len(checks())
    until(lambda: len(checks()) >= before + 2, 6)

    assert checks()[-1]["x-forwarded-proto"] == "https"


def test_maintenance_needs_no_reload_and_spares_the_host(stack: Stack) -> None:
    switch = stack.folder / "maintenance" / "on"
    switch.touch()
    try:
        for method, headers in (
            ("GET", {}),
            ("POST", {}),
            ("GET", {"Range": "bytes=0-3"}),
            ("GET", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        ):
            answer = stack.ask("/api/songs", method=method, headers=headers)
            assert answer.status == 503, method
            assert b"Back in a moment" in answer.body
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["content-type"].startswith("text/html")
        assert stack.ask("/metrics").status == 404
        assert stack.ask("/", port=HOST_ONLY).status == 200
    finally:
        switch.unlink()
    assert stack.ask("/").status == 200


def test_a_body_over_the_limit_is_refused(stack: Stack) -> None:
    assert stack.ask("/", method="POST", body=b"x" * 1000).status == 200
    large = stack.ask("/large", method="POST", body=b"x" * 1_100_000)

    # Caddy 2.6 notices it while it passes the body on.
    assert large.status == (413 if stack.program else 502)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_reached_a_backend_is_never_sent_again(stack: Stack, method: str) -> None:
    stack.route("one", "two")
    path = f"/orders?die=1&{method}"

    assert stack.ask(path, method=method).status == 502

    arrived = [r for name in ("one", "two") for r in stack.received(name) if r["path"] == path]
    assert len(arrived) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_nobody_took_is_tried_on_the_other_backend(stack: Stack, method: str) -> None:
    stack.route("one", "gone")

    answers = [stack.ask("/", method=method) for _ in range(6)]

    assert [answer.status for answer in answers] == [200] * 6
    assert max(answer.seconds for answer in answers) < 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_waits_for_the_only_backend(stack: Stack, method: str) -> None:
    """Also when the health check has given it up already."""
    stack.route("late")
    time.sleep(3)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(stack.ask, "/", method=method)
        time.sleep(1)
        container = stack.backend("late")
        stack.route("late")
        answer = waiting.result()
    stack.route("one")
    docker("rm", "-f", container)
    del stack.identities[f"{stack.network}-late"]

    assert answer.status == 200
    assert answer.told["name"] == "late"


def test_a_request_does_not_wait_for_ever(stack: Stack) -> None:
    stack.route("gone")

    answer = stack.ask("/")

    assert answer.status in {502, 503}
    assert 7 < answer.seconds < 12


class Load:
    """Clients that ask at a steady pace until they are told to stop; what came is counted by status.

    With `kept` connections they do as HTTP libraries do: look whether the idle one was closed meanwhile, and
    ask again where both crossed each other (RFC 9110, 9.2.2).
    """

    def __init__(self, stack: Stack, clients: int, pause: float, *, kept: bool) -> None:
        self.port, self.pause, self.kept = stack.ports[PUBLIC], pause, kept
        self.statuses: list[int | str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_arguments: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.over.is_set():
            if connection.sock and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            reused = connection.sock is not None
            try:
                # With a body, which Caddy 2.6 cannot send a second time.
                connection.request("POST", "/load", b"{}", {"Host": "localhost"})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if reused:
                    continue
                self.statuses.append(repr(error))
            if not self.kept:
                connection.close()
            time.sleep(self.pause)
        connection.close()


@pytest.mark.parametrize("kept", [False, True], ids=["new connections", "kept connections"])
def test_a_switch_under_load_loses_no_request(stack: Stack, kept: bool) -> None:
    """T11: 50 requests per second while two backends take over from each other, to and fro."""
    with Load(stack, 10, 0.2, kept=kept) as load:
        stack.route("two")
        stack.route("one")
        time.sleep(2)

    assert [status for status in load.statuses if status != 200] == []
    assert len(load.statuses) > 100


def test_a_backend_that_stops_after_the_switch_finishes_its_requests(stack: Stack) -> None:
    container = stack.backend("old")
    stack.route("old")
    with ThreadPoolExecutor() as pool:
        slow = [pool.submit(stack.ask, f"/slow?seconds=3&n={number}") for number in range(4)]
        until(lambda: len([r for r in stack.received("old") if "/slow" in r["path"]]) == 4)
        stack.route("one")
        docker("kill", "--signal=TERM", container)
        after = [stack.ask("/") for _ in range(5)]
        answers = [future.result() for future in slow]
    docker("wait", container)

    assert [(answer.status, answer.told["name"]) for answer in answers] == [(200, "old")] * 4
    assert {answer.told["name"] for answer in after} == {"one"}


@pytest.mark.parametrize("program", ["debian", "registry"])
def test_a_domain_has_tls_and_http_leads_there(program: str, tmp_path: Path) -> None:
    """For a name below .localhost Caddy certifies by itself."""
    with deployed(program, tmp_path, ("tls",), app_domain=DOMAIN) as stack:
        stack.route("tls")
        there = stack.ask("/songs?n=1", headers={"Host": DOMAIN})
        until(lambda: over_tls(stack, "/").status == 200)
        page, refused = over_tls(stack, "/songs"), over_tls(stack, "/metrics")
        inside = stack.ask("/metrics", port=HOST_ONLY)

    assert (there.status, there.headers["location"]) == (308, f"https://{DOMAIN}/songs?n=1")
    assert page.told["headers"]["x-forwarded-proto"] == "https"
    assert page.told["headers"]["host"] == DOMAIN
    assert "alt-svc" not in page.headers, "HTTP/3 is offered without its port"
    assert refused.status == 404
    assert inside.status == 200


def over_tls(stack: Stack, path: str) -> Answer:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", stack.ports[TLS]), timeout=10) as plain:
        connection = http.client.HTTPConnection(DOMAIN)
        connection.sock = context.wrap_socket(plain, server_hostname=DOMAIN)
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
