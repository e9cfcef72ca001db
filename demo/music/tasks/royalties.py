"""Royalties are booked once for each play that the label reports. A second booking would be money."""

from __future__ import annotations

import time

from celery import shared_task

from music.models import Royalty

MAX_BOOKING_SECONDS = 30.0
CENTS = 4


@shared_task
def book_royalty(music_id: int, booking: str, *, seconds: float = 0.0) -> int:
    """Book a play's royalty under the sender's number, after the bank took its `seconds`; returns its id.

    Deliberately not idempotent: every execution books, so that the ledger shows a task that ran twice.
    """
    time.sleep(min(max(seconds, 0.0), MAX_BOOKING_SECONDS))
    return Royalty.objects.create(music_id=music_id, booking=booking, cents=CENTS).pk
