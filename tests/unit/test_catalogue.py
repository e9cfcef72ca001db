"""The catalogue against recorded exporter pages: what it promises is there, under the guide's names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.render import Rendering
from tests.unit._relabel import Sample, page, parse, relabel, select

PAGES = {
    "django": "django-prometheus-2.5.0.prom",
    "celery": "celery-exporter-0.11.2.prom",
    "rabbitmq": "rabbitmq-4.0.5.prom",
    "cadvisor": "cadvisor-0.38.7.prom",
    "node": "node-exporter-1.9.0.prom",
    "postgres": "postgres-exporter-0.17.1.prom",
    "collector": "prometheus-agent-2.53.3.prom",
}
OLDER_BROKER = "rabbitmq-3.10.8.prom"
COLLECTORS = ("grafana_agent", "alloy", "prometheus_agent")
SOURCES: dict[str, Any] = Rendering().value("metric_catalogue_sources")
STORED: dict[str, list[Sample]] = {
    name: relabel(page(PAGES[name]), source["relabel"]) for name, source in SOURCES.items()
}


def test_every_source_has_a_recorded_page() -> None:
    assert list(SOURCES) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_promised_metrics_are_exposed_and_stored(name: str) -> None:
    """Each promise holds on a real page, before and after relabelling; `when` alone excuses an absence."""
    exposed = page(PAGES[name])
    for promise in SOURCES[name]["promised"]:
        stored = select(STORED[name], promise.get("stored", promise["exposed"]), **promise.get("labels", {}))
        assert promise.get("when") or (select(exposed, promise["exposed"]) and stored), promise


def test_an_older_broker_keeps_the_promises() -> None:
    """RabbitMQ 3.10 of Debian 12; the page that the other tests use is of 4.0."""
    stored = relabel(page(OLDER_BROKER), SOURCES["rabbitmq"]["relabel"])

    promised = {promise["exposed"] for promise in SOURCES["rabbitmq"]["promised"]}
    assert promised <= {labels["__name__"] for labels, _ in stored}


@pytest.mark.parametrize("name", PAGES)
def test_relabelling_never_makes_two_samples_one_series(name: str) -> None:
    """Prometheus would keep the first and drop the second without an error."""
    series = Counter(tuple(sorted(labels.items())) for labels, _ in STORED[name])
    assert [labels for labels, number in series.items() if number > 1] == []


@pytest.mark.parametrize("collector", COLLECTORS)
def test_sources_are_complete(collector: str) -> None:
    """Every source answers every question of the verification, whichever collector ships it."""
    for name, source in (
        Rendering(settings={"collector": collector}).value("metric_catalogue_sources").items()
    ):
        assert source["target"] == f"{source['service']}:{source['port']}", name
        assert set(source["title"]) == {"en", "ko"}
        assert source["project"] in ("app", "telemetry")
        assert set(source["likely_causes"]) == {"endpoint", "samples", "target", "backend"}
        assert all(len(sentence) > 40 for sentence in source["likely_causes"].values()), name
        assert source["enabled"] is True
        assert source["promised"]
        assert {promise["kind"] for promise in source["promised"]} <= {"counter", "gauge", "histogram"}
        assert source["panels"]
        assert source["alerts"]


@pytest.mark.parametrize(
    ("requirement", "metric", "labels"),
    [
        (
            "G2.C1",
            "celery_task_duration_seconds_bucket",
            {"task_name": "music.tasks.covers.fetch_cover", "le": "+Inf"},
        ),
        ("G2.C2", "celery_tasks_total", {"status": "success", "task_name": "music.tasks.covers.fetch_cover"}),
        ("G3.3", "celery_tasks_total", {"status": "failure", "task_name": "music.tasks.covers.fetch_cover"}),
        ("G2.C3", "celery_task_started_total", {"task_name": "music.tasks.ai_music.generate_music_task"}),
        ("G2.C3", "celery_worker_tasks_active", {"hostname": "celery-ai"}),
        ("G2.D1", "django_http_requests_total_by_view_transport_method_total", {"view": "play"}),
        (
            "G2.D2",
            "django_http_requests_latency_seconds_by_view_method_bucket",
            {"view": "play", "le": "2.0"},
        ),
        ("G2.D3", "django_db_query_duration_seconds_bucket", {"le": "2.0"}),
        ("G3.4", "django_db_query_duration_seconds_count", {}),
        ("G2.D4", "django_db_new_connections_total", {}),
        ("G2.D4", "pg_stat_database_numbackends", {"datname": "app"}),
        ("G2.R1", "container_cpu_usage_seconds_total", {"name": "celery-beat"}),
        ("G2.R2", "container_memory_usage_bytes", {"name": "backend"}),
        ("G2.R4", "container_network_receive_bytes_total", {"name": "backend", "interface": "eth0"}),
        ("G2.R4", "container_network_transmit_bytes_total", {"name": "backend", "interface": "eth0"}),
        ("G3.1", "container_spec_cpu_quota", {"name": "backend"}),
        ("G3.1", "container_spec_cpu_shares", {"name": "celery-beat"}),
        ("G3.1", "machine_cpu_cores", {}),
        ("G3.2", "container_spec_memory_limit_bytes", {"name": "backend"}),
        ("G3.2", "container_memory_working_set_bytes", {"name": "backend"}),
        ("G3.6", "node_filesystem_avail_bytes", {"mountpoint": "/"}),
        ("G2 System Overview", "node_cpu_seconds_total", {"mode": "idle"}),
        ("G2 System Overview", "node_memory_MemAvailable_bytes", {}),
        ("G2 System Overview", "node_load5", {}),
        ("G2 System Overview", "node_network_receive_bytes_total", {"device": "eth0"}),
        ("G6.2", "node_vmstat_oom_kill", {}),
        ("G6.2", "container_memory_swap", {"name": "backend"}),
        ("G6.3", "pg_stat_activity_count", {"datname": "app", "state": "active"}),
        ("G6.3", "pg_settings_max_connections", {}),
    ],
)
def test_the_guide_finds_its_series(requirement: str, metric: str, labels: dict[str, str]) -> None:
    """The selectors of panels and alerts, written here by hand, match what would be stored."""
    assert any(select(samples, metric, **labels) for samples in STORED.values()), requirement


def test_t1_celery_counts_are_the_exporters() -> None:
    """Totals by status equal what ran: 38 successes, 14 failures, and the failures name their exception."""
    for status, total in (("success", 38.0), ("failure", 14.0)):
        counted = select(STORED["celery"], "celery_tasks_total", status=status)
        assert sum(number for _, number in counted) == total
    failed = select(STORED["celery"], "celery_tasks_total", status="failure", exception="CoverUnavailable")
    assert [number for _, number in failed] == [14.0]
    assert not any("name" in labels for labels, _ in STORED["celery"])


def test_t1_dropping_the_exception_would_merge_series() -> None:
    """Why the label stays: without it the zero series of a task collides with the real one."""
    rules = [*SOURCES["celery"]["relabel"], {"regex": "exception", "action": "labeldrop"}]
    failed = select(relabel(page(PAGES["celery"]), rules), "celery_tasks_total", status="failure")
    names = Counter(labels["task_name"] for labels, _ in failed)
    assert names["music.tasks.covers.fetch_cover"] == 2


def cgroup_page(driver: str) -> list[Sample]:
    """The recorded page as cAdvisor shows it under a cgroup driver."""
    samples = page(PAGES["cadvisor"])
    if driver == "systemd":
        for labels, _ in samples:
            shape = re.sub(r"/docker/([0-9a-f]{64})", r"/system.slice/docker-\1.scope", labels.get("id", ""))
            labels |= {"id": shape} if shape else {}
    return samples


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
def test_t7_t8_containers_read_as_services(driver: str) -> None:
    """Compose's service is the name, another container keeps its own; no other cgroup stays."""
    stored = relabel(cgroup_page(driver), SOURCES["cadvisor"]["relabel"])
    cpu = select(stored, "container_cpu_usage_seconds_total")
    assert {(labels["name"], labels.get("project")) for labels, _ in cpu} == {
        ("backend", "app"),
        ("celery-beat", "app"),
        ("a", "other"),
        ("standalone", None),
    }
    assert not any(name.startswith("container_label") for labels, _ in stored for name in labels)
    nameless = {labels["__name__"] for labels, _ in stored if "name" not in labels}
    assert nameless == {
        "machine_cpu_cores",
        "machine_memory_bytes",
        "node_network_receive_bytes_total",
        "node_network_transmit_bytes_total",
    }


def test_the_host_network_takes_the_node_exporters_shape() -> None:
    """Only real interfaces, by `device`; the root cgroup's labels are gone."""
    received = select(STORED["cadvisor"], "node_network_receive_bytes_total")
    assert [labels for labels, _ in received] == [
        {"__name__": "node_network_receive_bytes_total", "device": "eth0"}
    ]


@pytest.mark.parametrize("version", ["without machine labels", "0.40 and newer"])
def test_machine_metrics_have_no_labels(version: str) -> None:
    """A reboot changes the boot id and must not start a new series."""
    labels = '{boot_id="x",machine_id="y",system_uuid="z"}' if "newer" in version else ""
    stored = relabel(parse(f"machine_cpu_cores{labels} 2\n"), SOURCES["cadvisor"]["relabel"])
    assert stored == [({"__name__": "machine_cpu_cores"}, 2.0)]


def test_an_apps_own_metrics_pass() -> None:
    """The Django source drops by list, so that what the operator's app counts reaches the backend."""
    own = list(parse('playlist_exports_total{format="csv"} 3\n'))
    assert relabel(own, SOURCES["django"]["relabel"]) == own


@pytest.mark.parametrize(
    ("name", "most"),
    [("django", 160), ("celery", 84), ("rabbitmq", 31), ("cadvisor", 70), ("node", 60), ("postgres", 80)],
)
def test_t16_few_series_are_stored(name: str, most: int) -> None:
    """Active series are what Grafana Cloud bills; the pages are those of a small stack."""
    assert len(STORED[name]) <= most, Counter(labels["__name__"] for labels, _ in STORED[name])


def test_t16_default_interval_is_one_minute() -> None:
    jobs = Rendering(settings={"scrape_interval": ""}).value("metric_catalogue_scrape_jobs")
    assert {job["scrape_interval"] for job in jobs} == {"60s"}


def test_a_disabled_exporter_is_no_source() -> None:
    without = {"postgres_exporter_enabled": False, "node_exporter_enabled": False}
    jobs = Rendering(settings=without).value("metric_catalogue_scrape_jobs")
    assert [job["job_name"] for job in jobs] == ["django", "celery", "rabbitmq", "cadvisor", "collector"]


def test_every_container_of_the_backend_is_scraped_and_each_exporter_by_name() -> None:
    """Asked by one name, two containers would answer in turns, and every counter would jump."""
    jobs = {job["job_name"]: job for job in Rendering().value("metric_catalogue_scrape_jobs")}

    found = {"names": ["backend"], "type": "A", "port": 8000, "refresh_interval": "5s"}
    assert jobs["django"]["dns_sd_configs"] == [found]
    assert "static_configs" not in jobs["django"]
    assert all("dns_sd_configs" not in job for name, job in jobs.items() if name != "django")


def test_alloy_looks_for_the_same_containers() -> None:
    config = Rendering(settings={"collector": "alloy"}).template("telemetry/alloy/config.alloy.j2")

    discovery = config[config.index('discovery.dns "django" {') :].partition("}")[0]
    assert [" ".join(line.split()) for line in discovery.splitlines()[1:] if line] == [
        'names = ["backend"]',
        'type = "A"',
        "port = 8000",
        'refresh_interval = "5s"',
    ]
    assert "targets         = discovery.dns.django.targets\n" in config
    assert config.count("discovery.dns") == 2


def test_no_expression_on_django_tells_containers_apart() -> None:
    """`instance` is another one after each deploy: what is summed up, goes on."""
    questions = Rendering().value("metric_catalogue_questions")
    about = [question for question in questions if "django_" in question["expr"]]

    assert about
    for question in about:
        assert "instance" not in question["expr"], question["id"]
        summed = re.findall(r"sum(?: by \([^)]*\))?\s*\(\s*(?:rate|increase)\(\s*django_", question["expr"])
        assert len(summed) == question["expr"].count("django_"), question["id"]
