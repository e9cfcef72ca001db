"""The name of what ended a task together with its process, for whoever counts and reads.

A process that was killed, or that outlived its time limit, reports nothing: Celery's main process does it in
its place, and wraps the exception for a way between processes that this one never takes. Events then carry
the wrapper's name, so that celery-exporter counts `ExceptionWithTraceback` instead of `WorkerLostError` or
`TimeLimitExceeded`; and the log names the process that was killed, but not its task.
"""

from __future__ import annotations

import logging
from typing import Any

from billiard import einfo
from billiard.exceptions import WorkerLostError
from celery import Task
from celery.signals import celeryd_init
from celery.worker.request import Request

logger = logging.getLogger(__name__)
# Billiard before 4 wraps nothing.
WRAPPER: Any = getattr(einfo, "ExceptionWithTraceback", ())


class NamingRequest(Request):
    """A request of Celery's that says who failed of what."""

    def on_failure(self, exc_info: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(exc_info.exception, WRAPPER):
            exc_info.exception = exc_info.exception.exc
        if isinstance(exc_info.exception, WorkerLostError):
            logger.error("Task %s[%s] ended with its process: %s", self.name, self.id, exc_info.exception)
        return super().on_failure(exc_info, *arguments, **options)


@celeryd_init.connect
def name_failures(**_: Any) -> None:
    """Called in the process that becomes a worker; tasks with a request class of their own keep it."""
    Task.Request = NamingRequest
