"""Render the files of a compose project on the controller and hand them to the module in one round trip.

Arguments beyond the module's: `templates` (folder of the templates on the controller); `variables` that
these see over those of the host; `files` entries may name a `template` below it instead of `content`
(rendered where its name ends in `.j2`, else taken as it is), a list `services` whose containers must be
recreated when the content changes, and `secret: true`. Compose itself does not see a change inside a
mounted file, so the plugin gives the compose template a variable `config_digest`: service name -> hash of
its files, for a label.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

MANAGED = "Managed by Soundcheck: change the inventory, not this file. The next deploy overwrites it."


class ActionModule(ActionBase):
    """Controller side of `compose_project`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        templates, more = arguments.pop("templates", ""), arguments.pop("variables", {})
        if arguments.get("release"):
            arguments.pop("files", None)
        else:
            variables = {**(task_vars or {}), **more, "ansible_managed": MANAGED}
            arguments.update(self._rendered(arguments, templates, variables))
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if not self._task.no_log:
            # Ansible prints nothing of a changed task; whoever waits for a deploy wants to see what it did.
            for sentence in result.get("actions", []):
                self._display.display(f"    {arguments['project']}: {sentence}")
        return result

    def _rendered(
        self, arguments: dict[str, Any], templates: str, variables: dict[str, Any]
    ) -> dict[str, Any]:
        """`files` and `secret_files` as the module takes them; the compose file comes last."""
        entries, compose_file = arguments["files"], arguments["compose_file"]
        rendered: dict[str, str] = {}
        templar = self._environment(templates, variables)
        for entry in entries:
            if entry["path"] != compose_file:
                rendered[entry["path"]] = self._content(entry, templates, templar)
        templar = self._environment(
            templates, {**variables, "config_digest": config_digest(entries, rendered)}
        )
        for entry in entries:
            if entry["path"] == compose_file:
                rendered[compose_file] = self._content(entry, templates, templar)

        return {
            "files": [module_file(entry, rendered) for entry in entries if not entry.get("secret")],
            "secret_files": [module_file(entry, rendered) for entry in entries if entry.get("secret")],
        }

    def _environment(self, templates: str, variables: dict[str, Any]) -> Any:
        """One for many files: to make one takes longer than to render most of them."""
        return self._templar.copy_with_new_env(searchpath=[templates], available_variables=variables)

    def _content(self, entry: dict[str, Any], templates: str, templar: Any) -> str:
        if "content" in entry:
            return str(entry["content"])
        path = os.path.join(templates, entry["template"])
        if not os.path.isfile(path):
            raise AnsibleActionFail(f"{entry['path']}: there is no template {path}")
        with open(path, encoding="utf-8") as stream:
            source = stream.read()
        # A program is no template: what reads like one, as braces in a Python format do, is its own.
        if not path.endswith(".j2"):
            return source
        return str(
            templar.template(
                trust_as_template(source),
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True},
            )
        )


def config_digest(entries: list[dict[str, Any]], rendered: dict[str, str]) -> dict[str, str]:
    """Hash the files that each service mounts, in the order of the list."""
    digests: dict[str, Any] = {}
    for entry in entries:
        for service in entry.get("services", []):
            digest = digests.setdefault(service, hashlib.sha256())
            digest.update(f"{entry['path']}\0{rendered[entry['path']]}\0".encode())
    return {service: digest.hexdigest()[:16] for service, digest in digests.items()}


def module_file(entry: dict[str, Any], rendered: dict[str, str]) -> dict[str, Any]:
    """The module's view of one file."""
    options: dict[str, Any] = {key: entry[key] for key in ("mode", "owner", "group") if key in entry}
    return {"path": entry["path"], "content": rendered[entry["path"]], **options}
