"""Covers come from a partner whose service is not always there."""

from __future__ import annotations

import random

from celery import shared_task

from music.models import Music

FAILURE_RATE = 0.2


class CoverUnavailable(Exception):
    """The partner has no cover at the moment."""


@shared_task
def fetch_cover(music_id: int, *, fail: bool | None = None) -> str:
    """Store the cover of a song; fails one time in five, or as `fail` says."""
    music = Music.objects.get(pk=music_id)
    if random.random() < FAILURE_RATE if fail is None else fail:
        raise CoverUnavailable(f"no cover for {music}")
    music.cover = f"covers/{music_id}.jpg"
    music.save(update_fields=["cover"])
    return music.cover
