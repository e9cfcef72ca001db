"""What all workers run right now: `python -m soundcheck_inspect --workers 2 --seconds 2`.

Prints {node: {active, reserved, concurrency, queues}}. The diagnosis of a server starts it while the CPU
burns, so it speaks Celery's remote control over kombu alone: to import Django and the app would be a spike
of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import Any

import soundcheck_env
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox

CONNECT_SECONDS = 1.0
# Celery's name for the exchange of its remote control (control_exchange).
EXCHANGE = "celery"
# `safe`: arguments as text, whatever type they have.
COMMANDS = {"active": {"safe": True}, "reserved": {}, "stats": {}, "active_queues": {}}


def ask(mailbox: Any, workers: int, seconds: float, answers: dict[str, dict[str, Any]]) -> None:
    """Add to node -> command -> answer. Who was silent the first time is not waited for again."""
    expected = workers
    # A worker on a busy server needs its time; the other answers are there as soon as the first.
    patience = 0.7 * seconds
    for command, arguments in COMMANDS.items():
        if not expected:
            break
        for reply in mailbox.multi_call(command, arguments, timeout=patience, limit=expected):
            for node, answer in reply.items():
                answers.setdefault(node, {})[command] = answer
        expected = len(answers)


def summary(answers: dict[str, Any]) -> dict[str, Any]:
    """Of one node's answers what the diagnosis shows; a task that waits is only counted."""
    stats, queues = answers.get("stats"), answers.get("active_queues")
    reserved = answers.get("reserved")
    return {
        "active": answers.get("active"),
        "reserved": None if reserved is None else [task["id"] for task in reserved],
        "concurrency": (stats or {}).get("pool", {}).get("max-concurrency"),
        "queues": None if queues is None else [queue["name"] for queue in queues],
    }


def _give_up(*_: Any) -> None:
    raise TimeoutError("no answer in time")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m soundcheck_inspect", description="What all workers run right now."
    )
    parser.add_argument("--workers", type=int, required=True, help="how many answers are expected")
    parser.add_argument("--seconds", type=float, default=2.0, help="limit of the whole question")
    options = parser.parse_args(arguments)
    # `docker exec` starts it without them.
    soundcheck_env.load()
    # A broker that accepts and then says nothing has no timeout of its own.
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, options.seconds)
    connection = Connection(os.environ.get("CELERY_BROKER_URL", ""), connect_timeout=CONNECT_SECONDS)
    answers: dict[str, dict[str, Any]] = {}
    try:
        with connection:
            ask(Mailbox(EXCHANGE, type="fanout")(connection), options.workers, options.seconds, answers)
    except (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
        # Some answers are better than none; what is missing of them is null.
        if not answers:
            where = connection.as_uri()  # without the password
            print(f"the broker at {where}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps({node: summary(found) for node, found in answers.items()}, default=repr))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
