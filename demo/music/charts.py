"""Counting plays into charts."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from music.models import ChartEntry, PlayLog

CHART_LENGTH = 100
WINDOWS = {ChartEntry.Chart.REALTIME: timedelta(hours=1), ChartEntry.Chart.DAILY: timedelta(days=1)}


def calculate(chart: ChartEntry.Chart, until: datetime | None = None) -> int:
    """Write the chart of the window that ends at `until`; returns how many songs it holds."""
    until = until or timezone.now()
    counted = (
        PlayLog.objects.filter(played_at__gte=until - WINDOWS[chart], played_at__lt=until, is_deleted=False)
        .values("music_id")
        .annotate(plays=Count("id"))
        .order_by("-plays", "music_id")[:CHART_LENGTH]
    )
    entries = [
        ChartEntry(chart=chart, calculated_at=until, rank=rank, music_id=row["music_id"], plays=row["plays"])
        for rank, row in enumerate(counted, start=1)
    ]
    with transaction.atomic():
        ChartEntry.objects.bulk_create(entries)
    return len(entries)


def latest(chart: ChartEntry.Chart) -> list[dict[str, object]]:
    """The newest chart as the API shows it; empty before its first calculation."""
    newest = ChartEntry.objects.filter(chart=chart).order_by("-calculated_at").first()
    if newest is None:
        return []
    entries = ChartEntry.objects.filter(chart=chart, calculated_at=newest.calculated_at)
    return [
        {"rank": e.rank, "title": e.music.title, "artist": e.music.artist, "plays": e.plays}
        for e in entries.select_related("music").order_by("rank")
    ]
