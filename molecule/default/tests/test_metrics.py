"""Metrics tell the truth: at the endpoints under load, and under the guide's names in the backend."""

from __future__ import annotations

from server import Server, eventually, samples

REQUESTS = 300
SCRAPES = 20


def counted(text: str) -> float:
    """Requests of a kind that nothing but this test sends."""
    return sum(
        sample.value
        for sample in samples(text)
        if sample.name == "django_http_requests_total_by_view_transport_method_total"
        and (sample.labels["view"], sample.labels["method"]) == ("healthz", "DELETE")
    )


def test_300_requests_are_300_on_every_scrape(server: Server) -> None:
    """T2: whichever of the three gunicorn workers answers."""
    before = counted(server.get("http://127.0.0.1:8000/metrics"))
    server.run(f"curl --silent --output /dev/null -X DELETE 'http://127.0.0.1:8000/healthz?[1-{REQUESTS}]'")

    answers = [counted(server.get("http://127.0.0.1:8000/metrics")) for _ in range(SCRAPES)]

    assert [answer - before for answer in answers] == [REQUESTS] * SCRAPES


def test_queries_of_the_database_are_measured(server: Server) -> None:
    """T3: with the bucket that tells slow from fast (T4)."""
    found = samples(server.get("http://127.0.0.1:8000/metrics"))

    durations = [sample for sample in found if sample.name == "django_db_query_duration_seconds_bucket"]
    assert {sample.labels["vendor"] for sample in durations} == {"postgresql"}
    assert "2.0" in {sample.labels["le"] for sample in durations}
    assert any(sample.name == "django_db_new_connections_total" for sample in found)


def test_backend_holds_tasks_under_the_guides_names(server: Server) -> None:
    """G7, T1: of the last five minutes, from the events of the workers and not from the web process."""
    answer = eventually(
        lambda: server.query("sum by (task_name, status) (last_over_time(celery_tasks_total[5m]))"),
        lambda found: {sample.labels["status"] for sample in found} == {"success", "failure"},
        seconds=60,
    )

    assert {sample.labels["status"] for sample in answer} == {"success", "failure"}
    assert "music.tasks.covers.fetch_cover" in {sample.labels["task_name"] for sample in answer}
    assert server.query("histogram_quantile(0.95, sum by (le) (celery_task_duration_seconds_bucket))")


def test_one_failure_is_one_failure(server: Server) -> None:
    """T1: the guide's signal handlers counted it as a success, too."""
    name = "music.tasks.ai_music.generate_music_task"
    networks = server.containers()["celery-exporter"]["NetworkSettings"]["Networks"]
    address = networks["telemetry"]["IPAddress"]

    def outcomes() -> tuple[float, float]:
        found = samples(server.get(f"http://{address}:9808/metrics"))
        return tuple(  # type: ignore[return-value]
            sum(s.value for s in found if s.name == f"celery_task_{end}_total" and s.labels["name"] == name)
            for end in ("failed", "succeeded")
        )

    # A prompt that is none makes the task fail, which the demo's traffic never does.
    code = (
        "from music.tasks.ai_music import generate_music_task as t\n"
        "t.apply_async((None,), {'megabytes': 1, 'seconds': 0})"
    )
    before = outcomes()
    server.django(code)
    after = eventually(outcomes, lambda found: found[0] > before[0], seconds=30)

    assert after[0] - before[0] == 1


def test_containers_are_named_by_their_service(server: Server) -> None:
    """T7, T8: the guide's `name="backend"` selects, whatever Compose calls the container."""
    services = set(server.containers())

    stored = eventually(
        lambda: {sample.labels["name"] for sample in server.query("container_memory_working_set_bytes > 0")},
        lambda found: found == services,
        seconds=60,
    )

    assert stored == services


def test_a_limit_is_stored_as_it_is_enforced(server: Server) -> None:
    """T9: the ratio of memory has something to divide by."""
    [limit] = server.query('container_spec_memory_limit_bytes{name="backend"}')

    assert limit.value == 600 * 2**20


def test_every_series_says_from_where_it_comes(server: Server) -> None:
    for label, value in (("environment", "molecule"), ("host", "soundcheck-server")):
        assert server.query(f'count({{__name__=~".+", {label}!="{value}"}})') == []


def test_every_source_is_up(server: Server) -> None:
    states = {sample.labels["job"]: sample.value for sample in server.query("up")}

    assert states == dict.fromkeys(
        ("django", "celery", "rabbitmq", "cadvisor", "node", "postgres", "collector"), 1.0
    )
