"""Songs, the log of their plays, the charts counted from it, and the royalties paid for them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Music(models.Model):
    """A song, sung by someone or made by the AI task."""

    title = models.CharField(max_length=200)
    artist = models.CharField(max_length=200)
    is_ai = models.BooleanField(default=False)
    cover = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.artist} - {self.title}"


class PlayLog(models.Model):
    """One play of a song.

    `played_at` has no index: the realtime chart filters on it, which is the guide's first scenario (a CPU
    spike every ten minutes once the table has grown). Adding the index is the remedy it describes.
    """

    music = models.ForeignKey(Music, on_delete=models.CASCADE, related_name="plays")
    played_at = models.DateTimeField(default=timezone.now)
    is_deleted = models.BooleanField(default=False)

    class Meta:
        db_table = "music_playlogs"

    def __str__(self) -> str:
        return f"{self.music_id} at {self.played_at:%Y-%m-%d %H:%M:%S}"


class ChartEntry(models.Model):
    """One rank of a chart; each calculation of a chart writes its own set, told apart by `calculated_at`."""

    class Chart(models.TextChoices):
        REALTIME = "realtime"
        DAILY = "daily"

    chart = models.CharField(max_length=10, choices=Chart.choices)
    calculated_at = models.DateTimeField()
    rank = models.PositiveSmallIntegerField()
    music = models.ForeignKey(Music, on_delete=models.CASCADE, related_name="chart_entries")
    plays = models.PositiveIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("chart", "calculated_at", "rank"), name="one_song_per_rank"),
        )

    def __str__(self) -> str:
        return f"{self.chart} #{self.rank}"


class Royalty(models.Model):
    """What a song earned with one play; nothing forbids a second row with the sender's number, `booking`."""

    music = models.ForeignKey(Music, on_delete=models.CASCADE, related_name="royalties")
    booking = models.CharField(max_length=64)
    cents = models.PositiveIntegerField()
    booked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "royalties"

    def __str__(self) -> str:
        return f"{self.booking}: {self.cents} ct"
