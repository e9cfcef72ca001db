"""A release that is well and does harm: the deploy is what the trouble began with."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from inside import PATIENCE, container, recovered
from results import Table
from server import Server, eventually, playbook
from tool import Tool, since

# Each chart costs a third of a second of CPU, and is not shown.
HARM = """

def latest(chart):
    for _ in range(10_000_000):
        pass
    raise RuntimeError("the new cache holds no chart")
"""
WORDS = "the new cache holds no chart"
REFERENCE = "soundcheck/app:harmful"
# s; a deploy, and as long as its harm takes to show.
RECENT = 300


@contextmanager
def harmful_release(server: Server) -> Iterator[None]:
    """The app's image with other charts, deployed as an operator does it; then the former release again."""
    base = server.containers()["backend"]["Config"]["Image"]
    user = server.run(f"docker image inspect -f '{{{{.Config.User}}}}' {base}").strip()
    content = base64.b64encode(HARM.encode()).decode()
    server.run(
        f"echo {content} | base64 -d"
        f" | docker run -i --name harmful --user 0 --network none {base} sh -c 'cat >> /app/music/charts.py'"
        f" && docker commit --change 'USER {user}' harmful {REFERENCE} && docker rm harmful"
    )
    overrides = json.dumps({"container_images_overrides": {"app": REFERENCE}})
    try:
        deploy = playbook("deploy.yml", "--skip-tags=verify", "-e", overrides)
        assert deploy.status == 0, deploy.output
        inside = container(server, "backend")
        logs = eventually(
            lambda: server.run(f"docker logs {inside} 2>&1"), lambda found: WORDS in found, PATIENCE
        )
        assert WORDS in logs, logs
        yield
    finally:
        playbook("deploy.yml", "--skip-tags=verify")
        server.host.run(f"docker rmi {REFERENCE}")


def test_a_release_that_does_harm_is_found_first(server: Server, tool: Tool, table: Table) -> None:
    before = tool.look()
    began = time.monotonic()
    with harmful_release(server):
        found = tool.look({"thresholds": {"deploy": RECENT}}, since=since(began))
    row = table.add("recent-deploy", found)
    recovered(server)

    assert "recent-deploy" not in before.ids, before.said
    assert row.right, found.said
    assert found.status == 1
