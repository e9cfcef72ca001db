"""The Docker engine over its socket: lists, exec and logs, each bounded in time and size.

No docker command: to start one costs more CPU than all the questions together.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

SOCKET = "/var/run/docker.sock"
COMPOSE, SWARM = "com.docker.compose", "com.docker.swarm"
STACK = "com.docker.stack.namespace"
LARGEST_ANSWER = 4 * 2**20
_FRAME = struct.Struct(">B3xI")


class EngineError(Exception):
    """What the engine was asked, and why there is no answer."""


@dataclass(frozen=True)
class Container:
    """One container, with the names that compose or swarm gave it."""

    id: str
    name: str
    project: str
    service: str
    image: str = ""
    status: str = ""
    health: str | None = None
    started_at: float | None = None
    restarts: int | None = None
    oom_killed: bool | None = None
    exit_code: int | None = None
    pid: int = 0
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.status == "running" and self.pid > 0


@dataclass(frozen=True)
class Answer:
    """What a command in a container printed."""

    status: int | None
    out: str
    err: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("docker", timeout=seconds)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass(frozen=True)
class Engine:
    """One connection per question, so that threads do not wait for each other."""

    socket: str = SOCKET
    seconds: float = 2.0

    def get(self, path: str, **query: Any) -> Any:
        """The JSON that the engine answers."""
        return self._json("GET", f"{path}?{urlencode(query)}" if query else path, self.seconds)

    def get_lines(self, path: str, **query: Any) -> list[Any]:
        """An answer of one JSON document a line, such as events that are past."""
        raw = self._raw("GET", f"{path}?{urlencode(query)}", self.seconds, None, LARGEST_ANSWER)
        return [json.loads(line) for line in raw.splitlines() if line.strip()]

    def containers(self) -> list[Container]:
        """All containers, of whatever project; each is asked for what the list does not say."""
        found = []
        for listed in self.get("/containers/json", all=1):
            try:
                found.append(container(self.get(f"/containers/{listed['Id']}/json")))
            except EngineError:
                # It ended while it was asked: what the list said of it is what is known.
                found.append(of_list(listed))
        return found

    def execute(
        self,
        identity: str,
        command: Sequence[str],
        seconds: float,
        environment: Sequence[str] = (),
    ) -> Answer:
        """Run a command in a container. The engine ends none: the command must have a time limit itself."""
        deadline = time.monotonic() + seconds

        def left() -> float:
            return max(0.1, deadline - time.monotonic())

        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command), "Env": list(environment)}
        asked = self._json("POST", f"/containers/{identity}/exec", left(), wanted)["Id"]
        modes = {"Detach": False, "Tty": False}
        raw = self._raw("POST", f"/exec/{asked}/start", left(), modes, LARGEST_ANSWER)
        out, err = bytearray(), bytearray()
        for stream, content in frames(raw):
            (err if stream == 2 else out).extend(content)
        status = self._json("GET", f"/exec/{asked}/json", left())["ExitCode"]
        return Answer(status, out.decode(errors="replace"), err.decode(errors="replace"))

    def logs(self, identity: str, since: float, lines: int, size: int, seconds: float) -> list[str]:
        """The last lines of a container's log, each with the engine's time before it."""
        query = urlencode({"stdout": 1, "stderr": 1, "timestamps": 1, "since": f"{since:.0f}", "tail": lines})
        raw = self._raw("GET", f"/containers/{identity}/logs?{query}", seconds, None, size)
        content = b"".join(part for _, part in frames(raw))
        return content.decode(errors="replace").splitlines()

    def _json(self, method: str, path: str, seconds: float, body: Any = None) -> Any:
        try:
            return json.loads(self._raw(method, path, seconds, body, LARGEST_ANSWER))
        except ValueError as error:
            raise EngineError(f"Docker: {method} {path.partition('?')[0]}: expected JSON: {error}") from error

    def _raw(self, method: str, path: str, seconds: float, body: Any, size: int) -> bytes:
        """At most `size` bytes of an answer, within `seconds`."""
        deadline = time.monotonic() + seconds
        connection = _Connection(self.socket, seconds)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        asked = f"{method} {re.sub(r'[0-9a-f]{52}(?=/|$)', '', path.partition('?')[0])}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = bytearray()
            while len(content) < size and (part := response.read1(min(65536, size - len(content)))):
                content += part
                if time.monotonic() > deadline:
                    raise EngineError(f"Docker: {asked}: not complete within {seconds:g} s")
            if response.status >= 400:
                raise EngineError(f"Docker: {asked}: {response.status}: {_message(bytes(content))}")
            return bytes(content)
        except TimeoutError as error:
            raise EngineError(f"Docker: {asked}: no answer within {seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EngineError(f"Docker does not answer on {self.socket}: {why}") from error
        finally:
            connection.close()


def frames(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Stream (1 stdout, 2 stderr) and content of each frame; the last may be cut off."""
    position = 0
    while position + _FRAME.size <= len(raw):
        stream, size = _FRAME.unpack_from(raw, position)
        if stream > 2 or raw[position + 1 : position + 4] != b"\0\0\0":
            # A container with a terminal has no frames.
            yield 1, raw[position:]
            return
        position += _FRAME.size
        yield stream, raw[position : position + size]
        position += size


def container(inspected: Mapping[str, Any]) -> Container:
    """From what `inspect` says."""
    state, labels = inspected["State"], inspected["Config"].get("Labels") or {}
    project, service = names(labels)
    networks = inspected.get("NetworkSettings", {}).get("Networks") or {}
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        project=project,
        service=service,
        image=inspected["Config"].get("Image", ""),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        started_at=seconds_of(state.get("StartedAt", "")),
        restarts=inspected.get("RestartCount"),
        oom_killed=state.get("OOMKilled"),
        exit_code=None if state.get("Pid") else state.get("ExitCode"),
        pid=state.get("Pid") or 0,
        addresses={name: each["IPAddress"] for name, each in networks.items() if each.get("IPAddress")},
    )


def of_list(listed: Mapping[str, Any]) -> Container:
    """From an entry of the list, which says less."""
    project, service = names(listed.get("Labels") or {})
    name = (listed.get("Names") or [listed["Id"][:12]])[0].lstrip("/")
    return Container(listed["Id"], name, project, service, listed.get("Image", ""), listed.get("State", ""))


def names(labels: Mapping[str, str]) -> tuple[str, str]:
    """Project and service of compose, or stack and service of swarm; empty for any other container."""
    if stack := labels.get(STACK):
        return stack, labels.get(f"{SWARM}.service.name", "").removeprefix(f"{stack}_")
    if labels.get(f"{COMPOSE}.oneoff") == "True":
        # A job of a deploy bears the name of its service, but is none of its containers.
        return labels.get(f"{COMPOSE}.project", ""), f"{labels.get(f'{COMPOSE}.service', '')} (job)"
    return labels.get(f"{COMPOSE}.project", ""), labels.get(f"{COMPOSE}.service", "")


def seconds_of(text: str) -> float | None:
    """Epoch of the engine's time, which has nanoseconds; None for the year 1 of what never was."""
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?", text)
    if not found or text.startswith("0001"):
        return None
    whole = datetime.fromisoformat(found.group(1)).replace(tzinfo=timezone.utc).timestamp()
    return whole + float(found.group(2) or 0)


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")[:200]
