"""Work out on the controller what an inventory's images are made of, and hand the rest to the module.

Arguments: `source`, `wanted` (keys), `references` and `versions` (by key), `images_directory`, `app_context`,
`manifest_directory`, `registry_login` with `registry_password`, and the module's `ca_bundle`,
`archive_directory` and `export_directory`.
Build contexts travel only when the host says that something must be built.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import ansible.module_utils
import yaml
from ansible.plugins.action import ActionBase

# Ansible ships module_utils to hosts but does not make the project's own importable on the controller.
_MODULE_UTILS = str(Path(__file__).resolve().parents[1] / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_MODULE_UTILS)

from ansible.module_utils.image_builder import MANIFEST, read_manifest  # noqa: E402
from ansible.module_utils.image_plan import (  # noqa: E402
    Plan,
    Recipe,
    archive_name,
    needed,
    pack,
    recipes,
    refusals,
    stale,
)


class ActionModule(ActionBase):
    """Controller side of `container_images`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self._task.args
        source = str(arguments["source"])
        wanted = [str(key) for key in arguments["wanted"]]
        found = Plan(dict(arguments["references"]), dict(arguments["versions"]))
        directory = str(arguments["images_directory"])
        declared = yaml.safe_load((Path(directory) / "images.yml").read_text(encoding="utf-8"))
        made = recipes(declared, directory, str(arguments["app_context"])) if source != "registry" else {}
        manifest_directory = str(arguments["manifest_directory"])

        problems = refusals(source, wanted, found, declared, os.path.join(manifest_directory, MANIFEST))
        if source == "archive":
            old = stale(read_manifest(manifest_directory), made, wanted)
            if old:
                problems.append(
                    f"container_images_export_directory: the archives of {', '.join(old)} in "
                    f"{manifest_directory} were made from other files than this tree holds; run "
                    "playbooks/build_images.yml again"
                )
        if problems:
            return {**result, "failed": True, "msg": "\n".join(problems)}

        images = [image(key, source, found, made) for key in wanted]
        to_build = needed(made, [entry["key"] for entry in images if entry["how"] == "build"])
        module_arguments = {
            "images": images,
            "recipes": [recipe.for_module() for recipe in to_build],
            **{
                name: arguments[name]
                for name in ("ca_bundle", "archive_directory", "export_directory")
                if arguments.get(name)
            },
            **registry_arguments(arguments),
        }
        answer = self._execute_module(module_args=module_arguments, task_vars=task_vars)
        if answer.get("needs_contexts"):
            sent = [recipe for recipe in to_build if recipe.key in answer["needs_contexts"]]
            self._display.display(
                f"    images: building {', '.join(r.key for r in sent)}; the first time takes minutes"
            )
            answer = self._build(sent, module_arguments, task_vars)
        if answer.get("changed"):
            for sentence in answer.get("actions", []):
                self._display.display(f"    images: {sentence}")
        return {**result, **answer}

    def _build(
        self, sent: list[Recipe], module_arguments: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Call the module again, with the contexts beside it."""
        remote_directory = self._make_tmp_path()
        try:
            with tempfile.TemporaryDirectory(prefix="soundcheck-") as local:
                packed = os.path.join(local, "contexts.tar.gz")
                pack(sent, packed)
                remote = self._connection._shell.join_path(remote_directory, "contexts.tar.gz")
                self._transfer_file(packed, remote)
            self._fixup_perms2((remote_directory, remote))
            answer: dict[str, Any] = self._execute_module(
                module_args={**module_arguments, "contexts": remote}, task_vars=task_vars
            )
        finally:
            self._remove_tmp_path(remote_directory)
        return answer


def registry_arguments(arguments: dict[str, Any]) -> dict[str, str]:
    """The module's view of a login, where there is one."""
    login = arguments.get("registry_login")
    if not login:
        return {}
    return {
        "registry_server": str(login["server"]),
        "registry_username": str(login["username"]),
        "registry_password": str(arguments["registry_password"]),
    }


def image(key: str, source: str, found: Plan, made: dict[str, Recipe]) -> dict[str, str]:
    """The module's view of one image: what an override names is pulled, whatever the source."""
    reference = found.references[key]
    how = "load" if source == "archive" else "pull"
    if source == "debian" and key in made and made[key].reference == reference:
        how = "build"
    return {
        "key": key,
        "reference": reference,
        "version": str(found.versions.get(key, "")),
        "how": how,
        "archive": archive_name(reference),
    }
