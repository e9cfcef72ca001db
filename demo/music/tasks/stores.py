"""Songs are offered to a store, which is closed at times."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from music.models import Music

MAX_CLOSED = 60
RETRY_SECONDS = 1


class StoreClosed(Exception):
    """The store takes no songs at the moment."""


@shared_task(bind=True, max_retries=MAX_CLOSED)
def offer_to_store(task: Any, music_id: int, *, closed: int = 0) -> str:
    """Offer a song to the store, which is found `closed` so many times; returns what it took.

    Deliberately asks again every second, without a growing pause: many songs at a closed store are a storm.
    """
    if task.request.retries < min(closed, MAX_CLOSED):
        raise task.retry(exc=StoreClosed(f"nobody took song {music_id}"), countdown=RETRY_SECONDS)
    return str(Music.objects.get(pk=music_id))
