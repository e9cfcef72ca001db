"""Charts that beat asks for: every ten minutes and at midnight."""

from __future__ import annotations

from celery import shared_task

from music import charts
from music.models import ChartEntry


@shared_task
def update_realtime_chart() -> int:
    """The most played songs of the last hour."""
    return charts.calculate(ChartEntry.Chart.REALTIME)


@shared_task
def update_daily_chart() -> int:
    """The most played songs of the day that just ended."""
    return charts.calculate(ChartEntry.Chart.DAILY)
