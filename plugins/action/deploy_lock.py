"""Take the lock of a host for this run, or give it back; in check mode neither, without asking the host.

Arguments: `state` (present or absent) and `what`, the words that others are told. The file, and whether the
lock is broken, come from deploy_lock_path and deploy_lock_break. preflight takes it in its own round trip.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Ansible ships module_utils to hosts but does not make the project's own importable on the controller.
_MODULE_UTILS = str(Path(__file__).resolve().parents[1] / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_MODULE_UTILS)

from ansible.module_utils.deploy_lock import PATH, Outcome, held, outcome_of, taken_over  # noqa: E402
from ansible.module_utils.deploy_lock_owner import settled, this_run  # noqa: E402
from ansible.module_utils.preflight_values import truth  # noqa: E402


class ActionModule(ActionBase):
    """Controller side of `deploy_lock`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "changed": False}
        variables = dict(task_vars or {})
        actor = str(self._value(variables, "deploy_timeline_actor"))
        arguments = {
            "path": str(self._value(variables, "deploy_lock_path") or PATH),
            "lock": asdict(this_run(str(self._task.args.get("what", "")), actor=actor)),
        }
        if self._task.args["state"] == "absent":
            return {**result, **self._give_back(arguments, self._interpreter(variables))}

        def ask(**more: Any) -> Outcome:
            answer = self._execute_module(module_args={**arguments, **more}, task_vars=task_vars)
            if answer.get("failed"):
                raise AnsibleActionFail(answer["msg"])
            return outcome_of(answer["lock"])

        force = truth(self._value(variables, "deploy_lock_break"))
        outcome = settled(ask(force=force), lambda stale: ask(replaced=asdict(stale)))
        if not outcome.taken:
            found, remedy = held(outcome.found)
            raise AnsibleActionFail(f"{arguments['path']}: {found}; {remedy}")
        if outcome.found:
            self._display.warning(taken_over(outcome.found, broken=force))
        return {**result, "changed": False}

    def _give_back(self, arguments: dict[str, Any], interpreter: str) -> dict[str, Any]:
        """Remove this run's own lock, by the file's source alone: a module takes twenty times as long.

        A host whose Python is not known yet has been asked nothing, so it has no lock of this run.
        """
        if interpreter:
            source = Path(_MODULE_UTILS, "deploy_lock.py").read_text(encoding="utf-8")
            program = f"{source}\ngive_back({arguments['path']!r}, lock_of({arguments['lock']!r}))\n"
            done = self._low_level_execute_command(f"{shlex.quote(interpreter)} -", in_data=program.encode())
            if done["rc"] != 0:
                reason = (done["stderr"] or done["stdout"]).strip().splitlines()[-1:]
                raise AnsibleActionFail(f"{arguments['path']}: the lock of this host: {' '.join(reason)}")
        return {"changed": False}

    def _interpreter(self, variables: dict[str, Any]) -> str:
        """The Python of this host that Ansible uses."""
        chosen = str(self._value(variables, "ansible_python_interpreter"))
        found = str(variables.get("ansible_facts", {}).get("discovered_interpreter_python", ""))
        return found if not chosen or chosen.startswith("auto") else chosen

    def _value(self, variables: dict[str, Any], name: str) -> Any:
        return self._templar.template(variables[name]) if name in variables else ""
