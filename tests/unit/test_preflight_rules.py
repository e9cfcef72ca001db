"""Every refusal of the preflight: a sound deploy with one thing wrong is refused for that thing alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plugins.module_utils import preflight_rules

GIB = 2**30
DIGEST = "@sha256:" + "0" * 64
SECRET = "k3EpThisOutOfMessages"


def sound_settings() -> dict[str, Any]:
    """A production inventory that deploys."""
    return {
        "collector": "alloy",
        "locale": "en",
        "database": "embedded",
        "metrics_destination": "embedded",
        "scrape_interval": "60s",
        "metric_catalogue_window": "5m",
        "container_images_source": "registry",
        "container_images_wanted": ["app", "rabbitmq", "postgres", "cadvisor", "celery_exporter", "alloy"],
        "container_images_overrides": {},
        "container_images_refs": {
            "app": "registry.example.com/music:2026-11-01",
            "rabbitmq": "rabbitmq:4.1.4",
            "postgres": "postgres:17.6",
            "cadvisor": "ghcr.io/google/cadvisor:v0.53.0",
            "celery_exporter": "danihodovic/celery-exporter:0.12.2",
            "alloy": f"grafana/alloy{DIGEST}",
        },
        "container_images_versions": {
            "app": "2026-11-01",
            "rabbitmq": "4.1.4",
            "postgres": "17.6",
            "cadvisor": "v0.53.0",
            "celery_exporter": "0.12.2",
            "alloy": "1.18.1",
        },
        "app_image": "registry.example.com/music",
        "app_version": "2026-11-01",
        "app_stack_directory": "/opt/soundcheck/app",
        "app_stack_backend_port": 8000,
        "app_stack_backend_workers": 3,
        "app_stack_backend_memory": "600M",
        "app_stack_workers": [
            {"name": "celery", "queues": ["default"], "concurrency": 2, "memory": "512M"},
            {
                **{"name": "celery-ai", "queues": ["ai_queue"], "concurrency": 1, "memory": "1024M"},
                **{"acks_late": True, "time_limit": 600, "stop_seconds": 630},
            },
        ],
        "app_stack_worker_stop_seconds": 60,
        "app_stack_extra_services": [],
        "app_stack_task_routes": {
            "music.tasks.ai_music.generate_music_task": {"queue": "ai_queue"},
            "music.tasks.*": {"queue": "default"},
        },
        "app_stack_default_queue": "default",
        "app_stack_beat_memory": "200M",
        "app_stack_rabbitmq_memory": "300M",
        "app_stack_database_memory": "256M",
        "app_stack_database_host": "postgres",
        "app_stack_database_sslmode": "disable",
        "app_stack_flower_enabled": False,
        "app_stack_flower_memory": "200M",
        "app_stack_flower_port": 5555,
        "rabbitmq_prometheus_port": 15692,
        "alloy_memory": "256M",
        "alloy_memory_reservation": "128M",
        "alloy_port": 12345,
        "grafana_agent_memory": "256M",
        "grafana_agent_port": 12345,
        "metrics_backend_memory": "512M",
        "metrics_backend_port": 9090,
        "cadvisor_memory": "128M",
        "node_exporter_memory": "128M",
        "celery_exporter_memory": "128M",
        "postgres_exporter_memory": "64M",
        "preflight_production": True,
        "preflight_memory_reserve": "256M",
        "preflight_disk_minimum": "3G",
        "preflight_secret_length": 12,
        "preflight_allow_end_of_life": ["grafana_agent"],
        "vault_django_secret_key": SECRET + "1",
        "vault_database_password": SECRET + "2",
        "vault_rabbitmq_password": SECRET + "3",
        "vault_metrics_write_password": SECRET + "4",
        "vault_metrics_read_password": SECRET + "5",
        "contact_points": {"slack": {}},
        "vault_slack_webhook_url": f"https://hooks.slack.com/services/T1/B1/{SECRET}",
    }


def sound_survey() -> dict[str, Any]:
    """A small server on which the project runs already."""
    references = sound_settings()["container_images_refs"]
    return {
        "os": {
            "id": "debian",
            "version_id": "13",
            "codename": "trixie",
            "pretty_name": "Debian GNU/Linux 13",
        },
        "memory": {"total": 5 * GIB, "available": GIB, "swap": 0},
        "disks": {
            "docker": {"path": "/var/lib/docker", "total": 40 * GIB, "free": 20 * GIB},
            "/opt/soundcheck/app": {"path": "/opt/soundcheck/app", "total": 40 * GIB, "free": 20 * GIB},
        },
        "listening": [
            listener(22, process="sshd", pid=700),
            listener(8000, process="docker-proxy", project="app", service="backend"),
            listener(9090, process="docker-proxy", project="telemetry", service="metrics-backend"),
        ],
        "docker": {
            "installed": True,
            "reachable": True,
            "server_version": "26.1.5+dfsg1",
            "compose_version": "2.26.1-4",
            "containerd_image_store": False,
            "error": "",
            "unit_state": "",
        },
        "images_present": list(references.values()),
        "systemd": True,
        "time": 1795507200,  # 2026-11-24
        "probes": [],
        "archives": {"directory": "", "exists": False, "files": []},
    }


def listener(port: int, **holder: Any) -> dict[str, Any]:
    found = {"address": "127.0.0.1", "port": port, "pid": 1}
    return {**found, "process": "", "container": "", "project": "", "service": "", **holder}


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with the values at paths such as `docker/server_version` replaced; None removes the key."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split("/")
        target: Any = result
        for parent in parents:
            target = target[int(parent) if isinstance(target, list) else parent]
        if value is None:
            del target[last]
        else:
            target[int(last) if isinstance(target, list) else last] = value
    return result


def refusals(settings: dict[str, Any], survey: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in preflight_rules.problems(settings, survey)]


def test_a_sound_deploy_is_not_refused() -> None:
    assert refusals(sound_settings(), sound_survey()) == []


def test_the_defaults_of_the_guide_fit_a_server_of_five_gib_but_not_of_four() -> None:
    """G1.8: the limits of all services and the reserve are what is compared."""
    survey = changed(sound_survey(), {"memory/total": 4 * GIB})
    (problem,) = refusals(sound_settings(), survey)
    assert "they sum up to 4.3 GiB" in problem
    assert "on a server with 4.0 GiB" in problem
    assert "app_stack_workers celery-ai 1.0 GiB, app_stack_backend_memory 600 MiB" in problem
    assert "preflight_memory_reserve 256 MiB" in problem
    # What this inventory does not run is not counted.
    assert "grafana_agent_memory" not in problem
    assert "flower" not in problem
    assert "reservation" not in problem


SETTINGS_REFUSED = [
    # workers
    ({"app_stack_workers": [], "app_stack_task_routes": {}}, "app_stack_workers: an empty list"),
    (
        {"app_stack_extra_services": [{"name": "poller", "command": "x", "memory": "12"}]},
        "app_stack_extra_services[0].memory: `12`",
    ),
    ({"app_stack_workers/0/concurrency": 0}, "app_stack_workers[0].concurrency: 0; set it to 1 or more"),
    ({"app_stack_workers/1/name": "celery"}, "app_stack_workers: 2 services are named `celery`"),
    (
        {"app_stack_workers/0/name": "rabbitmq"},
        "app_stack_workers[0].name: `rabbitmq` is a service of the app",
    ),
    ({"app_stack_workers/0/name": "My Worker"}, "app_stack_workers[0].name: `My Worker`"),
    (
        {"app_stack_extra_services": [{"name": "celery", "command": "x", "memory": "64M"}]},
        "app_stack_workers: 2 services are named `celery`",
    ),
    # times of workers
    (
        {"app_stack_workers/1/stop_seconds": 599},
        "app_stack_workers[1].stop_seconds: 599 s, but its tasks may take 600 s (time_limit): a deploy would "
        "kill them; set it to 600 or more",
    ),
    (
        {"app_stack_workers/1/stop_seconds": None},
        "app_stack_workers[1].stop_seconds: 60 s, but its tasks may take 600 s (time_limit)",
    ),
    ({"app_stack_workers/0/stop_seconds": 0}, "app_stack_workers[0].stop_seconds: 0; set it to 1 or more"),
    ({"app_stack_workers/0/time_limit": -1}, "app_stack_workers[0].time_limit: -1; set it to 0, for none"),
    (
        {"app_stack_workers/1/pool": "threads"},
        "app_stack_workers[1].time_limit: 600, and Celery's pool threads ends no task; remove it, or",
    ),
    (
        {"app_stack_workers/1/time_limit": 3600, "app_stack_workers/1/stop_seconds": 3600},
        "app_stack_workers[1].time_limit: 3600, and RabbitMQ gives a task to another worker after 1800 s",
    ),
    ({"app_stack_backend_workers": 0}, "app_stack_backend_workers: 0"),
    ({"grafana_cloud_active_series_limit": 0}, "grafana_cloud_active_series_limit: 0; set it to 1 or more"),
    ({"grafana_cloud_included_dpm": -1}, "grafana_cloud_included_dpm: -1; set it to 1 or more"),
    # sizes
    (
        {"app_stack_workers/0/memory": "512"},
        "app_stack_workers[0].memory: `512`; write a whole number with K, M",
    ),
    ({"app_stack_workers/0/memory": "512X"}, "app_stack_workers[0].memory: `512X`"),
    ({"app_stack_backend_memory": 600}, "app_stack_backend_memory: `600`"),
    ({"alloy_memory_reservation": "1.5G"}, "alloy_memory_reservation: `1.5G`"),
    ({"preflight_memory_reserve": "lots"}, "preflight_memory_reserve: `lots`"),
    ({"scrape_interval": "1 minute"}, "scrape_interval: `1 minute`; write a duration such as 60s"),
    ({"metric_catalogue_window": "five"}, "metric_catalogue_window: `five`; write a duration such as 5m"),
    (
        {"metric_catalogue_task_failure_window": "1h30m"},
        "metric_catalogue_task_failure_window: `1h30m`; write",
    ),
    (
        {"metric_catalogue_window": "2m"},
        "metric_catalogue_window: 2m holds fewer than four scrapes, which are 60s apart (scrape_interval); "
        "set it to 240s or more",
    ),
    ({"metric_catalogue_beat_period": 0}, "metric_catalogue_beat_period: 0; set it to 1 or more"),
    # routes, T5
    (
        {"app_stack_task_routes/music.tasks.*": {"queue": "celery"}},
        "app_stack_task_routes[music.tasks.*]: no worker consumes the queue `celery` (T5); "
        "add it to the queues of a worker in app_stack_workers, which consume ai_queue, default",
    ),
    ({"app_stack_task_routes/music.tasks.*": {}}, "app_stack_task_routes[music.tasks.*]: no queue"),
    ({"app_stack_default_queue": "celery"}, "app_stack_default_queue: no worker consumes the queue `celery`"),
    # secrets
    ({"vault_django_secret_key": None}, "vault_django_secret_key: is not set; set it in the vault file"),
    ({"vault_database_password": ""}, "vault_database_password: is empty"),
    ({"vault_rabbitmq_password": ["a", "b"]}, "vault_rabbitmq_password: is no text; write it in quotes"),
    ({"vault_rabbitmq_password": "changeme"}, "vault_rabbitmq_password: is still a placeholder"),
    ({"vault_rabbitmq_password": "change-me-please"}, "vault_rabbitmq_password: is still a placeholder"),
    ({"vault_metrics_read_password": "<your token>"}, "vault_metrics_read_password: is still a placeholder"),
    (
        {"vault_metrics_read_password": "xxxxxxxxxxxxxxx"},
        "vault_metrics_read_password: is still a placeholder",
    ),
    ({"vault_database_password": "a1b2c3"}, "vault_database_password: has 6 characters; use 12 or more"),
    ({"vault_database_password": "it's a secret!"}, "vault_database_password: holds a single quote"),
    ({"vault_metrics_write_password": "t" * 73}, "vault_metrics_write_password: has 73 bytes"),
    ({"app_stack_flower_enabled": True}, "vault_flower_password: is not set"),
    # database
    (
        {"database": "external", "app_stack_database_sslmode": "require"},
        "app_stack_database_host: `postgres` although database is external",
    ),
    (
        {"database": "external", "app_stack_database_host": "db", "app_stack_database_sslmode": "prefer"},
        "app_stack_database_sslmode: `prefer` lets the connection to an external database go without TLS",
    ),
    # ports
    ({"rabbitmq_prometheus_port": 9090}, "metrics_backend_port: 9090 is also rabbitmq_prometheus_port"),
    ({"alloy_port": 70000}, "alloy_port: 70000; set a port from 1 to 65535"),
]

GRAFANA_CLOUD = {
    "remote_write_url": "https://prometheus-prod-01-eu-west-0.grafana.net/api/prom/push",
    "query_url": "https://prometheus-prod-01-eu-west-0.grafana.net/api/prom",
    "username": "123456",
}
GRAFANA_CLOUD_REFUSED = [
    ({"grafana_cloud": None}, "grafana_cloud: is not set although metrics_destination is grafana_cloud"),
    (
        {"grafana_cloud/query_url": "https://x.grafana.net"},
        "grafana_cloud.query_url: `https://x.grafana.net`",
    ),
    (
        {"grafana_cloud/remote_write_url": "https://example.com/api/prom/push"},
        "grafana_cloud.remote_write_url:",
    ),
    (
        {"grafana_cloud/remote_write_url": "http://p.grafana.net/api/prom/push"},
        "grafana_cloud.remote_write_url:",
    ),
    ({"grafana_cloud/username": "<instance id>"}, "grafana_cloud.username: `<instance id>`"),
]

IMAGES_REFUSED = [
    ("app", "registry.example.com/Music:1", "is not an image reference"),
    ("app", "music:", "is not an image reference"),
    ("app", "https://registry.example.com/music:1", "is not an image reference"),
    ("app", "registry.example.com:5000/music", "has no tag"),
    ("rabbitmq", "rabbitmq:latest", "name a tag or digest that never moves"),
]

VERSIONS_REFUSED = [
    ("rabbitmq", "3.13.7", "rabbitmq 3.13.7 reached its end of life on 2024-09-18"),
    ("postgres", "13.20", "postgres 13.20 reached its end of life on 2025-11-13"),
    ("postgres", "14.19", "postgres 14.19 reached its end of life on 2026-11-12"),
]

SURVEY_REFUSED = [
    (
        {"os/id": "fedora", "os/pretty_name": "Fedora 43"},
        "ansible_host: the server runs Fedora 43; use Debian 12",
    ),
    ({"os/version_id": "11"}, "ansible_host: the server runs Debian GNU/Linux 13"),
    (
        {"disks/docker/free": GIB},
        "preflight_disk_minimum: 1.0 GiB are free for /var/lib/docker, 3.0 GiB are needed",
    ),
    ({"disks/~opt~soundcheck~app/free": 2**20}, "/opt/soundcheck/app: 1 MiB are free"),
    (
        {"listening/0": listener(8000, process="nginx", pid=812)},
        "app_stack_backend_port: 8000 is taken by nginx (pid 812); stop it, or set another port",
    ),
    (
        {"listening/0": listener(12345, process="docker-proxy", project="shop", service="web")},
        "alloy_port: 12345 is taken by the service web of the compose project shop",
    ),
    (
        {"listening/0": listener(8000, pid=0)},
        "app_stack_backend_port: 8000 is taken by a process that this user may not see",
    ),
    (
        {"listening/0": listener(15692, process="docker-proxy", container="old-broker")},
        "rabbitmq_prometheus_port: 15692 is taken by the container old-broker",
    ),
    (
        {"docker/server_version": "19.03.15"},
        "docker_engine: Docker 19.03.15 runs here and is left alone; upgrade",
    ),
    ({"docker/compose_version": "2.6.0"}, "docker_engine: Docker Compose 2.6.0 is installed here"),
    (
        {"docker/server_version": "29.1.0"},
        "container_images_overrides.cadvisor: cAdvisor v0.53.0 sees no containers under Docker 29.1.0 (T14)",
    ),
    (
        {"docker/containerd_image_store": True},
        "container_images_overrides.cadvisor: cAdvisor v0.53.0 sees no containers under Docker's containerd",
    ),
    (
        {"docker/reachable": False, "docker/unit_state": "failed", "docker/error": "refused"},
        "docker_engine_manage: Docker is installed but does not answer (systemd: failed): refused; "
        "look at `systemctl status docker` on the server",
    ),
    (
        {
            "images_present": [],
            "probes": [{"url": "https://ghcr.io/v2/", "reachable": False, "error": "timed out"}],
        },
        "container_images_source: 6 of 6 images are missing on the server, out of whose reach is https://ghcr.io",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), SETTINGS_REFUSED, ids=lambda value: str(value)[:60])
def test_a_wrong_setting_is_refused_alone(changes: dict[str, Any], expected: str) -> None:
    """Bad input, T5, T12: the message begins with the variable."""
    (problem,) = refusals(changed(sound_settings(), changes), sound_survey())
    assert problem.startswith(expected)


@pytest.mark.parametrize("queues", [[], [""]])
def test_a_worker_without_queues_is_refused(queues: list[str]) -> None:
    """T5: nothing that it should have consumed is claimed to be consumed either."""
    settings = changed(sound_settings(), {"app_stack_workers/0/queues": queues})
    first, *others = refusals(settings, sound_survey())
    assert first.startswith("app_stack_workers[0].queues: worker celery names no queue")
    assert all("no worker consumes the queue `default`" in other for other in others)
    assert len(others) == 2


@pytest.mark.parametrize(("changes", "expected"), GRAFANA_CLOUD_REFUSED, ids=lambda value: str(value)[:60])
def test_an_incomplete_grafana_cloud_account_is_refused(changes: dict[str, Any], expected: str) -> None:
    settings = changed(
        sound_settings(),
        {"metrics_destination": "grafana_cloud", "grafana_cloud": copy.deepcopy(GRAFANA_CLOUD)},
    )
    assert refusals(settings, sound_survey()) == []
    (problem,) = refusals(changed(settings, changes), sound_survey())
    assert problem.startswith(expected)


@pytest.mark.parametrize(("key", "reference", "expected"), IMAGES_REFUSED)
def test_a_moving_or_malformed_image_is_refused_in_production(
    key: str, reference: str, expected: str
) -> None:
    """T12"""
    settings = changed(
        sound_settings(),
        {f"container_images_refs/{key}": reference, f"container_images_overrides/{key}": reference},
    )
    (problem,) = refusals(settings, {**sound_survey(), "images_present": [reference]})
    assert problem.startswith(f"container_images_overrides.{key}: `{reference}`")
    assert expected in problem


REGISTRY_LOGIN = {
    "container_images_registry_login": {"server": "registry.example.com", "username": "deploy"},
    "vault_registry_password": "short",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"vault_registry_password": None},
            ["vault_registry_password: is not set; set it in the vault file"],
        ),
        ({"vault_registry_password": "changeme"}, ["vault_registry_password: is still a placeholder"]),
        (
            {"container_images_registry_login/server": "https://registry.example.com"},
            ["container_images_registry_login.server: `https://registry.example.com`; write its name"],
        ),
        ({"container_images_registry_login/server": "registry.example.com:5000"}, []),
        (
            {"container_images_registry_login/username": ""},
            ["container_images_registry_login.username: is empty"],
        ),
    ],
    ids=str,
)
def test_half_a_registry_login_is_refused(changes: dict[str, Any], expected: list[str]) -> None:
    """Bad input. Somebody else's registry chooses how long its tokens are."""
    found = refusals(changed({**sound_settings(), **copy.deepcopy(REGISTRY_LOGIN)}, changes), sound_survey())
    assert [problem[: len(start)] for problem, start in zip(found, expected, strict=True)] == expected


VERSIONS_OF_THE_APP_REFUSED = [
    (
        {"app_version": ""},
        "app_version: is not set; name the version to deploy, the tag of the app's image: -e",
    ),
    ({"app_version": None}, "app_version: is not set"),
    # The version names the release, whatever names the image.
    ({"app_version": "", "container_images_overrides": {"app": f"music{DIGEST}"}}, "app_version: is not set"),
    ({"app_version": "", "container_images_source": "archive"}, "app_version: is not set"),
    (
        {"app_version": "latest"},
        "app_version: `latest` is another image tomorrow; name a tag that never moves",
    ),
    ({"app_version": "Latest"}, "app_version: `Latest` is another image tomorrow"),
    ({"app_version": "../1"}, "app_version: `../1` is no tag of an image; use letters, digits"),
    (
        {"app_version": 1.1},
        "app_version: YAML reads 1.1 as a number, and 1.10 as 1.1; write it between quotes",
    ),
    (
        {"app_image": "registry.example.com/music:1"},
        "app_image: `registry.example.com/music:1` is no repository",
    ),
    ({"app_image": f"registry.example.com/music{DIGEST}"}, "app_image: `registry.example.com/music@sha256"),
    ({"app_image": "registry.example.com/Music"}, "app_image: `registry.example.com/Music` is no repository"),
]


@pytest.mark.parametrize(
    ("changes", "expected"), VERSIONS_OF_THE_APP_REFUSED, ids=lambda value: str(value)[:60]
)
def test_a_version_that_names_no_release_is_refused(changes: dict[str, Any], expected: str) -> None:
    """Bad input, T12"""
    survey = {**sound_survey(), "archives": {"directory": "/srv", "exists": True, "files": ["app.tar"]}}
    (problem,) = refusals(changed(sound_settings(), changes), survey)
    assert problem.startswith(expected)


def test_a_run_that_leaves_the_app_alone_needs_no_version() -> None:
    """Of telemetry, or of Grafana."""
    settings = changed(sound_settings(), {"app_version": "", "container_images_with_app": False})
    assert refusals(settings, sound_survey()) == []


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"app_version": "latest"}, []),
        ({"app_version": ""}, ["app_version: is not set"]),
        ({"app_version": "", "container_images_source": "debian"}, []),
        ({"app_version": "a b", "container_images_source": "debian"}, ["app_version: `a b` is no tag"]),
    ],
    ids=str,
)
def test_outside_production_a_version_is_needed_where_it_names_the_image(
    changes: dict[str, Any], refused: list[str]
) -> None:
    settings = changed(sound_settings(), {"preflight_production": False, **changes})
    found = refusals(settings, sound_survey())
    assert [problem[: len(expected)] for problem, expected in zip(found, refused, strict=True)] == refused


def test_outside_production_only_malformed_images_are_refused() -> None:
    settings = changed(
        sound_settings(),
        {
            "preflight_production": False,
            "app_version": "latest",
            "container_images_overrides": {"app": "music"},
            "container_images_refs/app": "music",
            "container_images_refs/rabbitmq": "rabbitmq:latest",
            "container_images_versions/rabbitmq": "3.13",
        },
    )
    assert refusals(settings, sound_survey()) == []
    (problem,) = refusals(changed(settings, {"container_images_refs/app": "Music"}), sound_survey())
    assert problem.startswith("container_images_overrides.app: `Music` is not an image reference")


@pytest.mark.parametrize(("key", "number", "expected"), VERSIONS_REFUSED)
def test_an_image_past_its_end_of_life_is_refused_in_production(key: str, number: str, expected: str) -> None:
    settings = changed(sound_settings(), {f"container_images_versions/{key}": number})
    (problem,) = refusals(settings, sound_survey())
    assert problem.startswith(f"container_images_overrides.{key}: {expected}")
    assert f"or list `{key}` in preflight_allow_end_of_life" in problem
    # The distribution supports its own packages.
    assert refusals(changed(settings, {"container_images_source": "debian"}), sound_survey()) == []


def test_the_guides_collector_is_reported_and_not_refused() -> None:
    """T15: until the operator takes it from the list."""
    settings = changed(
        sound_settings(),
        {
            "collector": "grafana_agent",
            "container_images_wanted": ["grafana_agent"],
            "container_images_refs": {"grafana_agent": "grafana/agent:v0.44.8"},
            "container_images_versions": {"grafana_agent": "v0.44.8"},
        },
    )
    survey = {**sound_survey(), "images_present": ["grafana/agent:v0.44.8"]}
    expected = (
        "collector: grafana_agent 0.44.8 reached its end of life on 2025-11-01; collector: alloy is its"
    )
    assert refusals(settings, survey) == []
    (warning,) = preflight_rules.warnings(settings, survey)
    assert str(warning).startswith(expected)

    settings["preflight_allow_end_of_life"] = []
    (problem,) = refusals(settings, survey)
    assert problem.startswith(expected)
    assert preflight_rules.warnings(settings, survey) == []


def test_a_short_scrape_interval_is_reported_where_it_is_billed() -> None:
    """T16"""
    settings = changed(sound_settings(), {"scrape_interval": "15s"})
    assert preflight_rules.warnings(settings, sound_survey()) == []
    settings["metrics_destination"] = "grafana_cloud"
    (warning,) = preflight_rules.warnings(settings, sound_survey())
    assert str(warning).startswith("scrape_interval: 15s makes 4 data points per minute and series")


@pytest.mark.parametrize(
    ("broker", "exporter", "refused"),
    [("4.3.0", "0.12.2", True), ("4.2.1", "0.12.2", False), ("4.3.0", "0.13.0", False)],
)
def test_a_broker_that_refuses_the_exporters_queues_is_refused(
    broker: str, exporter: str, refused: bool
) -> None:
    """T13"""
    settings = changed(
        sound_settings(),
        {"container_images_versions/rabbitmq": broker, "container_images_versions/celery_exporter": exporter},
    )
    found = refusals(settings, sound_survey())
    assert [problem.split(":")[0] for problem in found] == ["container_images_overrides.rabbitmq"] * refused
    assert refusals({**settings, "rabbitmq_prometheus_permit_transient_queues": True}, sound_survey()) == []


@pytest.mark.parametrize(("changes", "expected"), SURVEY_REFUSED, ids=lambda value: str(value)[:60])
def test_a_host_that_cannot_hold_the_stack_is_refused(changes: dict[str, Any], expected: str) -> None:
    """Bad input, T14"""
    survey = sound_survey()
    survey["disks"] = {name.replace("/", "~"): disk for name, disk in survey["disks"].items()}
    survey = changed(survey, changes)
    survey["disks"] = {name.replace("~", "/"): disk for name, disk in survey["disks"].items()}
    (problem,) = refusals(sound_settings(), survey)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (True, "docker_engine_manage: Docker is installed but does not answer: no socket"),
        (False, "docker_engine_manage: Docker is not installed and docker_engine_manage is false"),
    ],
)
def test_without_docker_engine_a_silent_docker_is_refused(installed: bool, expected: str) -> None:
    """Docker down: docker_engine installs and starts it, unless it may not."""
    survey = changed(
        sound_survey(),
        {"docker/reachable": False, "docker/installed": installed, "docker/error": "no socket"},
    )
    assert refusals(sound_settings(), survey) == []
    (problem,) = refusals({**sound_settings(), "docker_engine_manage": False}, survey)
    assert problem.startswith(expected)


def test_an_image_that_the_source_lacks_is_refused() -> None:
    """The app has no default image, and Debian's packages hold neither of Grafana's collectors."""
    settings = changed(sound_settings(), {"container_images_refs/app": None, "app_image": None})
    (problem,) = refusals(settings, sound_survey())
    assert problem.startswith("app_image: is not set; set it to the repository of your app's image")
    settings = changed(
        sound_settings(), {"container_images_refs/alloy": None, "container_images_source": "debian"}
    )
    (problem,) = refusals(settings, sound_survey())
    assert problem.startswith("collector: container_images_source debian has no image `alloy`; name one in")


def test_archives_without_their_list_are_refused() -> None:
    settings = {
        **sound_settings(),
        **{"container_images_source": "archive", "container_images_refs": {}},
        **{"container_images_export_directory": "/srv/export"},
    }
    (problem,) = refusals(settings, sound_survey())
    assert problem.startswith("container_images_export_directory: /srv/export holds no images.json")


@pytest.mark.parametrize(("exists", "state"), [(False, "does not exist"), (True, "is empty")])
def test_missing_archives_are_refused(exists: bool, state: str) -> None:
    settings = {**sound_settings(), "container_images_source": "archive"}
    archives = {"directory": "/srv/archives", "exists": exists, "files": []}
    survey = {**sound_survey(), "archives": archives, "images_present": []}
    (problem,) = refusals(settings, survey)
    expected = f"6 of 6 images are missing on the server and /srv/archives {state}"
    assert problem.startswith(f"container_images_archive_directory: {expected}")
    assert refusals(settings, {**survey, "archives": {**archives, "files": ["app.tar"]}}) == []
    assert refusals(settings, {**sound_survey(), "archives": archives}) == []


def test_images_that_are_present_need_no_registry() -> None:
    probes = [{"url": "https://ghcr.io/v2/", "reachable": False, "error": "timed out"}]
    assert refusals(sound_settings(), {**sound_survey(), "probes": probes}) == []


def test_the_message_counts_its_problems_and_holds_no_secret() -> None:
    """All problems in one message; a secret that got into one is masked."""
    problem = preflight_rules.Problem("app_stack_environment.URL", f"`https://u:{SECRET}@host`", "correct it")
    other = preflight_rules.Problem("locale", "`de` is unknown", "set it to one of en, ko")
    settings = {"vault_database_password": SECRET, "vault_flower_password": "changeme", "other": "locale"}
    text = preflight_rules.message([problem, other], preflight_rules.masked_secrets(settings))
    assert text.splitlines() == [
        "2 problems, nothing was changed:",
        "  1. app_stack_environment.URL: `https://u:(secret)@host`; correct it",
        "  2. locale: `de` is unknown; set it to one of en, ko",
    ]
    assert len(preflight_rules.without_repetition([other, problem, other])) == 2


def test_settings_of_wrong_types_do_not_stop_the_rules() -> None:
    """Their types are the business of the argument specs, whose problems stand in the same message."""
    for name in sound_settings():
        for value in (None, "text", 7, [], {}, [None], {"a": None}):
            preflight_rules.problems({**sound_settings(), name: value}, sound_survey())
            preflight_rules.warnings({**sound_settings(), name: value}, sound_survey())


@pytest.mark.parametrize(("total", "warned"), [(4.7, True), (8, False)])
def test_memory_for_the_backend_beside_its_successor_is_reported(total: float, warned: bool) -> None:
    """T11: the limits fit once; while a new version takes over, the backend counts twice."""
    survey = changed(sound_survey(), {"memory/total": int(total * GIB)})

    found = [str(warning) for warning in preflight_rules.warnings(sound_settings(), survey)]

    twice = [
        text for text in found if text.startswith("app_stack_backend_memory: a deploy runs the backend twice")
    ]
    assert bool(twice) is warned
