"""The app as deployed: database, migrations, routes."""

from __future__ import annotations

import re

import pytest
from server import Server, eventually


def test_migrations_ran(server: Server) -> None:
    server.compose("app", "exec -T celery python manage.py migrate --check")

    assert int(server.django("from music.models import Music; print(Music.objects.count())")) > 0


def test_database_connections_have_the_guides_options(server: Server) -> None:
    """G1.7: asked of the database, where they count; T3: through the engine that measures."""
    code = (
        "from django.db import connection as c\n"
        "k = c.cursor(); k.execute('SHOW statement_timeout'); s = c.settings_dict\n"
        "print(s['CONN_MAX_AGE'], s['OPTIONS']['connect_timeout'], k.fetchone()[0], s['ENGINE'])"
    )

    assert server.django(code) == "60 10 30s django_prometheus.db.backends.postgresql"


@pytest.mark.parametrize(
    ("path", "body", "worker", "other"),
    [
        ("/api/ai/music", '{"prompt": "a test", "megabytes": 1, "seconds": 0}', "celery-ai", "celery"),
        ("/api/music/1/cover?fail=0", "{}", "celery", "celery-ai"),
    ],
)
def test_a_task_goes_to_the_worker_of_its_queue(
    server: Server, path: str, body: str, worker: str, other: str
) -> None:
    """G1.6, T5, T6: by the route of its registered name, into a queue that somebody reads."""
    task = server.post(path, body)["task_id"]

    words = eventually(
        lambda: re.findall(rf"{task}\] (\w+)", server.compose("app", f"logs --no-color --tail 200 {worker}")),
        lambda found: "succeeded" in found,
        seconds=30,
    )

    assert words == ["received", "succeeded"]
    assert task not in server.compose("app", f"logs --no-color --tail 200 {other}")
