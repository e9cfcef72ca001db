"""Refuse a deploy before anything changes, with all its problems in one message.

Templates the inventory's variables on the controller, checks them against the argument specs of every role
and the rules in module_utils/preflight_*.py, and asks the host once (host_survey), which also takes the
host's lock for this run; the playbooks give it back. Returns the survey with the `connections` that the
settings can open at most, under `sizing: auto` what `sizing` works out for the host, and what takes long to
work out and is asked for again by the tasks that follow: `catalogue`, the entries of panels and alerts, and
`image_references` with `image_versions`.

Arguments: `purpose`, the words that others are told who find the host locked; `survey`, the result of an
earlier call in this run. It is returned as it is when the earlier deploy steps changed nothing that it tells
of (an engine that ran, all images present).
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase

# Ansible ships module_utils to hosts but does not make the project's own importable on the controller.
_MODULE_UTILS = str(Path(__file__).resolve().parents[1] / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_MODULE_UTILS)

from ansible.module_utils.deploy_lock import (  # noqa: E402
    PATH,
    Lock,
    Outcome,
    held,
    outcome_of,
    taken_over,
)
from ansible.module_utils.deploy_lock_owner import settled as settled_lock  # noqa: E402
from ansible.module_utils.deploy_lock_owner import this_run  # noqa: E402
from ansible.module_utils.preflight_hooks import hooks  # noqa: E402
from ansible.module_utils.preflight_images import wanted  # noqa: E402
from ansible.module_utils.preflight_proxy import asked_names  # noqa: E402
from ansible.module_utils.preflight_rules import (  # noqa: E402
    masked_secrets,
    message,
    problems,
    warnings,
    without_repetition,
)
from ansible.module_utils.preflight_values import (  # noqa: E402
    Problem,
    active_telemetry_roles,
    truth,
)
from ansible.module_utils.preflight_variables import (  # noqa: E402
    missing_problem,
    unknown_variables,
    value_problems,
)
from ansible.module_utils.preflight_vault import unencrypted  # noqa: E402
from ansible.module_utils.sizing import TooSmall, plan, summary  # noqa: E402
from ansible.module_utils.sizing_connections import connection_budget  # noqa: E402

ROLES = Path(__file__).resolve().parents[2] / "roles"
COLLECTORS = {"grafana_agent", "alloy", "prometheus_agent"}
# Worked out by roles, no options of them: a bad catalogue of panels and alerts fails in its entries.
DERIVED = (
    *("container_images_refs", "container_images_versions", "container_images_wanted"),
    "metric_catalogue_entries",
)
# What lock_arguments and survey_arguments read.
NEEDED_BY_SURVEY = {
    *("container_images_source", "container_images_refs", "container_images_wanted"),
    *("container_images_archive_directory", "preflight_package_urls", "app_domain", "proxy"),
    *("app_stack_directory", "telemetry_directory"),
    *("deploy_lock_path", "deploy_lock_break", "deploy_timeline_actor"),
}
# Needed by this action, and by the task that most playbooks reach next.
PACKED_AHEAD = ("host_survey", "compose_project")
# Those that the survey hands on, and under which name.
HANDED_ON = {
    "metric_catalogue_entries": "catalogue",
    "container_images_refs": "image_references",
    "container_images_versions": "image_versions",
}
# Ansible's own: the hosts of the inventory, whatever --limit says.
INVENTORY = "groups"
NEEDED_BY = "is not set but needed by"
LARGEST_INVENTORY_FILE = 2**20


class ActionModule(ActionBase):
    """Controller side of the preflight."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        earlier = self._task.args.get("survey") or {}
        if earlier and settled(earlier):
            return {**result, **earlier, "changed": False}

        packing = self._pack_ahead(variables)
        try:
            return {**result, **self._surveyed(variables, first=not earlier)}
        finally:
            os.waitpid(packing, 0)

    def _pack_ahead(self, variables: dict[str, Any]) -> int:
        """Pack modules in a process of its own, while this one works out the settings; returns its id.

        Ansible keeps what it has packed for the rest of the run, behind a lock. It takes a third of a second
        for each. What fails here fails again, with its message, where the module is needed.
        """
        child = os.fork()
        if child:
            return child
        try:
            # Given, so that no other process asks the host for it.
            variables = {**variables, "ansible_python_interpreter": "/usr/bin/python3"}
            for module in PACKED_AHEAD:
                self._configure_module(module_name=module, module_args={}, task_vars=variables)
        finally:
            os._exit(0)

    def _surveyed(self, variables: dict[str, Any], *, first: bool) -> dict[str, Any]:
        """Ask the host and judge the settings; `first` in this run."""
        roles = self._roles(variables.get("ansible_play_role_names", []))
        needed, _found = self._settings(roles, variables, NEEDED_BY_SURVEY)
        lock = (
            {} if self._task.check_mode else lock_arguments(needed, str(self._task.args.get("purpose", "")))
        )
        arguments = survey_arguments(needed) | ({"lock": lock} if lock else {})
        # The host takes as long to answer as the settings to be worked out.
        with ThreadPoolExecutor(max_workers=1) as pool:
            ask = partial(
                self._execute_module, module_name="host_survey", module_args=arguments, task_vars=variables
            )
            # A thread does not know Ansible's task and host by itself.
            answer: Future[dict[str, Any]] = pool.submit(copy_context().run, ask)
            settings, found = self._settings(roles, variables)
        survey = answer.result()
        if survey.get("failed"):
            return survey
        if first:
            # Later there may also be what roles registered for themselves.
            found += unknown_variables(variables, {name: role["known"] for name, role in roles.items()})
        if truth(settings.get("preflight_require_vault")):
            found += unencrypted(inventory_files(variables))
        found += hooks(settings, str(variables.get("inventory_dir") or "."), self._tasks)
        if lock:
            found += self._locked(lock, outcome_of(survey["lock"]), variables)
        images = list(wanted(settings).values())
        survey["images_missing"] = [image for image in images if image not in survey["images_present"]]
        survey |= {handed: settings[name] for name, handed in HANDED_ON.items() if name in settings}
        if "catalogue" in survey:
            # Too long for those who look with -v at what a host has.
            survey["_ansible_verbose_override"] = True

        if settings.get("sizing") == "auto":
            found += self._sized(settings, survey, variables)
        found = without_repetition([*found, *problems(settings, survey)])
        if found:
            return {"failed": True, "msg": message(found, masked_secrets(settings))}
        for warning in warnings(settings, survey):
            self._display.warning(str(warning))
        return {**survey, "connections": connection_budget(settings), "changed": False}

    def _sized(
        self, settings: dict[str, Any], survey: dict[str, Any], variables: dict[str, Any]
    ) -> list[Problem]:
        """Work out what the inventory leaves to this host; the survey takes it to the templates."""
        # Without the defaults of roles, and with -e.
        explicit = set(variables["hostvars"][variables["inventory_hostname"]])
        host = {"memory": survey["memory"]["total"], "cores": survey["cpus"]}
        try:
            survey["sizing"] = plan(host, settings, explicit)
        except TooSmall as error:
            return [error.problem()]
        settings.update(survey["sizing"])
        if self._task.check_mode or self._task.diff:
            self._display.display(f"{variables['inventory_hostname']}: {summary(host, survey['sizing'])}")
        return []

    def _locked(self, lock: dict[str, Any], first: Outcome, variables: dict[str, Any]) -> list[Problem]:
        """Refuse while another run has the host; say so when its lock was taken over."""

        def replace(stale: Lock) -> Outcome:
            arguments = {**lock, "replaced": asdict(stale)}
            answer = self._execute_module(
                module_name="deploy_lock", module_args=arguments, task_vars=variables
            )
            if answer.get("failed"):
                raise AnsibleActionFail(answer["msg"])
            return outcome_of(answer["lock"])

        outcome = settled_lock(first, replace)
        if not outcome.taken:
            return [Problem(lock["path"], *held(outcome.found))]
        if outcome.found:
            self._display.warning(taken_over(outcome.found, broken=lock["force"]))
        return []

    def _roles(self, in_play: list[str]) -> dict[str, dict[str, Any]]:
        """Specs of every role, and the variables of those that another play runs."""
        roles: dict[str, dict[str, Any]] = {}
        for folder in sorted(path for path in ROLES.iterdir() if path.is_dir()):
            spec = self._specified(folder / "meta" / "argument_specs.yml")
            defaults = self._load(folder / "defaults")
            values = self._load(folder / "vars")
            roles[folder.name] = {
                "spec": {name: {"default": defaults.get(name), **option} for name, option in spec.items()},
                "known": {*spec, *defaults, *values},
                "values": {} if folder.name in in_play else {**defaults, **values},
            }
        return roles

    def _specified(self, path: Path) -> dict[str, Any]:
        """Options of all entry points: preflight's second one holds the variables of the whole project."""
        if not path.is_file():
            return {}
        # By the plain loader, in a tenth of the time of Ansible's, which notes where each value stands.
        specs = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]
        return {
            name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()
        }

    def _tasks(self, path: str) -> Any:
        try:
            return self._loader.load_from_file(path)
        except AnsibleError as error:
            raise ValueError(str(error)) from error

    def _load(self, folder: Path) -> dict[str, Any]:
        files = (
            [folder / "main.yml"] if (folder / "main.yml").is_file() else sorted(folder.glob("main/**/*.yml"))
        )
        loaded: dict[str, Any] = {}
        for path in files:
            # Ansible has read the files of roles in the play; `unsafe`: no copy of what is only read.
            loaded.update(self._loader.load_from_file(str(path), unsafe=True, trusted_as_template=True) or {})
        return loaded

    def _settings(
        self, roles: dict[str, dict[str, Any]], variables: dict[str, Any], only: Container[str] | None = None
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Every specified variable templated, or `only` some, and what is wrong with each by itself."""
        available: dict[str, Any] = {}
        for role in roles.values():
            available.update(role["values"])
        available.update(variables)
        templar = self._templar.copy_with_new_env(available_variables=available)

        settings: dict[str, Any] = {}
        errors: dict[str, str] = {}
        specs = {name: spec for role in roles.values() for name, spec in role["spec"].items()}
        for name in [*specs, *DERIVED, INVENTORY]:
            if name not in available or (only is not None and name not in only):
                continue
            try:
                settings[name] = plain(templar.template(available[name]))
            except AnsibleError as error:
                errors[name] = str(error)

        idle = idle_roles(settings)
        found: list[Problem] = []
        for role_name, role in roles.items():
            for name, spec in role["spec"].items():
                if name in settings and not name.startswith("vault_"):
                    found += value_problems(name, spec, settings[name], DEFAULT_TYPE_VALIDATORS)
                elif name in errors and role_name not in idle:
                    found += error_problems(name, errors[name])
                elif spec.get("required") and name not in available and role_name not in idle:
                    found += [] if name.startswith("vault_") else [missing_problem(name, spec)]
        # A required variable that is not set has its own line; those that are made of it add nothing.
        unset = {problem.variable for problem in found if not problem.found.startswith(NEEDED_BY)}
        found = [
            problem
            for problem in found
            if not (problem.variable in unset and problem.found.startswith(NEEDED_BY))
        ]
        # What is derived from a variable already named fails with it.
        if not found:
            found += [
                problem
                for name in DERIVED
                if name in errors
                for problem in error_problems(name, errors[name])
            ]
        return settings, found


def settled(survey: dict[str, Any]) -> bool:
    """Whether an earlier survey of this run still tells the truth: nothing was left to install or load."""
    return bool(survey.get("docker", {}).get("reachable")) and survey.get("images_missing") == []


def idle_roles(settings: dict[str, Any]) -> set[str]:
    """Roles that this inventory does not run, whose required variables it need not set."""
    telemetry = {"cadvisor", "node_exporter", "celery_exporter", "postgres_exporter"}
    return (COLLECTORS | telemetry) - set(active_telemetry_roles(settings))


def error_problems(name: str, error: str) -> list[Problem]:
    """A template that failed, as a sentence; secrets that are not set have a rule of their own."""
    undefined = re.search(r"'(\w+)' is undefined", error)
    if undefined and undefined.group(1).startswith("vault_"):
        return []
    if undefined:
        missing = undefined.group(1)
        return [Problem(missing, f"{NEEDED_BY} {name}", "set it in group_vars of the inventory")]
    # What a filter refuses is a sentence already, with the id or the variable it is about.
    text = re.sub(r"The filter plugin '\w+' failed: ", "", " ".join(error.split()))
    return [Problem(name, text, "correct its template")]


def plain(value: Any) -> Any:
    """Ordinary dicts and lists of what templating returns lazily."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def lock_arguments(settings: dict[str, Any], purpose: str) -> dict[str, Any]:
    """The lock of the host as this run asks for it."""
    app = wanted(settings).get("app")
    what = f"{purpose} of {app}" if app else purpose
    return {
        "path": str(settings.get("deploy_lock_path") or PATH),
        "lock": asdict(this_run(what, actor=str(settings.get("deploy_timeline_actor") or ""))),
        "force": truth(settings.get("deploy_lock_break")),
    }


def survey_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    source = settings.get("container_images_source")
    urls = settings.get("preflight_package_urls") if source == "debian" else []
    return {
        "images": list(wanted(settings).values()),
        "probe_registries": source == "registry",
        "urls": urls if isinstance(urls, list) else [],
        "names": asked_names(settings),
        "archive_directory": settings.get("container_images_archive_directory")
        if source == "archive"
        else None,
        "disk_paths": [
            str(settings[name])
            for name in ("app_stack_directory", "telemetry_directory")
            if settings.get(name)
        ],
    }


def inventory_files(variables: dict[str, Any]) -> list[tuple[str, str]]:
    """Path relative to the inventory, and text, of the files Ansible reads variables from."""
    base = Path(variables.get("inventory_dir") or ".")
    files = []
    for folder in ("group_vars", "host_vars"):
        for path in sorted((base / folder).rglob("*")):
            if path.is_file() and path.stat().st_size < LARGEST_INVENTORY_FILE:
                files.append(
                    (str(path.relative_to(base)), path.read_text(encoding="utf-8", errors="replace"))
                )
    return files
