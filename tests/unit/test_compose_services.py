"""The filter that turns descriptions of services into a compose file's services."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.compose_services import compose_services

DESCRIPTION: dict[str, Any] = {"memory": "128M", "image": "prom/node-exporter:v1.10.2"}


def service(**more: Any) -> dict[str, Any]:
    return compose_services({"node-exporter": DESCRIPTION | more}, {})["node-exporter"]


def test_every_service_restarts_bounds_its_logs_and_has_a_memory_limit() -> None:
    """G1.9."""
    made = service()

    assert made["restart"] == "unless-stopped"
    assert made["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert made["deploy"] == {"resources": {"limits": {"memory": "128M", "pids": 1024}}}
    assert "memory" not in made


def test_every_service_is_without_capabilities_and_cannot_gain_any() -> None:
    """T12."""
    made = service()

    assert made["read_only"] is True
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in made


def test_reservation_and_cpus_become_resources() -> None:
    made = service(memory_reservation="64M", cpus=0.5)

    assert made["deploy"]["resources"] == {
        "limits": {"memory": "128M", "pids": 1024, "cpus": "0.5"},
        "reservations": {"memory": "64M"},
    }
    assert not {"memory_reservation", "cpus"} & set(made)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("networks", ["default"]),
        ("cap_drop", ["NET_RAW"]),
        ("cap_add", ["SYSLOG"]),
        ("healthcheck", {"test": ["CMD", "true"], "interval": "5s"}),
        ("stop_grace_period", "60s"),
        ("devices", ["/dev/kmsg:/dev/kmsg:r"]),
    ],
)
def test_what_a_description_says_is_kept(key: str, value: Any) -> None:
    assert service(**{key: value})[key] == value


def test_service_joins_the_network_that_both_projects_share() -> None:
    assert service()["networks"] == ["telemetry"]


def test_only_a_service_with_files_of_its_own_carries_their_hash() -> None:
    made = compose_services({"a": DESCRIPTION, "b": DESCRIPTION}, {"a": "0123456789abcdef"})

    assert made["a"]["labels"] == {"soundcheck.config": "0123456789abcdef"}
    assert "labels" not in made["b"]


def test_dollar_is_literal_for_compose() -> None:
    made = service(command=["--exclude=^/dev($|/)"], environment={"A": "$HOME", "B": 1})

    assert made["command"] == ["--exclude=^/dev($$|/)"]
    assert made["environment"] == {"A": "$$HOME", "B": 1}


def test_keys_stand_in_the_order_of_reading() -> None:
    made = service(volumes=["a:/a"], environment={"A": "1"}, command=["--a"], devices=["/dev/a"])

    assert list(made) == [
        *("image", "command", "environment", "networks", "volumes", "devices"),
        *("read_only", "cap_drop", "security_opt", "restart", "deploy", "logging"),
    ]


def test_description_is_not_changed() -> None:
    description = dict(DESCRIPTION)

    compose_services({"node-exporter": description}, {})

    assert description == DESCRIPTION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"memory": None}, "service node-exporter: `memory` is missing: every container has a limit"),
        ({"memory": ""}, "`memory` is missing"),
        ({"restart": "always"}, "service node-exporter: `restart` is set by the filter"),
        ({"deploy": {}}, "`deploy` is set by the filter"),
        ({"read_only": False}, "`read_only` is set by the filter"),
        ({"labels": {}, "logging": {}}, "`logging` is set by the filter compose_services; `labels` is set"),
    ],
)
def test_description_outside_the_rules_is_refused_with_its_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        service(**change)
