"""The sign of life of a Celery worker, for its container's health check.

A step at the end of the consumer's start-up touches a file every few seconds from the consumer's own event
loop, and removes it when the consumer loses its broker. So the file is fresh only while this very worker is
connected and its loop turns; reading its age costs the health check nothing. `celery inspect ping` would
prove the same at the price of importing Django each time, about a second of CPU.

The pools `gevent` and `eventlet` have no such loop: there the file proves the process and its connection.
With the pool `solo` the loop stands still while a task runs, so a long task makes the worker unhealthy.
"""

from __future__ import annotations

import contextlib
from typing import Any

from celery import bootsteps
from celery.signals import celeryd_init
from soundcheck_health import WORKER_FILE, touch

INTERVAL = 5.0


class SignOfLife(bootsteps.StartStopStep):
    """Runs from the moment the task consumer is set up until the connection ends."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.timer_entry: Any = None

    def start(self, consumer: Any) -> None:
        self.timer_entry = consumer.timer.call_repeatedly(INTERVAL, self.show, (consumer,))
        self.show(consumer)

    def stop(self, consumer: Any) -> None:
        if self.timer_entry is not None:
            consumer.timer.cancel(self.timer_entry)
            self.timer_entry = None
        with contextlib.suppress(OSError):
            WORKER_FILE.unlink()

    shutdown = stop

    def show(self, consumer: Any) -> None:
        if consumer.connection and consumer.connection.connected:
            touch(WORKER_FILE)


@celeryd_init.connect
def add_step(instance: Any, **_: Any) -> None:
    """Called for the worker that this process becomes, before its consumer is built."""
    instance.app.steps["consumer"].add(SignOfLife)
