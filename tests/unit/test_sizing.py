"""What `sizing: auto` works out, over hosts of every size, and the limit that would have held."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from plugins.module_utils import preflight_sizing, sizing
from plugins.module_utils.preflight_host import limits
from plugins.module_utils.preflight_values import memory_bytes
from plugins.module_utils.sizing_connections import RESERVED, connections_at_most

ROOT = Path(__file__).resolve().parents[2]
SECTION = (
    (ROOT / "docs" / "production.md").read_text(encoding="utf-8").split("\n## Sizing\n")[1].split("\n## ")[0]
)
MIB, GIB = 2**20, 2**30
CELERY = {"name": "celery", "queues": ["default"]}
AI = {"name": "celery-ai", "queues": ["ai_queue"]}


def inventory(**changes: Any) -> dict[str, Any]:
    """The guide's: the database and the metrics are elsewhere. Limits are those of `manual`."""
    return {
        "sizing": "auto",
        "collector": "grafana_agent",
        "database": "external",
        "metrics_destination": "grafana_cloud",
        "proxy": "caddy",
        "app_stack_backend_workers": 3,
        "app_stack_backend_threads": 1,
        "app_stack_workers": [CELERY, AI],
        "app_stack_extra_services": [],
        "app_stack_flower_enabled": False,
        "app_stack_database_max_connections": 0,
        "preflight_memory_reserve": "256M",
        "grafana_agent_memory_reservation": "128M",
        **changes,
    }


EMBEDDED = {
    "collector": "prometheus_agent",
    "database": "embedded",
    "metrics_destination": "embedded",
    "app_stack_database_max_connections": 100,
}


def host(memory: int, cores: int = 2) -> dict[str, int]:
    return {"memory": memory, "cores": cores}


def filled(memory: int, cores: int, settings: dict[str, Any], *explicit: str) -> dict[str, Any]:
    return {**settings, **sizing.plan(host(memory, cores), settings, explicit)}


def of_workers(values: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {w["name"]: (w["memory"], w["concurrency"]) for w in values["app_stack_workers"]}


def sizes(settings: dict[str, Any]) -> dict[str, int]:
    """Bytes of every limit, named and counted by the rule that refuses too many of them."""
    return {name: size for name, size in limits(settings).items() if name != "preflight_memory_reserve"}


GUIDE = {
    "app_stack_backend_memory": "600M",
    "app_stack_rabbitmq_memory": "300M",
    "app_stack_beat_memory": "200M",
    "grafana_agent_memory": "256M",
    "node_exporter_memory": "128M",
    "celery_exporter_memory": "128M",
}


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_the_guides_server_has_the_guides_values(cores: int) -> None:
    """G1.1 to G1.3, G1.8: 4 GiB, with the database and Grafana elsewhere."""
    values = sizing.plan(host(4 * GIB, cores), inventory())

    assert {name: values[name] for name in GUIDE} == GUIDE
    assert values["app_stack_backend_workers"] == 3
    assert of_workers(values) == {"celery": ("512M", 2), "celery-ai": ("1024M", 1)}


EXAMPLES = re.findall(
    r"^\| (\d+) \| (\d+) \| (elsewhere|embedded) \| (\S+ x\d+) \| (\S+ x\d+) \| (\S+ x\d+) \| (\d+) \|$",
    SECTION,
    re.MULTILINE,
)


def test_the_documented_examples_are_found() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("row", EXAMPLES, ids=" ".join)
def test_the_documented_examples_are_true(row: tuple[str, ...]) -> None:
    memory, cores, where, *expected = row
    found = filled(int(memory) * GIB, int(cores), inventory(**(EMBEDDED if where == "embedded" else {})))

    workers = {name: f"{limit} x{number}" for name, (limit, number) in of_workers(found).items()}
    web = f"{found['app_stack_backend_memory']} x{found['app_stack_backend_workers']}"
    connections = str(connections_at_most(found)["at_most"])
    assert [web, workers["celery"], workers["celery-ai"], connections] == expected


MARKS = {
    name: (int(floor), int(guide), float(held) if held else None)
    for name, floor, guide, held in re.findall(
        r"^\| `([\w<>-]+)`[^|]* \| (\d+) \| (\d+) \|[^|]*\| ?(\d*) \|$", SECTION, re.MULTILINE
    )
}


def test_the_documented_marks_are_those_of_the_plan() -> None:
    parts = [sizing.WEB, *sizing.APP, sizing.PROXY, sizing.DATABASE, sizing.FLOWER]
    parts += [part for role in sizing.TELEMETRY.values() for part in role]
    marks = {part.variable: (part.floor, part.guide) for part in parts}
    marks |= {name: (own.floor, own.guide) for name, own in sizing.REFERENCES.items()}
    marks["<collector>_memory"] = (sizing.COLLECTOR_FLOOR, sizing.COLLECTOR_GUIDE)

    assert {name: (floor, guide) for name, (floor, guide, _) in MARKS.items()} == marks


def test_every_floor_holds_what_the_demo_was_measured_to_hold() -> None:
    """And a quarter on top; the numbers of the monitoring are those of its bench."""
    measured = {name: held for name, (_, _, held) in MARKS.items() if held}
    assert [name for name, held in measured.items() if MARKS[name][0] < 1.25 * held] == []

    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \(?([a-z-]+)[^|]*\| [\d.]+ \| ([\d.]+) \|$", text, re.MULTILINE)
    names = {"alertmanager": "metrics_backend_alertmanager", "prometheus-agent": "<collector>"}
    bench = {f"{names.get(name, name).replace('-', '_')}_memory": round(float(mib)) for name, mib in rows}
    assert len(bench) == 7
    assert {name: measured[name] for name in bench} == bench


inventories = st.builds(
    lambda embedded, backend, ai, flower, extra, proxy: inventory(
        database="embedded" if embedded else "external",
        app_stack_database_max_connections=100 if embedded else 0,
        metrics_destination="embedded" if backend else "grafana_cloud",
        app_stack_workers=[CELERY, AI] if ai else [CELERY],
        app_stack_flower_enabled=flower,
        app_stack_extra_services=[{"name": "traffic", "command": "x", "memory": "128M"}] if extra else [],
        proxy="caddy" if proxy else "external",
    ),
    *[st.booleans()] * 6,
)
memories = st.integers(1 * GIB, 64 * GIB)
cores = st.integers(1, 32)
quick = hypothesis_settings(max_examples=200, deadline=None)


def planned(memory: int, cores: int, settings: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return filled(memory, cores, settings)
    except sizing.TooSmall:
        return None


@given(memories, cores, inventories)
@example(64 * GIB, 32, inventory(**EMBEDDED))
@example(2 * GIB, 1, inventory())
@quick
def test_every_host_has_a_plan_that_fits_or_is_refused(
    memory: int, cores: int, settings: dict[str, Any]
) -> None:
    found = planned(memory, cores, settings)
    if found is None:
        with pytest.raises(sizing.TooSmall) as refused:
            sizing.plan(host(memory, cores), settings)
        assert refused.value.least > memory // (64 * MIB) * 64 * MIB
        # What is said to be enough is, and a little less is not.
        sizing.plan(host(refused.value.least, cores), settings)
        with pytest.raises(sizing.TooSmall):
            sizing.plan(host(refused.value.least - 1, cores), settings)
        return

    assert sum(limits(found).values()) <= memory
    # Preflight, which judges by the values alone, has nothing to say of them.
    assert [str(problem) for check in preflight_sizing.CHECKS for problem in check(found)] == []
    assert [str(problem) for check in preflight_sizing.WARNINGS for problem in check(found)] == []


@given(memories, cores, inventories)
@quick
def test_no_service_is_below_its_floor(memory: int, cores: int, settings: dict[str, Any]) -> None:
    found = planned(memory, cores, settings)
    for name, size in sizes(found or {}).items():
        mark = name.removeprefix("app_stack_workers ").replace("grafana_agent", "<collector>")
        floor = 128 if name == "app_stack_extra_services traffic" else MARKS[mark][0]
        assert size >= floor * MIB, name


@given(memories, cores, inventories)
@quick
def test_the_database_takes_every_connection(memory: int, cores: int, settings: dict[str, Any]) -> None:
    found = planned(memory, cores, {**settings, "database": "embedded"})
    if found is not None:
        room = found["app_stack_database_max_connections"] - RESERVED
        assert connections_at_most(found)["at_most"] <= room


@given(memories, memories, cores, inventories)
@quick
def test_more_memory_never_gives_less(one: int, other: int, cores: int, settings: dict[str, Any]) -> None:
    small, large = planned(min(one, other), cores, settings), planned(max(one, other), cores, settings)
    if small is None:
        return
    assert large is not None
    before, after = sizes(small), sizes(large)
    assert [name for name, size in before.items() if after[name] < size] == []
    assert large["app_stack_backend_workers"] >= small["app_stack_backend_workers"]
    concurrency = {name: number for name, (_, number) in of_workers(large).items()}
    assert all(number <= concurrency[name] for name, (_, number) in of_workers(small).items())


@given(memories, cores, inventories, st.sampled_from(["64M", "300M", "1G", "20G"]))
@quick
def test_what_the_inventory_states_stays_and_is_counted(
    memory: int, cores: int, settings: dict[str, Any], stated: str
) -> None:
    settings = {**settings, "app_stack_rabbitmq_memory": stated, "app_stack_backend_workers": 2}
    try:
        values = sizing.plan(
            host(memory, cores), settings, {"app_stack_rabbitmq_memory", "app_stack_backend_workers"}
        )
    except sizing.TooSmall:
        return
    assert "app_stack_rabbitmq_memory" not in values
    assert "app_stack_backend_workers" not in values
    assert sum(limits({**settings, **values}).values()) <= memory


def test_room_for_the_second_web_container_comes_before_growth() -> None:
    """A rollout runs the web service twice: what the guide leaves goes there first."""
    at_guide = sizing.plan(host(4 * GIB), inventory())
    enough = 3916 * MIB + 600 * MIB
    assert sizing.plan(host(enough), inventory()) == at_guide

    for memory in (5 * GIB, 8 * GIB, 64 * GIB):
        found = filled(memory, 2, inventory())
        web = memory_bytes(found["app_stack_backend_memory"])
        assert web is not None
        assert sum(limits(found).values()) + web <= memory


def test_a_new_kernel_moves_no_limit() -> None:
    """MemTotal changes by some MiB; a changed limit would restart the broker and the database."""
    assert sizing.plan(host(4 * GIB), inventory()) == sizing.plan(host(4 * GIB + 50 * MIB), inventory())


WORKERS = [
    # what an entry says, what it has in the end
    ({}, ("512M", 2)),
    ({"memory": "1G"}, ("1G", 2)),
    ({"memory": "200M"}, ("200M", 1)),
    ({"concurrency": 4}, ("1024M", 4)),
    ({"concurrency": 4, "pool": "threads"}, ("512M", 4)),
    ({"memory": None, "concurrency": None}, ("512M", 2)),
    ({"pool": "solo"}, ("512M", 1)),
    ({"memory": "300M", "concurrency": 5}, ("300M", 5)),
]


@pytest.mark.parametrize(("entry", "expected"), WORKERS, ids=str)
def test_a_worker_gets_what_it_does_not_state(entry: dict[str, Any], expected: tuple[str, int]) -> None:
    """On a server where nothing is scarce and nothing is beyond the guide."""
    settings = inventory(app_stack_workers=[{"name": "mail", "queues": ["mail"], **entry}])
    at_guide = next(
        values
        for memory in range(3 * GIB, 6 * GIB, 64 * MIB)
        if (values := sizing.plan(host(memory), settings, {"app_stack_workers"}))["app_stack_backend_memory"]
        == "600M"
    )
    assert of_workers(at_guide) == {"mail": expected}
    assert at_guide["app_stack_workers"][0]["queues"] == ["mail"]


def test_the_list_of_the_role_is_worked_out_and_one_of_the_inventory_is_not() -> None:
    settings = inventory(app_stack_workers=[{**CELERY, "memory": "512M", "concurrency": 2}, AI])
    assert of_workers(sizing.plan(host(16 * GIB, 8), settings))["celery"] != ("512M", 2)
    values = sizing.plan(host(16 * GIB, 8), settings, {"app_stack_workers"})
    assert of_workers(values)["celery"] == ("512M", 2)


def test_processes_that_are_stated_get_their_memory() -> None:
    settings = inventory(app_stack_backend_workers=8)
    for memory, least in ((2.5, 8 * 64), (6, 8 * 200)):
        values = sizing.plan(host(int(memory * GIB)), settings, {"app_stack_backend_workers"})
        size = memory_bytes(values["app_stack_backend_memory"])
        assert size is not None
        assert size >= least * MIB


def test_a_stated_maximum_of_connections_is_kept_to() -> None:
    settings = inventory(app_stack_database_max_connections=25)
    found = filled(64 * GIB, 32, settings, "app_stack_database_max_connections")

    assert connections_at_most(found)["at_most"] == 25 - RESERVED
    assert "app_stack_database_max_connections" not in sizing.plan(
        host(64 * GIB, 32), settings, {"app_stack_database_max_connections"}
    )


SPOILT = (
    *("app_stack_backend_workers", "app_stack_backend_threads", "app_stack_backend_memory"),
    *("app_stack_extra_services", "app_stack_database_max_connections", "collector"),
    *("preflight_memory_reserve", "app_stack_database_memory", "database"),
)
JUNK = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5), st.lists(st.integers()))


@given(
    st.fixed_dictionaries(dict.fromkeys(("memory", "concurrency", "pool", "name"), JUNK)),
    st.fixed_dictionaries(dict.fromkeys(SPOILT, JUNK)),
    st.booleans(),
)
@quick
def test_bad_values_are_left_to_the_rules_that_name_them(
    worker: dict[str, Any], values: dict[str, Any], stated: bool
) -> None:
    """Bad input: the plan is worked out before they are refused, and must not end in a traceback."""
    settings = {**inventory(), **values, "app_stack_workers": [worker, CELERY]}
    explicit = {*values, "app_stack_workers"} if stated else set()
    found = sizing.plan(host(8 * GIB), settings, explicit)
    assert not explicit & (found.keys() - {"app_stack_workers"})
    assert sizing.summary(host(8 * GIB), found)


REFUSED = [
    (
        {},
        1 * GIB,
        "sizing: `auto` needs 1856 MiB for the least that each service works with, and the server has 1024 "
        "MiB; use a server with 1856 MiB or more, or go without: the worker celery-ai, its queues given to "
        "another (512 MiB), proxy: external (48 MiB), cadvisor_enabled: false (64 MiB)",
    ),
    (
        EMBEDDED,
        2 * GIB,
        "sizing: `auto` needs 2304 MiB for the least that each service works with, and the server has 2048",
    ),
]


@pytest.mark.parametrize(("changes", "memory", "expected"), REFUSED, ids=["guide", "embedded"])
def test_a_host_that_is_too_small_is_told_what_would_do(
    changes: dict[str, Any], memory: int, expected: str
) -> None:
    """Bad input"""
    with pytest.raises(sizing.TooSmall) as refused:
        sizing.plan(host(memory), inventory(**changes))
    assert str(refused.value.problem()).startswith(expected)


def test_what_is_left_out_leaves_room() -> None:
    """What the refusal proposes is no empty word: the embedded parts left out, the host is large enough."""
    with pytest.raises(sizing.TooSmall) as refused:
        sizing.plan(host(2 * GIB), inventory(**EMBEDDED))
    remedy = str(refused.value.problem())
    assert "database: external (192 MiB)" in remedy
    assert "metrics_destination: grafana_cloud (224 MiB)" in remedy
    sizing.plan(host(2 * GIB), inventory(collector="prometheus_agent"))


def test_the_plan_reads_as_lines() -> None:
    values = sizing.plan(host(4 * GIB), inventory())
    lines = sizing.summary(host(4 * GIB), values).splitlines()
    assert lines[0] == "sizing of 4.0 GiB and 2 cores"
    assert "  app_stack_backend_memory: 600M" in lines
    assert "  app_stack_workers[celery-ai]: 1024M x1" in lines
