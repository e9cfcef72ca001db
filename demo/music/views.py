"""The HTTP API of the music service."""

from __future__ import annotations

import json
from typing import Any

from celery import Task
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST
from kombu.exceptions import OperationalError

from music import charts
from music.models import ChartEntry, Music, PlayLog
from music.tasks.ai_music import MAX_MEGABYTES, MAX_SECONDS, generate_music_task
from music.tasks.covers import fetch_cover
from music.tasks.royalties import MAX_BOOKING_SECONDS, book_royalty

MAX_REPORT_SECONDS = 5.0
MAX_PROMPT = 500
MAX_BOOKING = 64


class BadInput(ValueError):
    """A request that cannot be served; the text goes to the client."""


def _number(text: object, name: str, maximum: float) -> float:
    """A number from 0 to `maximum`, or BadInput in a sentence."""
    try:
        value = float(str(text))
    except ValueError:
        raise BadInput(f"{name} must be a number, got {text!r}") from None
    if not 0 <= value <= maximum:
        raise BadInput(f"{name} must be between 0 and {maximum:g}, got {value:g}")
    return value


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request; anything else is BadInput or the ValueError of a text that is no JSON."""
    body = json.loads(request.body or b"{}")
    if not isinstance(body, dict):
        raise BadInput("the body must be a JSON object")
    return body


def _text(value: object, name: str, maximum: int) -> str:
    """A text of 1 to `maximum` characters, or BadInput in a sentence."""
    if not isinstance(value, str) or not 0 < len(value) <= maximum:
        raise BadInput(f"{name} must be a text of 1 to {maximum} characters")
    return value


def _queued(task: Task, *args: object, **kwargs: object) -> JsonResponse:
    """Queue a task: 202 with its id, or 503 while the broker is away."""
    try:
        result = task.apply_async(args, kwargs)
    except OperationalError:
        return JsonResponse({"error": "the queue is not reachable, try again later"}, status=503)
    return JsonResponse({"task_id": result.id}, status=202)


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers; asks neither database nor broker, whose health is their own."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_POST
def play(request: HttpRequest, music_id: int) -> JsonResponse:
    """Log one play of a song."""
    music = get_object_or_404(Music, pk=music_id)
    PlayLog.objects.create(music=music)
    return JsonResponse({"played": str(music)}, status=201)


@require_POST
def cover(request: HttpRequest, music_id: int) -> JsonResponse:
    """Have the cover of a song fetched; `?fail=1` makes the task fail, `?fail=0` makes it succeed."""
    music = get_object_or_404(Music, pk=music_id)
    fail = {"0": False, "1": True}.get(request.GET.get("fail", ""))
    return _queued(fetch_cover, music.pk, fail=fail)


@require_POST
def royalty(request: HttpRequest, music_id: int) -> JsonResponse:
    """Have a royalty booked: {"booking": the sender's own number, "seconds": optional}."""
    music = get_object_or_404(Music, pk=music_id)
    try:
        body = _body(request)
        booking = _text(body.get("booking"), "booking", MAX_BOOKING)
        seconds = _number(body.get("seconds", 0), "seconds", MAX_BOOKING_SECONDS)
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=400)
    return _queued(book_royalty, music.pk, booking, seconds=seconds)


@require_GET
def chart(request: HttpRequest, chart: str) -> JsonResponse:
    """The newest chart, `realtime` or `daily`."""
    if chart not in ChartEntry.Chart.values:
        raise Http404(f"no chart named {chart}")
    return JsonResponse({"chart": chart, "songs": charts.latest(ChartEntry.Chart(chart))})


@require_GET
def listening_report(request: HttpRequest) -> JsonResponse:
    """A report nobody has optimised: the database is busy for `?seconds=` (0 to 5)."""
    try:
        seconds = _number(request.GET.get("seconds", "2.5"), "seconds", MAX_REPORT_SECONDS)
    except BadInput as error:
        return JsonResponse({"error": str(error)}, status=400)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT count(*) FROM music_playlogs, pg_sleep(%s)", [seconds])
        else:
            cursor.execute("SELECT count(*) FROM music_playlogs")
        (plays,) = cursor.fetchone()
    return JsonResponse({"plays": plays})


@require_POST
def generate_music(request: HttpRequest) -> JsonResponse:
    """Have a song made: {"prompt": ..., "megabytes": optional, "seconds": optional}."""
    try:
        body = _body(request)
        prompt = _text(body.get("prompt"), "prompt", MAX_PROMPT)
        megabytes = int(_number(body.get("megabytes", 16), "megabytes", MAX_MEGABYTES))
        seconds = _number(body.get("seconds", 1), "seconds", MAX_SECONDS)
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=400)
    return _queued(generate_music_task, prompt, megabytes=megabytes, seconds=seconds)
