"""A task that only proves its way: `soundcheck.canary`.

`python -m soundcheck_canary --queues default,ai_queue` sends one through each queue with the app's own
Celery app and prints {"sent": {queue: task id}}. That it came out at the other end shows in the counters.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import Any

import soundcheck_env
from celery import Celery, shared_task
from celery.app.utils import find_app
from kombu.exceptions import OperationalError

NAME = "soundcheck.canary"
CONNECT_SECONDS = 5
RETRIES = 2
# A broker that accepts and then says nothing, or that blocks publishers, has no timeout of its own.
DEADLINE_SECONDS = 20
# The sender tells of the queue after the broker has confirmed the message. A task that ended before that is
# counted by celery-exporter under a queue of its own invention.
FLIGHT_SECONDS = 0.5
# A canary that finds no worker must not lie in the queue until the next deploy.
EXPIRES_SECONDS = 600


@shared_task(name=NAME, ignore_result=True)
def canary() -> None:
    """Do nothing, for a moment."""
    time.sleep(FLIGHT_SECONDS)


def queue_names(text: str) -> list[str]:
    """The queues of a comma separated list."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"expected queue names separated by commas, got {text!r}")
    return names


def send(app: Celery, queues: list[str]) -> dict[str, str]:
    """Send one canary through each queue; the broker's confirmation is awaited. Bounded in time."""
    options = {**app.conf.broker_transport_options, "confirm_publish": True}
    with app.connection_for_write(connect_timeout=CONNECT_SECONDS, transport_options=options) as connection:
        connection.ensure_connection(max_retries=RETRIES, interval_start=1, interval_step=0)
        return {
            queue: app.send_task(
                NAME,
                queue=queue,
                connection=connection,
                retry=False,
                expires=EXPIRES_SECONDS,
                ignore_result=True,
            ).id
            for queue in queues
        }


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"no answer within {DEADLINE_SECONDS} s")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m soundcheck_canary", description="Send one canary per queue."
    )
    parser.add_argument("--queues", type=queue_names, required=True, help="queue names separated by commas")
    parser.add_argument(
        "--app", default=os.environ.get("SOUNDCHECK_CELERY_APP", "config"), help="the -A of Celery"
    )
    options = parser.parse_args(arguments)
    # `docker exec` starts it without them, and the app's modules may ask for them before its settings do.
    soundcheck_env.load()
    app = find_app(options.app)
    broker = app.connection_for_write()
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(DEADLINE_SECONDS)
    try:
        sent = send(app, options.queues)
    except (OSError, OperationalError, *broker.connection_errors, *broker.channel_errors) as error:
        where = broker.as_uri()  # without the password
        print(f"the broker at {where} took no canary: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        signal.alarm(0)
    print(json.dumps({"sent": sent}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
