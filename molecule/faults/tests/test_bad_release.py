"""A new version that is bad: the old one serves throughout, and the message says why."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from server import Server, playbook
from steady import steady_load
from table import Table

GUNICORN = "/opt/venv/bin/gunicorn"
UNMEASURED = """
class Nothing:
    def __init__(self, get_response): self.get_response = get_response
    def __call__(self, request): return self.get_response(request)

PrometheusBeforeMiddleware = PrometheusAfterMiddleware = Nothing
"""
LOCKED = """
from django.db import migrations

def fail(apps, schema_editor):
    raise RuntimeError("the ledger is locked for the audit")

class Migration(migrations.Migration):
    dependencies = [("music", "0003_royalty")]
    operations = [migrations.RunPython(fail)]
"""


class Bad(NamedTuple):
    """What differs in its image, how it is deployed, and what the deploy has to say of it."""

    files: dict[str, str]
    arguments: tuple[str, ...]
    words: tuple[str, ...]
    # Whether it came so far that it served, until it was rolled back.
    served: bool = False


UNVERIFIED = ("-emetric_verification_timeout=20",)
RELEASES = {
    "new image exits at once": Bad(
        {GUNICORN: "#!/bin/sh\necho 'no licence for this host' >&2\nexit 3\n"},
        ("--skip-tags=verify",),
        ("backend", "no licence for this host", "3"),
    ),
    "new image is never healthy": Bad(
        {GUNICORN: "#!/bin/sh\necho 'waiting for the moon'\nexec sleep 300\n"},
        ("--skip-tags=verify", "-eapp_stack_start_timeout=25"),
        ("backend: not healthy in time", "waiting for the moon"),
    ),
    "migration of the new image fails": Bad(
        {"/app/music/migrations/0004_locked.py": LOCKED},
        ("--skip-tags=verify",),
        ("job migrate", "the ledger is locked for the audit"),
    ),
    "new image is healthy but fails verification": Bad(
        {"MIDDLEWARE": UNMEASURED},
        UNVERIFIED,
        ("django",),
        served=True,
    ),
}


@pytest.fixture
def image(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The app's image with other files, made on the server where an operator would have pulled it."""
    bad: Bad = request.param
    base = server.containers()["backend"]["Config"]["Image"]
    reference = f"soundcheck/app:bad-{int(time.time())}"
    middleware = server.compose(
        "app", "exec -T backend python -c 'import django_prometheus.middleware as m; print(m.__file__)'"
    ).strip()
    steps = [f"docker create --name bad-image {base} true"]
    for path, content in bad.files.items():
        encoded = base64.b64encode(content.encode()).decode()
        place = middleware if path == "MIDDLEWARE" else path
        steps += [
            f"echo {encoded} | base64 -d > /tmp/bad-file",
            "chmod 755 /tmp/bad-file",
            f"docker cp /tmp/bad-file bad-image:{shlex.quote(place)}",
        ]
    steps += [f"docker commit bad-image {reference}", "docker rm bad-image", "rm /tmp/bad-file"]
    server.run(" && ".join(steps))
    yield reference
    # The deploy may have done it.
    server.host.run(f"docker rmi {reference}")


def state(server: Server) -> tuple[str, dict[str, tuple[int, bytes]]]:
    """The release that serves, and the files it serves with."""
    files = {
        path: content
        for path, content in server.files("/opt/soundcheck/app").items()
        # Releases that failed are kept; the hash of a container holds the scale of the rollout that made it.
        if not path.startswith(("releases/", ".soundcheck-state.json"))
    }
    return server.run("readlink /opt/soundcheck/app/releases/current").strip(), files


@pytest.mark.parametrize(("name", "image"), RELEASES.items(), indirect=["image"], ids=list(RELEASES))
def test_the_old_version_serves_throughout(server: Server, table: Table, name: str, image: str) -> None:
    bad = RELEASES[name]
    before, identities = state(server), server.identities()
    old_image = server.containers()["backend"]["Image"]

    with steady_load(server, "bad") as seen:
        began = time.monotonic()
        overrides = json.dumps({"container_images_overrides": {"app": image}})
        deploy = playbook("deploy.yml", "-e", overrides, *bad.arguments)
        took = time.monotonic() - began

    end = "rolled back" if bad.served else "refused"
    table.add(name, f"{end} after {took:.0f} s", seen)
    assert deploy.status != 0, deploy.output
    assert [word for word in bad.words if word not in deploy.output] == [], deploy.output
    seen.assert_nothing_dropped()
    assert server.containers()["backend"]["Image"] == old_image, deploy.output
    assert state(server) == before
    if not bad.served:
        assert server.identities() == identities
