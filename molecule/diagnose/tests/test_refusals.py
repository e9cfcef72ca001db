"""What cannot be asked is said in a line, and everything else is still told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from inside import BOUND, recovered
from looks import Look
from server import Server
from tool import FOLDER, Tool

# These sections need nobody's answer.
ALONE = {"server", "processes", "deploys"}
DIES = "com.docker.compose.service=dies"


def assert_told(look: Look, *unable: str) -> None:
    """These sections say why in a line, those that need nobody are there; the status tells which it is."""
    assert "Traceback" not in look.said
    for name in unable:
        section = look.section(name)
        assert section["state"] != "ok", (name, section)
        assert len(section["problem"].splitlines()) == 1, (name, section)
    assert not ALONE & look.sections("unable"), look.said
    assert look.status == look.due != 0, look.said


def test_an_engine_that_does_not_answer(server: Server, tool: Tool) -> None:
    """What a killed engine leaves: a socket at which nobody listens. The tool alone sees it."""
    socket = f"{FOLDER}/nobody.sock"
    server.run(f"python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('{socket}')\"")
    instead = f'mount --bind {socket} /run/docker.sock && exec "$@"'

    assert_told(tool.look(before=f"unshare --mount sh -c '{instead}' sh"), "containers")


def test_an_engine_that_is_stopped(server: Server, tool: Tool) -> None:
    server.run("systemctl stop docker.socket docker")
    try:
        look = tool.look()
    finally:
        server.run("systemctl start docker")
    recovered(server)

    assert_told(look, "containers")


@pytest.mark.parametrize(("service", "section"), [("rabbitmq", "broker"), ("postgres", "database")])
def test_a_service_that_is_stopped(server: Server, tool: Tool, service: str, section: str) -> None:
    server.compose("app", f"stop {service}")
    try:
        look = tool.look()
    finally:
        server.compose("app", f"start {service}")
    recovered(server)

    assert_told(look, section)
    assert not {"containers", "logs"} & look.sections("unable"), look.said


def test_a_user_who_may_not_ask(tool: Tool) -> None:
    refused = tool.look(before="runuser -u nobody --")

    assert refused.status == 2
    assert "Traceback" not in refused.said
    assert any(word in refused.said for word in ("root", "permission", "Permission")), refused.said


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--nonsense", "--nonsense"),
        ("--since soon", "soon"),
        ("--symptom love", "love"),
        ("--locale fr", "fr"),
        ("--config /nowhere.json", "/nowhere.json"),
    ],
)
def test_options_that_are_not_known(tool: Tool, options: str, named: str) -> None:
    refused = tool.run(options)

    assert refused.status == 2
    assert named in refused.errors
    assert "Traceback" not in refused.said


@contextmanager
def containers_that_die(server: Server) -> Iterator[None]:
    """One after the other, each for less than a look takes, as a service of the stack."""
    image = server.containers()["backend"]["Config"]["Image"]
    labels = f"--label com.docker.compose.project=app --label {DIES}"
    loop = f"while :; do docker run --rm --network none {labels} {image} sleep 0.4; done"
    server.run(f"systemd-run --collect --property=RuntimeMaxSec={BOUND} --unit=diagnose-dies sh -c '{loop}'")
    try:
        yield
    finally:
        server.run("systemctl stop diagnose-dies")
        server.run(f"docker ps -aq --filter label={DIES} | xargs --no-run-if-empty docker rm -f")


def test_a_container_that_dies_while_it_is_asked(server: Server, tool: Tool) -> None:
    with containers_that_die(server):
        looks = [tool.look() for _ in range(3)]

    for look in looks:
        assert "Traceback" not in look.said
        assert (look.status, look.sections("unable")) == (look.due, set()), look.said


def test_a_full_disk(server: Server, tool: Tool) -> None:
    """Where the counters are kept for the next look."""
    state = f"{FOLDER}/full"
    server.run(f"mkdir {state} && mount -t tmpfs -o size=16k tmpfs {state}")
    try:
        server.host.run(f"head -c 64k /dev/zero > {state}/fill")
        look = tool.look({"state": state})
        left = server.run(f"find {state} -type f -not -name fill")
    finally:
        server.run(f"umount {state} && rmdir {state}")

    assert "Traceback" not in look.said
    assert "space" in look.said, look.said
    assert look.sections("unable") == set()
    assert left == ""
