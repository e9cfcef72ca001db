"""What a teardown takes for Soundcheck's, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.teardown_plan import Asked, Folder, Found, plan

PROJECTS = {"app": "/opt/soundcheck/app", "telemetry": "/opt/soundcheck/telemetry"}


def container(name: str, project: str = "", directory: str = "", **more: Any) -> dict[str, Any]:
    labels = {"com.docker.compose.project": project} if project else {}
    if directory:
        labels["com.docker.compose.project.working_dir"] = directory
    return {
        "Id": f"id-{name}",
        "Name": f"/{name}",
        "Image": f"sha-{name}",
        "Config": {"Labels": labels},
        **more,
    }


def on(network: str) -> dict[str, Any]:
    return {"NetworkSettings": {"Networks": {network: {"NetworkID": f"id-{network}"}}}}


def using(volume: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Name": volume}, {"Type": "bind", "Source": "/etc"}]}


def network(name: str, **labels: str) -> dict[str, Any]:
    return {"Id": f"id-{name}", "Name": name, "Labels": labels or None}


def volume(name: str, project: str = "") -> dict[str, Any]:
    return {"Name": name, "Labels": {"com.docker.compose.project": project} if project else None}


OWN = [
    container("app-backend-1", "app", "/opt/soundcheck/app", **on("app_default")),
    container("app-celery-1", "app", "/opt/soundcheck/app/releases/1/files", **on("telemetry")),
    container("telemetry-alloy-1", "telemetry", "/opt/soundcheck/telemetry"),
]
NETWORKS = [
    network("bridge"),
    network("app_default", **{"com.docker.compose.project": "app"}),
    network("telemetry", **{"soundcheck.network": "telemetry"}),
    network("shop_default", **{"com.docker.compose.project": "shop"}),
]
VOLUMES = [volume("app_rabbitmq-data", "app"), volume("shop_data", "shop"), volume("0123abcd")]
IMAGES = {"soundcheck/app:1": "sha-app", "soundcheck/base:1": "sha-base", "nginx:1": "sha-nginx"}
FOLDERS = [
    Folder("/opt/soundcheck/app", True, True),
    Folder("/opt/soundcheck/telemetry", False, False),
]


def test_what_soundcheck_made_goes_and_data_and_images_stay() -> None:
    found = Found([*OWN, container("shop-web-1", "shop", "/srv/shop")], NETWORKS, VOLUMES, IMAGES, FOLDERS)

    result = plan(found, Asked(PROJECTS))

    assert sorted(result.containers.values()) == ["app-backend-1", "app-celery-1", "telemetry-alloy-1"]
    assert result.networks == ["app_default", "telemetry"]
    assert (result.volumes, result.images) == ([], [])
    assert result.folders == ["/opt/soundcheck/app"]
    assert result.kept == [
        "volume app_rabbitmq-data: data; -e teardown_volumes=true -e teardown_confirm=<host> removes it",
        "2 images soundcheck/*: -e teardown_images=true removes them",
    ]
    assert result.sentences()[0] == "container: app-backend-1, app-celery-1, telemetry-alloy-1"


def test_the_watch_goes_before_what_it_looks_at() -> None:
    state = Folder("/var/lib/soundcheck/diagnosis", True, True)
    result = plan(Found(OWN, folders=[state], units=["soundcheck-watch.timer"]), Asked(PROJECTS))
    assert result.sentences() == [
        "timer: soundcheck-watch.timer",
        "container: app-backend-1, app-celery-1, telemetry-alloy-1",
        "folder: /var/lib/soundcheck/diagnosis",
    ]


def test_data_and_images_go_when_told() -> None:
    found = Found(OWN, NETWORKS, VOLUMES, IMAGES, FOLDERS)

    result = plan(found, Asked(PROJECTS, volumes=True, images=True))

    assert result.volumes == ["app_rabbitmq-data"], "neither the shop's nor one of no project"
    assert result.images == ["soundcheck/app:1", "soundcheck/base:1"]
    assert result.kept == []


def test_a_second_teardown_finds_nothing() -> None:
    found = Found([], [network("bridge")], [], {"nginx:1": "sha-nginx"}, [Folder("/opt/x/app", False, False)])
    result = plan(found, Asked(PROJECTS, volumes=True, images=True))
    assert (result.sentences(), result.kept) == ([], [])


STRANGERS = [
    # Somebody else's project is named app, too: all that carries its name stays.
    (
        Found(
            [container("app-web-1", "app", "/home/kim/app")],
            [NETWORKS[1]],
            [VOLUMES[0]],
        ),
        ["container app-web-1: of a project app in /home/kim/app, not /opt/soundcheck/app"],
    ),
    (
        Found([container("app-web-1", "app")]),
        ["container app-web-1: of a project app in an unknown folder, not /opt/soundcheck/app"],
    ),
    # A folder beside the project's, whose name begins alike.
    (
        Found([container("app-web-1", "app", "/opt/soundcheck/app2")]),
        ["container app-web-1: of a project app in /opt/soundcheck/app2, not /opt/soundcheck/app"],
    ),
    (
        Found([container("shop-web-1", "shop", "/srv/shop", **on("telemetry"))], [NETWORKS[2]]),
        ["network telemetry: used by shop-web-1"],
    ),
    (
        Found([container("backup", **using("app_rabbitmq-data"))], volumes=[VOLUMES[0]]),
        ["volume app_rabbitmq-data: used by backup"],
    ),
    (
        Found([container("app")], images={"soundcheck/app:1": "sha-app"}),
        ["image soundcheck/app:1: used by app"],
    ),
    (
        Found(folders=[Folder("/opt/soundcheck/app", True, False)]),
        ["folder /opt/soundcheck/app: holds no project of Soundcheck"],
    ),
]


@pytest.mark.parametrize(("found", "kept"), STRANGERS, ids=[kept[0][:40] for _, kept in STRANGERS])
def test_what_belongs_to_others_stays_and_is_told(found: Found, kept: list[str]) -> None:
    result = plan(found, Asked(PROJECTS, volumes=True, images=True))
    assert result.sentences() == []
    assert result.kept == kept
