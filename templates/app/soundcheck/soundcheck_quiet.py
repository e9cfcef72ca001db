"""Have workers take no more tasks, before they are stopped: `python -m soundcheck_quiet celery celery-ai`.

A worker that is stopped while it hands a task to one of its processes may acknowledge it too late: the
broker gives it to the next worker, and it runs twice. So each worker first leaves its queues, and what it has
reserved begins. What still waits then, behind a task that takes long, returns to its queue unacknowledged.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundcheck_env
from celery.app.utils import find_app
from soundcheck_overrides import load

ANSWER_SECONDS = 5.0
RESERVED_SECONDS = 10.0
LOOK_SECONDS = 0.5


def quiet(control: Any, workers: Mapping[str, Sequence[str]], sleep: Callable[[float], None]) -> int:
    """How many tasks are reserved and have not begun when the wait is over."""
    nodes = [f"celery@{name}" for name in workers]
    for name, queues in workers.items():
        for queue in queues:
            control.cancel_consumer(
                queue, destination=[f"celery@{name}"], reply=True, timeout=ANSWER_SECONDS, limit=1
            )
    left = 0
    for _ in range(int(RESERVED_SECONDS / LOOK_SECONDS)):
        asked = control.inspect(destination=nodes, timeout=ANSWER_SECONDS, limit=len(nodes))
        left = sum(len(tasks) for tasks in (asked.reserved() or {}).values())
        if not left:
            break
        sleep(LOOK_SECONDS)
    return left


def main(names: list[str]) -> int:
    known = {
        worker["name"]: worker["queues"]
        for worker in load(Path(__file__).with_name("settings.json"))["workers"]
    }
    # `docker exec` starts it without them, and the app's modules may ask for them before its settings do.
    soundcheck_env.load()
    app = find_app(os.environ.get("SOUNDCHECK_CELERY_APP", "config"))
    left = quiet(app.control, {name: known[name] for name in names if name in known}, time.sleep)
    print(f"{left} tasks were reserved and return to their queues")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
