"""Command lines, env files and broker definitions of the app project."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter import app_stack

DEFAULTS = {"pool": "prefork", "max_tasks_per_child": 0, "prefetch": 1, "time_limit": 0}


def test_worker_command_is_the_guides_with_queues_and_a_stable_node_name() -> None:
    """G1.3, T5: the guide's options, and -Q for every worker."""
    worker = {"name": "celery-ai", "queues": ["ai_queue"], "concurrency": 1, "memory": "1024M"}

    command = app_stack.worker_command(worker, "config", DEFAULTS)

    assert command == (
        "celery -A config worker -Q ai_queue -l info --concurrency=1 --pool=prefork --prefetch-multiplier=1"
        " -n celery@celery-ai"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queues": ["default", "mail"]}, "-Q default,mail "),
        ({"max_tasks_per_child": 100}, "--max-tasks-per-child=100"),
        ({"pool": "threads", "concurrency": 8}, "--concurrency=8 --pool=threads"),
        ({"prefetch": 4}, "--prefetch-multiplier=4"),
        ({"time_limit": 600}, "--time-limit=600"),
    ],
)
def test_each_option_of_a_worker_reaches_its_command_line(options: dict[str, Any], words: str) -> None:
    worker = {"name": "celery", "queues": ["default"], "concurrency": 2, **options}

    assert words in app_stack.worker_command(worker, "config", DEFAULTS)


def test_env_file_keeps_the_characters_of_a_secret_literal() -> None:
    assert app_stack.env_file({"B": 'a$b#c "d"', "A": 1}) == "A='1'\nB='a$b#c \"d\"'\n"


@pytest.mark.parametrize("value", ["it's", "two\nlines"])
def test_value_that_an_env_file_cannot_hold_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(AnsibleFilterError, match="DATABASE_PASSWORD: a value with") as refusal:
        app_stack.env_file({"DATABASE_PASSWORD": value})

    assert value not in str(refusal.value)


def test_broker_has_one_user_without_guest_and_without_its_password_in_plain() -> None:
    """T12."""
    text = app_stack.rabbitmq_definitions("app", "a-long-password", "music")
    definitions = json.loads(text)

    assert [user["name"] for user in definitions["users"]] == ["app"]
    assert definitions["permissions"][0]["vhost"] == "music"
    assert "a-long-password" not in text
    stored = base64.b64decode(definitions["users"][0]["password_hash"])
    assert stored[4:] == hashlib.sha256(stored[:4] + b"a-long-password").digest()
    assert text == app_stack.rabbitmq_definitions("app", "a-long-password", "music"), "a stable hash"


def test_code_is_mounted_from_where_its_template_stands_and_read_by_its_services() -> None:
    assert app_stack.code_files(["a.py", "b.py"], ("backend", "celery")) == [
        {"path": "soundcheck/a.py", "template": "app/soundcheck/a.py", "services": ["backend", "celery"]},
        {"path": "soundcheck/b.py", "template": "app/soundcheck/b.py", "services": ["backend", "celery"]},
    ]
