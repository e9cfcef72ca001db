#!/usr/bin/env python3
"""One cause of trouble inside a container of the app; it ends with this process, at SIGTERM or in time.

    provoke.py hold --connections 30 --state transaction   connections that are kept: leaked, or in use
    provoke.py storm --rate 40                             connections that are opened and closed again
    provoke.py lock --waiting 4                            a transaction with a lock, queries that wait for it
    provoke.py send --task NAME --queue Q --rate 2         tasks; --number of them at once, then at the rate
    provoke.py burn --processes 2                          busy loops
    provoke.py write --rate 1000                           log lines

Says `in effect` when it is. Needs what the app's image has, psycopg and Celery, and boots no Django.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import Process
from typing import Any

MAX_SECONDS = 300
MAX_CONNECTIONS = 200
MAX_RATE = 5000.0
MIN_RATE = 0.1
MAX_NUMBER = 500
MAX_PROCESSES = 4
# By this name whoever cleans up finds the connections.
APPLICATION = "diagnose"
TABLE = "music_royalty"
# What a connection does while it is held; the last is sent and not waited for.
STATES = {"idle": "", "transaction": "BEGIN", "active": f"SELECT pg_sleep({MAX_SECONDS})"}


def in_effect() -> None:
    print("in effect", flush=True)


def ticks(
    rate: float,
    seconds: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[int]:
    """Numbers at a rate; what is late is made up for, as a sender that does not wait for answers would."""
    began, number = now(), 0
    while number / rate < seconds and now() - began < seconds:
        sleep(max(0.0, began + number / rate - now()))
        yield number
        number += 1


def connection() -> Any:
    """One to the app's own database, as its login; what it does is not limited in time by the server."""
    import psycopg

    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    wanted = {key: os.environ[f"DATABASE_{name}"] for key, name in names.items()}
    return psycopg.connect(**wanted, autocommit=True, application_name=APPLICATION)


def hold(arguments: argparse.Namespace) -> None:
    held = [connection() for _ in range(arguments.connections)]
    for one in held:
        if arguments.state == "active":
            one.pgconn.send_query(STATES["active"].encode())
        elif arguments.state == "transaction":
            one.execute(STATES["transaction"])
    in_effect()
    time.sleep(arguments.seconds)


def storm(arguments: argparse.Namespace) -> None:
    for number in ticks(arguments.rate, arguments.seconds):
        connection().close()
        if number == 0:
            in_effect()


def lock(arguments: argparse.Namespace) -> None:
    holder = connection()
    holder.execute("BEGIN")
    holder.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
    waiting = [connection() for _ in range(arguments.waiting)]
    for one in waiting:
        one.pgconn.send_query(f"SELECT count(*) FROM {TABLE}".encode())
    in_effect()
    time.sleep(arguments.seconds)


def send(arguments: argparse.Namespace) -> None:
    from celery import Celery

    app = Celery(broker=os.environ["CELERY_BROKER_URL"])
    # The queues are durable; what is sent as the app sends it survives as the app's does.
    with app.connection_for_write() as broker, app.amqp.Producer(broker) as producer:

        def one() -> None:
            app.send_task(
                arguments.task,
                args=json.loads(arguments.arguments),
                kwargs=json.loads(arguments.keywords),
                queue=arguments.queue,
                producer=producer,
            )

        for _ in range(arguments.number):
            one()
        in_effect()
        if arguments.rate:
            for _ in ticks(arguments.rate, arguments.seconds):
                one()


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def burn(arguments: argparse.Namespace) -> None:
    # Daemons end with their parent, whose SIGTERM is an ordinary exit.
    loops = [Process(target=spin, args=(arguments.seconds,), daemon=True) for _ in range(arguments.processes)]
    for loop in loops:
        loop.start()
    in_effect()
    for loop in loops:
        loop.join()


def write(arguments: argparse.Namespace) -> None:
    with open(arguments.output, "w", encoding="utf-8") as output:
        for number in ticks(arguments.rate, arguments.seconds):
            output.write(f"{arguments.text} {number}\n")
            output.flush()
            if number == 0:
                in_effect()


def bounded(kind: Callable[[str], Any], maximum: float, minimum: float = 0) -> Callable[[str], Any]:
    """A number in these bounds, for argparse."""

    def number(text: str) -> Any:
        value = kind(text)
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"expected {minimum:g} to {maximum:g}, got {text}")
        return value

    return number


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="One cause of trouble, for a bounded time.")
    kinds = parser.add_subparsers(required=True)

    def kind(name: str, act: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        made = kinds.add_parser(name)
        made.set_defaults(act=act)
        made.add_argument("--seconds", type=bounded(float, MAX_SECONDS), default=120.0)
        return made

    held = kind("hold", hold)
    held.add_argument("--connections", type=bounded(int, MAX_CONNECTIONS), required=True)
    held.add_argument("--state", choices=STATES, required=True)
    kind("storm", storm).add_argument("--rate", type=bounded(float, MAX_RATE, MIN_RATE), required=True)
    kind("lock", lock).add_argument("--waiting", type=bounded(int, MAX_CONNECTIONS), required=True)
    sent = kind("send", send)
    sent.add_argument("--task", required=True)
    sent.add_argument("--queue", required=True)
    sent.add_argument("--arguments", default="[]", help="JSON")
    sent.add_argument("--keywords", default="{}", help="JSON")
    sent.add_argument("--number", type=bounded(int, MAX_NUMBER), default=0)
    sent.add_argument("--rate", type=bounded(float, MAX_RATE), default=0.0)
    kind("burn", burn).add_argument("--processes", type=bounded(int, MAX_PROCESSES), required=True)
    written = kind("write", write)
    written.add_argument("--rate", type=bounded(float, MAX_RATE, MIN_RATE), required=True)
    written.add_argument("--text", default="still waiting for the partner, trying again")
    # Where the container's first process, whose words are the log, writes.
    written.add_argument("--output", default="/proc/1/fd/1")
    return parser


def main() -> None:
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    arguments.act(arguments)


if __name__ == "__main__":
    main()
