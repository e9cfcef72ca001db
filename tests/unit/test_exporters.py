"""What the exporter roles and rabbitmq_prometheus describe, with each of their variables."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleError

from plugins.filter.cadvisor_flags import cadvisor_counts_oom, cadvisor_disabled_metrics
from plugins.filter.http_healthcheck import http_healthcheck
from tests.render import SECRETS, Rendering

EXPORTERS = ("cadvisor", "node_exporter", "celery_exporter", "postgres_exporter")


def described(role: str, **settings: Any) -> dict[str, Any]:
    """The only service that a role describes."""
    services: dict[str, Any] = Rendering(settings=settings).value(f"{role}_services")
    return next(iter(services.values()))


def broker_conf(**settings: Any) -> dict[str, str]:
    """Both files of the broker's settings, comments aside."""
    files = Rendering(settings=settings).project("app")
    text = files["rabbitmq/conf.d/10-broker.conf"] + files["rabbitmq/conf.d/20-prometheus.conf"]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


@pytest.mark.parametrize("role", EXPORTERS)
def test_exporter_that_is_switched_off_leaves_nothing(role: str) -> None:
    rendering = Rendering(settings={f"{role}_enabled": False})

    assert rendering.value(f"{role}_services") == {}
    assert rendering.value(f"{role}_files") == []
    assert rendering.value(f"{role}_volumes") == {}


@pytest.mark.parametrize("role", EXPORTERS)
def test_exporter_is_reached_by_the_collector_alone(role: str) -> None:
    """T12: nothing is published, and no namespace of the host is shared."""
    service = described(role)

    assert not {"ports", "network_mode", "pid", "privileged", "ipc", "userns_mode"} & set(service)


@pytest.mark.parametrize(
    ("role", "limit"),
    [
        ("cadvisor", "256M"),
        ("node_exporter", "128M"),
        ("celery_exporter", "128M"),
        ("postgres_exporter", "128M"),
    ],
)
def test_memory_limit_is_the_guides_and_can_be_set(role: str, limit: str) -> None:
    """G1.8."""
    assert described(role)["memory"] == limit
    assert described(role, **{f"{role}_memory": "96M"})["memory"] == "96M"


@pytest.mark.parametrize("role", ["node_exporter", "celery_exporter", "postgres_exporter"])
def test_exporter_that_reads_nothing_of_roots_is_not_root(role: str) -> None:
    assert described(role)["user"] == "65534:65534"


# cadvisor


@pytest.mark.parametrize(
    ("version", "known", "unknown"),
    [
        ("0.38.7", {"accelerator"}, {"cpuset", "pressure"}),
        ("0.39.0", {"accelerator", "cpuset"}, {"pressure"}),
        ("v0.49.2", {"cpuset"}, {"accelerator", "pressure"}),
        ("0.53.0", {"cpuset", "pressure"}, {"accelerator"}),
        ("v0.60.5", {"cpuset", "pressure"}, {"accelerator"}),
        ("", {"cpuset", "pressure"}, {"accelerator"}),
    ],
)
def test_cadvisor_gets_only_kinds_of_metrics_that_its_version_knows(
    version: str, known: set[str], unknown: set[str]
) -> None:
    """It ends at an unknown kind. The versions are those of its own source."""
    kinds = set(cadvisor_disabled_metrics(version).split(","))

    assert known <= kinds
    assert not unknown & kinds
    assert {"disk", "diskIO", "percpu", "process"} <= kinds
    assert not {"cpu", "memory", "network", "oom_event"} & kinds, "the catalogue keeps these"


@pytest.mark.parametrize(
    ("version", "counts"), [("0.38.7", False), ("0.40.0", True), ("v0.60.5", True), ("", True)]
)
def test_cadvisor_reads_the_kernels_log_only_where_it_counts_oom_kills(version: str, counts: bool) -> None:
    """G6.2."""
    service = described("cadvisor", container_images_versions={"cadvisor": version, "rabbitmq": "4.2.1"})

    assert cadvisor_counts_oom(version) is counts
    assert service.get("devices", []) == (["/dev/kmsg:/dev/kmsg:r"] if counts else [])
    assert service.get("cap_add", []) == (["SYSLOG"] if counts else [])


def test_cadvisor_has_read_only_mounts_instead_of_privileges() -> None:
    """T12; works with both cgroup drivers and versions, because all of /sys is there (T8)."""
    service = described("cadvisor", cadvisor_docker_socket="/run/other.sock")

    assert service["volumes"] == ["/:/rootfs:ro", "/sys:/sys:ro"]
    assert "--docker=unix:///rootfs/run/other.sock" in service["command"]


def test_cadvisor_exports_the_labels_that_name_a_service_and_no_others() -> None:
    """T7."""
    command = described("cadvisor")["command"]

    assert "--store_container_labels=false" in command
    labels = next(flag for flag in command if flag.startswith("--whitelisted_container_labels="))
    assert set(labels.partition("=")[2].split(",")) == {
        "com.docker.compose.service",
        "com.docker.compose.project",
    }


# node exporter


def test_node_exporter_reads_the_host_and_not_its_own_network() -> None:
    command = described("node_exporter")["command"]

    assert {"--path.rootfs=/host", "--path.procfs=/host/proc", "--path.sysfs=/host/sys"} <= set(command)
    collectors = {flag for flag in command if re.fullmatch(r"--collector\.[a-z]+", flag)}
    assert "--collector.disable-defaults" in command
    assert not {"--collector.netdev", "--collector.netclass", "--collector.netstat"} & collectors
    assert {"--collector.cpu", "--collector.filesystem", "--collector.stat"} <= collectors


@pytest.mark.parametrize(
    ("mount_point", "kept"),
    [
        ("/", True),
        ("/boot/efi", True),
        ("/data", True),
        ("/home", True),
        ("/var/lib/docker", True),
        ("/var/lib/docker/overlay2/0123/merged", False),
        ("/var/lib/containerd/io.containerd.runtime.v2.task/moby/0123/rootfs", False),
        ("/run/user/1000", False),
        ("/dev/shm", False),
        ("/etc/hosts", False),
        ("/etc", True),
        ("/device", True),
    ],
)
def test_disks_of_the_host_are_measured_and_those_of_containers_are_not(mount_point: str, kept: bool) -> None:
    """G3.6."""
    pattern = Rendering().value("node_exporter_mount_points_exclude")

    assert (re.search(pattern, mount_point) is None) is kept


@pytest.mark.parametrize(
    ("file_system", "kept"),
    [("ext4", True), ("xfs", True), ("overlay", True), ("tmpfs", False), ("proc", False)],
)
def test_a_virtual_servers_overlay_root_counts_as_a_disk(file_system: str, kept: bool) -> None:
    pattern = Rendering().value("node_exporter_filesystem_types_exclude")

    assert (re.search(pattern, file_system) is None) is kept


# celery exporter


def test_celery_exporter_outlives_the_broker_and_sees_long_tasks() -> None:
    """T1, G2.C1: retries, and buckets beyond ten seconds."""
    environment = described("celery_exporter")["environment"]

    assert environment["CE_RETRY_INTERVAL"] == "5"
    assert environment["CE_BUCKETS"] == "0.1,0.5,1,2,5,10,30,60,120,300,600"


def test_celery_exporter_knows_every_queue_from_the_start() -> None:
    """T5: a queue that nobody consumes must still show its length."""
    workers = [{"name": "a", "queues": ["default", "mail"]}, {"name": "b", "queues": ["mail", "ai_queue"]}]

    environment = described("celery_exporter", app_stack_workers=workers)["environment"]

    assert environment["CE_QUEUES"] == "default,mail,ai_queue"


def test_brokers_address_is_in_a_secret_file_alone() -> None:
    files = Rendering().project("telemetry")
    entry = next(e for e in Rendering().entries("telemetry") if e["path"] == "celery-exporter/environment")

    assert (entry["mode"], entry["owner"]) == ("0400", 65534)
    assert entry["secret"] is True
    assert "CE_BROKER_URL='amqp://app:render-rabbitmq-p%40ssword@rabbitmq:5672/app'\n" in files[entry["path"]]
    assert "render-rabbitmq" not in files["docker-compose.prod.yml"]


# postgres exporter


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        ({}, "postgres:5432/app?sslmode=disable"),
        (
            {
                "database": "external",
                "app_stack_database_host": "db.example.com",
                "app_stack_database_port": 6432,
            },
            "db.example.com:6432/app?sslmode=require",
        ),
        ({"app_stack_database_sslmode": "prefer"}, "postgres:5432/app?sslmode=disable"),
        ({"app_stack_database_sslmode": "verify-full"}, "postgres:5432/app?sslmode=verify-full"),
        ({"postgres_exporter_sslmode": "require"}, "postgres:5432/app?sslmode=require"),
        ({"app_stack_database_name": "my music"}, "postgres:5432/my%20music?sslmode=disable"),
    ],
)
def test_postgres_exporter_asks_the_database_that_the_app_uses(settings: dict[str, Any], uri: str) -> None:
    address = described("postgres_exporter", **settings)["environment"]["DATA_SOURCE_URI"]

    assert address.startswith(f"{uri}&")


def test_certificates_of_the_database_are_mounted_and_named() -> None:
    service = described("postgres_exporter", postgres_exporter_ca_file="/etc/ssl/db.pem")

    assert "/etc/ssl/db.pem:/etc/ssl/database-ca.crt:ro" in service["volumes"]
    assert service["environment"]["DATA_SOURCE_URI"].endswith("&sslrootcert=/etc/ssl/database-ca.crt")


def test_password_of_the_database_is_in_a_file_that_the_exporter_alone_reads() -> None:
    rendering = Rendering(settings={"postgres_exporter_password": "monitor-secret"})
    entry = next(e for e in rendering.entries("telemetry") if e["path"] == "postgres-exporter/password")

    assert (entry["mode"], entry["owner"], entry["group"], entry["secret"]) == ("0400", 65534, 65534, True)
    assert rendering.project("telemetry")["postgres-exporter/password"] == "monitor-secret"
    assert SECRETS["vault_database_password"] not in str(rendering.value("postgres_exporter_services"))


# rabbitmq


def test_broker_has_the_prometheus_plugin_by_file() -> None:
    """G1.5, T13: the environment variable of the guide does nothing."""
    files = Rendering().project("app")
    code = [line for line in files["rabbitmq/enabled_plugins"].splitlines() if not line.startswith("%")]

    assert code == ["[rabbitmq_prometheus]."]
    assert "RABBITMQ_" not in files["docker-compose.prod.yml"]


def test_management_plugin_comes_with_the_statistics_it_shows() -> None:
    settings = {"rabbitmq_prometheus_management": True}

    plugins = Rendering(settings=settings).project("app")["rabbitmq/enabled_plugins"]

    assert plugins.endswith("[rabbitmq_prometheus,rabbitmq_management].\n")
    assert broker_conf(**settings)["management_agent.disable_metrics_collector"] == "false"
    assert broker_conf()["management_agent.disable_metrics_collector"] == "true"


def test_broker_counts_its_own_limit_and_not_the_hosts_memory() -> None:
    """G1.8."""
    assert broker_conf()["vm_memory_high_watermark.absolute"] == "188743680"
    settings = {"app_stack_rabbitmq_memory": "1G", "rabbitmq_prometheus_memory_fraction": 0.5}
    assert broker_conf(**settings)["vm_memory_high_watermark.absolute"] == "536870912"
    assert broker_conf()["disk_free_limit.absolute"] == "536870912"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"app_stack_rabbitmq_memory": "512"},
            "app_stack_rabbitmq_memory: expected a whole number with K, M or G",
        ),
        ({"app_stack_rabbitmq_memory": "512X"}, "app_stack_rabbitmq_memory: expected a whole number"),
        ({"rabbitmq_prometheus_disk_free_limit": "1.5G"}, "rabbitmq_prometheus_disk_free_limit: expected"),
        (
            {"rabbitmq_prometheus_memory_fraction": 60},
            "rabbitmq_prometheus_memory_fraction: expected more than 0",
        ),
    ],
)
def test_size_that_cannot_be_read_names_its_variable(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        broker_conf(**settings)


def test_broker_answers_with_sums_and_without_guest() -> None:
    """T12; the collector asks port 15692."""
    settings = broker_conf()

    assert settings["prometheus.return_per_object_metrics"] == "false"
    assert settings["prometheus.tcp.port"] == "15692"
    assert settings["loopback_users.guest"] == "true"
    assert settings["load_definitions"] == "/etc/rabbitmq/definitions.json"
    assert settings["log.console"] == "true"


@pytest.mark.parametrize(
    ("asked", "version", "written"),
    [
        (False, "4.3.0", False),
        (True, "4.3.0", True),
        (True, "4.0.5", True),
        (True, "3.10.8", False),
        (True, "", True),
    ],
)
def test_transient_queues_are_permitted_only_when_asked_and_known(
    asked: bool, version: str, written: bool
) -> None:
    """T13: a broker before 3.12 ends at the key, and permits such queues anyway."""
    settings = broker_conf(
        rabbitmq_prometheus_permit_transient_queues=asked, container_images_versions={"rabbitmq": version}
    )

    assert ("deprecated_features.permit.transient_nonexcl_queues" in settings) is written


# health


def test_health_check_runs_with_wget_or_with_bash() -> None:
    check = http_healthcheck(9100, "/healthz")

    kind, script = check["test"]
    assert kind == "CMD-SHELL"
    assert "wget" in script
    assert "/dev/tcp/127.0.0.1/9100" in script
    assert script.count("/healthz") == 2
