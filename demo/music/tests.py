"""Tests of the music service: `python manage.py test` with DATABASE_ENGINE=django.db.backends.sqlite3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

from django.test import SimpleTestCase, TestCase
from django.urls import resolve
from django.utils import timezone
from kombu.exceptions import OperationalError

from music import charts
from music.management.commands import demo_traffic
from music.models import ChartEntry, Music, PlayLog, Royalty
from music.tasks.ai_music import generate_music_task
from music.tasks.charts import update_realtime_chart
from music.tasks.cleanup import purge_charts, purge_plays
from music.tasks.covers import CoverUnavailable, fetch_cover
from music.tasks.royalties import book_royalty
from music.tasks.stores import StoreClosed, offer_to_store


class ChartTest(TestCase):
    def play(self, music_id: int, times: int, minutes_ago: float = 5, *, deleted: bool = False) -> None:
        played_at = timezone.now() - timedelta(minutes=minutes_ago)
        PlayLog.objects.bulk_create(
            PlayLog(music_id=music_id, played_at=played_at, is_deleted=deleted) for _ in range(times)
        )

    def test_most_played_first_within_the_window_and_without_withdrawn_plays(self) -> None:
        self.play(1, 2)
        self.play(2, 3)
        self.play(3, 9, minutes_ago=61)
        self.play(4, 9, deleted=True)
        assert update_realtime_chart() == 2
        chart = self.client.get("/api/charts/realtime").json()["songs"]
        assert [(song["rank"], song["plays"]) for song in chart] == [(1, 3), (2, 2)]
        assert chart[0]["title"] == Music.objects.get(pk=2).title

    def test_a_new_chart_replaces_the_old_one(self) -> None:
        self.play(1, 1)
        charts.calculate(ChartEntry.Chart.REALTIME, timezone.now() - timedelta(minutes=1))
        self.play(2, 5)
        charts.calculate(ChartEntry.Chart.REALTIME)
        assert charts.latest(ChartEntry.Chart.REALTIME)[0]["plays"] == 5

    def test_no_chart_yet_and_no_such_chart(self) -> None:
        assert self.client.get("/api/charts/daily").json()["songs"] == []
        assert self.client.get("/api/charts/yesterday").status_code == 404

    def test_clean_ups_keep_what_charts_count(self) -> None:
        self.play(1, 2)
        self.play(1, 3, deleted=True)
        self.play(1, 4, minutes_ago=8 * 24 * 60)
        assert purge_plays() == 7
        charts.calculate(ChartEntry.Chart.DAILY, timezone.now() - timedelta(days=7, minutes=-10))
        charts.calculate(ChartEntry.Chart.DAILY)
        ChartEntry.objects.update(calculated_at=timezone.now() - timedelta(days=31))
        assert purge_charts() == 1


class ApiTest(TestCase):
    def test_a_play_is_logged(self) -> None:
        assert self.client.post("/api/music/1/play").status_code == 201
        assert PlayLog.objects.get().music_id == 1
        assert self.client.post("/api/music/999/play").status_code == 404
        assert self.client.get("/api/music/1/play").status_code == 405

    def test_the_report_takes_a_bounded_time(self) -> None:
        assert self.client.get("/api/reports/listening?seconds=0").json() == {"plays": 0}
        for seconds in ("6", "-1", "nan", "soon"):
            answer = self.client.get(f"/api/reports/listening?seconds={seconds}")
            assert answer.status_code == 400, seconds
            assert "seconds must be" in answer.json()["error"]

    def test_requests_that_queue_a_task(self) -> None:
        with mock.patch.object(generate_music_task, "apply_async") as queued:
            queued.return_value.id = "42"
            answer = self.client.post(
                "/api/ai/music", {"prompt": "waltz", "megabytes": 5}, content_type="application/json"
            )
        assert (answer.status_code, answer.json()) == (202, {"task_id": "42"})
        assert queued.call_args.args == (("waltz",), {"megabytes": 5, "seconds": 1.0})

    def test_a_royalty_is_queued_under_the_senders_number(self) -> None:
        with mock.patch.object(book_royalty, "apply_async") as queued:
            queued.return_value.id = "43"
            answer = self.client.post(
                "/api/music/1/royalty", {"booking": "label-7"}, content_type="application/json"
            )
        assert (answer.status_code, answer.json()) == (202, {"task_id": "43"})
        assert queued.call_args.args == ((1, "label-7"), {"seconds": 0.0})

    def test_bad_royalties(self) -> None:
        for body in ("", "[]", "{", '{"booking": 7}', '{"booking": "x", "seconds": 31}'):
            answer = self.client.post("/api/music/1/royalty", body, content_type="application/json")
            assert answer.status_code == 400, body

    def test_bad_prompts(self) -> None:
        for body in ("", "[]", "{", '{"prompt": ""}', '{"prompt": "x", "megabytes": 901}', '{"prompt": 7}'):
            answer = self.client.post("/api/ai/music", body, content_type="application/json")
            assert answer.status_code == 400, body

    def test_a_broker_that_is_away_is_said(self) -> None:
        with mock.patch.object(fetch_cover, "apply_async", side_effect=OperationalError):
            answer = self.client.post("/api/music/1/cover")
        assert answer.status_code == 503


class TaskTest(TestCase):
    def test_music_is_made(self) -> None:
        song = Music.objects.get(pk=generate_music_task("waltz", megabytes=1, seconds=0))
        assert song.is_ai

    def test_a_royalty_booked_twice_is_seen(self) -> None:
        for _ in range(2):
            book_royalty(1, "label-7")
        assert list(Royalty.objects.values_list("booking", "cents")) == [("label-7", 4)] * 2

    def test_covers_fail_when_asked_to(self) -> None:
        with self.assertRaises(CoverUnavailable):  # noqa: PT027  the service does not need pytest
            fetch_cover(1, fail=True)
        assert Music.objects.get(pk=1).cover == ""
        assert fetch_cover(1, fail=False) == "covers/1.jpg"

    def test_a_closed_store_is_asked_again(self) -> None:
        assert offer_to_store.apply(args=(1,), kwargs={"closed": 3}).get() == str(Music.objects.get(pk=1))
        with mock.patch.object(offer_to_store, "max_retries", 2), self.assertRaises(StoreClosed):  # noqa: PT027
            offer_to_store.apply(args=(1,), kwargs={"closed": 3}).get()


class TrafficTest(SimpleTestCase):
    def run_traffic(self, answers: list[int | OSError]) -> tuple[list[str], list[float]]:
        reports: list[str] = []
        pauses: list[float] = []
        rounds: Iterator[bool] = iter([True] * len(answers) + [False])
        with mock.patch.object(demo_traffic, "send", side_effect=answers):
            demo_traffic.run("http://backend", 10, reports.append, lambda: next(rounds), pauses.append)
        return reports, pauses

    def test_it_outlives_a_backend_that_is_away(self) -> None:
        reports, pauses = self.run_traffic([200, OSError("refused"), OSError("refused"), 500, 200])
        assert len(reports) == 2
        assert "does not answer (refused)" in reports[0]
        assert "answers again" in reports[1]
        assert pauses[1:3] == [1.0, 2.0]

    def test_pauses_are_bounded_and_the_rate_is_kept(self) -> None:
        _, pauses = self.run_traffic([OSError()] * 8 + [200])
        assert max(pauses) == 15.0
        assert 0.05 < pauses[-1] <= 0.1

    def test_every_visit_is_a_request_the_service_knows(self) -> None:
        for visit in demo_traffic.VISITS:
            assert resolve(visit.path.format(song=1).partition("?")[0]).func.__module__ == "music.views"
