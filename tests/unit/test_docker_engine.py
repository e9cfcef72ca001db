"""docker_engine: what is installed from where on each release, and the files that say so."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from plugins.filter.docker_engine_plan import docker_engine_plan
from tests.render import ROOT, TEMPLATES

RELEASES = [("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")]
DISTRIBUTION = {"docker.io", "iptables", "ca-certificates"}
DOCKERS_OWN = {"docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin"}


def survey(release: tuple[str, str], package: str = "", compose: str = "") -> dict[str, Any]:
    """What host_survey tells; `package` is the one that an engine came from."""
    return {
        "os": {"id": release[0], "version_id": release[1]},
        "docker": {"installed": bool(package), "package": package, "compose_version": compose},
    }


@pytest.mark.parametrize(
    ("release", "source", "packages", "sources"),
    [
        (RELEASES[0], "distribution", DISTRIBUTION | {"docker-compose"}, ["trixie"]),
        (RELEASES[1], "distribution", DISTRIBUTION | {"docker-cli", "docker-compose"}, []),
        (RELEASES[2], "distribution", DISTRIBUTION | {"docker-compose-v2"}, []),
        (RELEASES[3], "distribution", DISTRIBUTION | {"docker-compose-v2"}, []),
        *[(release, "docker", DOCKERS_OWN | {"iptables"}, ["docker"]) for release in RELEASES],
    ],
)
def test_a_fresh_host_gets_engine_and_compose_from_the_chosen_source(
    release: tuple[str, str], source: str, packages: set[str], sources: list[str]
) -> None:
    plan = docker_engine_plan(survey(release), source)

    assert set(plan["packages"]) == packages
    assert plan["sources"] == sources
    assert plan["engine_missing"]


@pytest.mark.parametrize("release", RELEASES)
def test_auto_is_the_distribution_where_it_holds_compose_v2(release: tuple[str, str]) -> None:
    expected = "docker" if release == ("debian", "12") else "distribution"

    assert docker_engine_plan(survey(release), "auto") == docker_engine_plan(survey(release), expected)


@pytest.mark.parametrize("source", ["auto", "distribution", "docker"])
@pytest.mark.parametrize("package", ["docker.io", "docker-ce", "moby-engine", "snap"])
def test_an_engine_that_is_there_is_left_alone(package: str, source: str) -> None:
    plan = docker_engine_plan(survey(("debian", "13"), package, "2.40.3"), source)

    assert plan == {"packages": [], "sources": [], "engine_missing": False}


@pytest.mark.parametrize(
    ("package", "packages", "sources"),
    [
        ("docker.io", ["docker-compose"], ["trixie"]),
        ("docker-ce", ["docker-ce-cli", "docker-compose-plugin"], ["docker"]),
    ],
)
def test_compose_comes_from_where_the_engine_came_from(
    package: str, packages: list[str], sources: list[str]
) -> None:
    """Whatever the inventory says: the two sources' packages conflict with each other."""
    other = {"docker.io": "docker", "docker-ce": "distribution"}[package]

    plan = docker_engine_plan(survey(("debian", "12"), package), other)

    assert (plan["packages"], plan["sources"]) == (packages, sources)


def test_a_snap_is_given_no_package() -> None:
    assert docker_engine_plan(survey(("ubuntu", "24.04"), "snap"), "auto")["packages"] == []


@pytest.mark.parametrize(
    ("seen", "manage", "settled"),
    [
        ({"package": "docker.io", "compose": "2.40.3", "reachable": True}, True, True),
        ({"package": "docker.io", "compose": "2.40.3", "reachable": False}, True, False),
        ({"package": "docker.io", "reachable": True}, True, False),
        ({"reachable": False}, True, False),
        ({"reachable": False}, False, True),
        (None, True, False),
    ],
)
def test_the_role_acts_where_preflight_saw_something_missing_or_nothing_at_all(
    seen: dict[str, Any] | None, manage: bool, settled: bool
) -> None:
    variables = {"docker_engine_manage": manage, "docker_engine_source": "auto"}
    if seen is not None:
        found = survey(("debian", "13"), seen.get("package", ""), seen.get("compose", ""))
        found["docker"]["reachable"] = seen["reachable"]
        variables["__preflight_survey"] = found

    assert evaluated("{{ _docker_engine_settled }}", **variables) is settled


def test_an_unknown_release_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"knows debian 12, debian 13, .*; this host is fedora 43"):
        docker_engine_plan(survey(("fedora", "43")), "auto")


def evaluated(template: str, **more: Any) -> Any:
    """A template over the role's own variables."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    role = ROOT / "roles" / "docker_engine"
    variables: dict[str, Any] = {"ansible_managed": "Ansible managed"}
    for part in ("defaults", "vars"):
        loaded = DataLoader().load_from_file(str(role / part / "main.yml"), trusted_as_template=True)
        variables |= loaded
    return Templar(loader=DataLoader(), variables=variables | more).template(trust_as_template(template))


def render(path: str, **more: Any) -> str:
    rendered: str = evaluated((TEMPLATES / "host" / f"{path}.j2").read_text(encoding="utf-8"), **more)
    return rendered


def stanzas(text: str) -> list[dict[str, str]]:
    """deb822 as apt reads it: comments away, one dict for each paragraph."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    paragraphs = [part for part in "\n".join(lines).split("\n\n") if part.strip()]
    return [dict(line.split(": ", 1) for line in paragraph.strip().splitlines()) for paragraph in paragraphs]


@pytest.mark.parametrize(
    ("release", "codename"),
    list(zip(RELEASES, ["bookworm", "trixie", "jammy", "noble"], strict=True)),
)
def test_dockers_repository_is_that_of_the_release(release: tuple[str, str], codename: str) -> None:
    """Rendered for every release; on Ubuntu and with Docker's repository nothing was installed by a test."""
    found = survey(release)
    found["os"]["codename"] = codename

    [source] = stanzas(render("etc/apt/sources.list.d/docker.sources", __preflight_survey=found))

    assert source["URIs"] == f"https://download.docker.com/linux/{release[0]}"
    assert source["Suites"] == codename
    assert source["Signed-By"] == "/etc/apt/keyrings/docker.asc"


def test_debian_13_gives_nothing_but_compose() -> None:
    [source] = stanzas(render("etc/apt/sources.list.d/soundcheck-compose.sources"))
    rules = {rule["Package"]: rule for rule in stanzas(render("etc/apt/preferences.d/soundcheck-compose"))}

    assert source["Suites"] == "trixie"
    assert {rule["Pin"] for rule in rules.values()} == {"release n=trixie"}
    # Debian 12's own package of that name has 500; below 0 is never installed.
    assert int(rules["docker-compose"]["Pin-Priority"]) > 500
    assert int(rules["*"]["Pin-Priority"]) < 0


def test_every_source_has_its_files() -> None:
    variables = yaml.safe_load((ROOT / "roles/docker_engine/vars/main.yml").read_text(encoding="utf-8"))
    listed = {path for paths in variables["_docker_engine_source_files"].values() for path in paths}

    assert {f"{path}.j2" for path in listed} == {
        str(path.relative_to(TEMPLATES / "host")) for path in (TEMPLATES / "host").rglob("*.j2")
    }
