"""Inventories with something wrong in them, by the hundred: each is refused in words, or deploys.

Starts from the inventories of this repository and spoils variables of the argument specs. Refused means: a
message that names what was spoilt, no failure of Python or Ansible, and nothing asked of the host but the
survey. Taken means: the app's project can be rendered from it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from plugins.action import preflight
from tests.render import IMAGES, OF_DEPLOY, ROOT, SECRETS, Rendering, of_inventory, trusted
from tests.unit.test_preflight_rules import GIB, sound_survey

lookup_loader.add_directory(str(ROOT / "plugins" / "lookup"))

INVENTORIES = ("inventories/local", "inventories/molecule", "inventories/production/hosts.yml")
LINE = re.compile(r"  \d+\. \w+.*: .+; .+")

BROKEN_TEMPLATES = [
    *("{{ nowhere }}", "{{ nowhere.at.all }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ 'a' | int('x', 'y') }}"),
    *("{{ unclosed", "{% if %}", "{{ 'a' | no_such_filter }}", "{{ lookup('file', '/nonexistent') }}"),
    *("{{ lookup('no_such_lookup') }}", "{{ [] | first }}", "{% for i in 5 %}{% endfor %}"),
]
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "0", "-1", "nan", "1e999", "512", "512MB", "true", "~", "\x00", "a\nb", "'", '"']
    ),
    st.sampled_from(
        ["ключ", "음악", "🎵", "\u202e", "../../etc/passwd", "$HOME", "`id`", "; reboot", "x" * 100_000]
    ),
    st.sampled_from(BROKEN_TEMPLATES),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.sampled_from([0, -1, 65536]),
    st.floats(),
    TEXTS,
)
GARBAGE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@cache
def roles() -> dict[str, dict[str, Any]]:
    """What the preflight reads from the roles, the same for every inventory."""
    plugin = action({})
    return preflight.ActionModule._roles(plugin, [])


@cache
def specified() -> dict[str, dict[str, Any]]:
    return {name: spec for role in roles().values() for name, spec in role["spec"].items()}


class Preflight(preflight.ActionModule):
    """On a host that is as it should be, and that notes what is asked of it."""

    asked: list[str]

    def _execute_module(self, *, module_name: str, **_: Any) -> dict[str, Any]:
        self.asked.append(module_name)
        memory = {"total": 16 * GIB, "available": 8 * GIB, "swap": 0}
        lock = {"taken": True, "found": None}
        return sound_survey() | {"images_present": list(IMAGES.values()), "memory": memory, "lock": lock}

    def _roles(self, in_play: list[str]) -> dict[str, dict[str, Any]]:
        return roles()


def action(variables: dict[str, Any]) -> Preflight:
    loader = DataLoader()
    plugin = Preflight(
        task=SimpleNamespace(args={}, async_val=0, check_mode=False, no_log=False, diff=False),
        connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)),
        play_context=SimpleNamespace(check_mode=False),
        loader=loader,
        templar=Templar(loader=loader, variables=variables),
        shared_loader_obj=None,
    )
    plugin.asked = []
    return plugin


@cache
def sound(inventory: str) -> dict[str, Any]:
    # The one of production is an example, and refused.
    return of_inventory(inventory) | OF_DEPLOY | {"app_domain": ""}


@st.composite
def spoils(draw: st.DrawFn) -> dict[str, Any]:
    """One to three variables with a value they should not have."""
    names = draw(st.lists(st.sampled_from(sorted(specified())), min_size=1, max_size=3, unique=True))
    return {name: draw(spoilt(specified()[name])) for name in names}


def spoilt(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Garbage, or the right shape with garbage somewhere in it."""
    if "options" not in spec:
        return GARBAGE
    keys = st.sampled_from(sorted(spec["options"]))
    inner = keys.flatmap(lambda key: spoilt(spec["options"][key]).map(lambda value: (key, value)))
    entry = st.lists(st.one_of(inner, st.tuples(TEXTS, GARBAGE)), max_size=4).map(dict)
    return st.one_of(GARBAGE, st.lists(entry, max_size=3) if spec.get("type") == "list" else entry)


def check(inventory: str, changes: dict[str, Any]) -> None:
    variables = sound(inventory) | trusted(changes)
    plugin = action(variables)

    result = plugin.run(task_vars=variables)

    assert plugin.asked in ([], ["host_survey"])
    if result.get("failed"):
        head, *lines = result["msg"].split("\n")
        assert re.fullmatch(r"\d+ problems?, nothing was changed:", head), result["msg"]
        assert [line for line in lines if not LINE.fullmatch(line)] == []
        assert any(name in result["msg"] for name in changes), result["msg"]
        assert not [name for name, value in SECRETS.items() if value in result["msg"]]
    else:
        files = Rendering(inventory, changes).project("app")
        assert yaml.safe_load(files["docker-compose.prod.yml"])["services"]


# The same inventories each time, and as they were drawn: to make a failing one smaller takes minutes.
@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(inventory=st.sampled_from(INVENTORIES), changes=spoils())
def test_a_malformed_inventory_is_refused_in_words_or_deploys(
    inventory: str, changes: dict[str, Any]
) -> None:
    note(f"inventory: {inventory}, with {changes!r}")
    check(inventory, changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"app_stack_environment": {"A": "it's"}, "app_stack_celery_app": "a\nb"},
            [
                "app_stack_environment.A: holds a single quote",
                "app_stack_celery_app: `a\\nb` holds a line break",
            ],
        ),
        ({"app_stack_backend_memory": "{{ nowhere }}"}, ["nowhere: is not set but needed by"]),
        ({"app_stack_workers": "{{ 1 / 0 }}"}, ["app_stack_workers: "]),
        (
            {"app_stack_extra_services": [[1, "🎵"], {"y" * 100_000: "x" * 100_000}]},
            ["app_stack_extra_services[0]: ", "app_stack_extra_services[1].yyyy"],
        ),
        (
            {"metric_catalogue_window": "{% if %}", "app_stack_directory": "../x"},
            ["metric_catalogue_window: ", "app_stack_directory: `../x`; write an absolute path"],
        ),
    ],
)
def test_the_playbook_refuses_it_before_it_touches_the_host(
    tmp_path: Path, changes: dict[str, Any], expected: list[str]
) -> None:
    extra = tmp_path / "extra.json"
    extra.write_text(json.dumps(SECRETS | {"ansible_become": False} | changes), encoding="utf-8")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "--inventory", ROOT / "inventories/local"),
            *(ROOT / "deploy.yml", "--check", "--extra-vars", f"@{extra}"),
        ],
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr

    assert done.returncode == 2, output
    assert "nothing was changed:" in output, output
    assert [words for words in expected if words not in output] == [], output
    assert "Traceback" not in output
    assert "changed=0" in output
    assert len(output) < 10_000
