"""Whether workers are there for what they are deployed for: `python -m soundcheck_proof celery celery-ai`.

Asks each named worker, and no other, which queues it consumes. One that does not answer is not connected; one
that consumes other queues than settings.json says would leave tasks unread (T5). One process asks all: to
import Django is what costs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundcheck_env
from celery.app.utils import find_app
from soundcheck_overrides import load

ANSWER_SECONDS = 5.0


def problems(wanted: Mapping[str, Sequence[str]], answers: Mapping[str, Any]) -> list[str]:
    """One sentence for each worker that is silent or does not consume what it should.

    `wanted` is worker -> queues, `answers` node name -> list of queues as Celery describes them.
    """
    found = []
    for worker, queues in wanted.items():
        answer = answers.get(f"celery@{worker}")
        if answer is None:
            found.append(f"worker {worker} does not answer by its name celery@{worker}")
            continue
        consumed = {queue["name"] for queue in answer}
        if missing := [queue for queue in queues if queue not in consumed]:
            found.append(
                f"worker {worker} does not consume {', '.join(missing)};"
                f" it consumes {', '.join(sorted(consumed)) or 'nothing'}"
            )
    return found


def main(names: list[str]) -> int:
    workers = {
        worker["name"]: worker["queues"]
        for worker in load(Path(__file__).with_name("settings.json"))["workers"]
    }
    unknown = [name for name in names if name not in workers]
    if unknown or not names:
        print(
            f"expected names of workers ({', '.join(workers)}), got {', '.join(unknown) or 'none'}",
            file=sys.stderr,
        )
        return 2
    # `docker exec` starts it without them, and the app's modules may ask for them before its settings do.
    soundcheck_env.load()
    app = find_app(os.environ.get("SOUNDCHECK_CELERY_APP", "config"))
    nodes = [f"celery@{name}" for name in names]
    answers = app.control.inspect(destination=nodes, timeout=ANSWER_SECONDS, limit=len(nodes)).active_queues()
    found = problems({name: workers[name] for name in names}, answers or {})
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
