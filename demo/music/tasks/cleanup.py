"""Nightly clean-ups that keep the tables small."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from music.models import ChartEntry, PlayLog

PLAYS_KEPT = timedelta(days=7)
CHARTS_KEPT = timedelta(days=30)


@shared_task
def purge_plays() -> int:
    """Delete plays that were withdrawn or that no chart counts any more."""
    deleted, _ = PlayLog.objects.filter(
        Q(is_deleted=True) | Q(played_at__lt=timezone.now() - PLAYS_KEPT)
    ).delete()
    return deleted


@shared_task
def purge_charts() -> int:
    """Delete old charts."""
    deleted, _ = ChartEntry.objects.filter(calculated_at__lt=timezone.now() - CHARTS_KEPT).delete()
    return deleted
