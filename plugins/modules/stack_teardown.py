#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: stack_teardown
short_description: Remove from a host what Soundcheck made, in one round trip
description:
  - Removes containers, networks and folders of the given compose projects, also when their files are gone.
  - A container belongs to a project by its labels, which name the project and its directory; another project
    of the same name is left alone.
  - Data volumes and images stay unless asked for. The engine and all other containers stay in any case.
options:
  projects:
    description: The compose projects.
    type: list
    elements: dict
    required: true
    options:
      name: {description: Name of the project., type: str, required: true}
      directory: {description: Its directory on the host., type: path, required: true}
      compose_file: {description: Name of its compose file., type: str, required: true}
  diagnosis:
    description:
      - Folder of what the diagnosis keeps. It goes, and with it the timer of the watch, which would fill it
        again.
    type: path
  volumes:
    description: Remove the projects' data volumes, too.
    type: bool
    default: false
  images:
    description: Remove the images that begin with O(image_prefix), too.
    type: bool
    default: false
  image_prefix:
    description: Beginning of the names of images that were built or loaded here.
    type: str
    default: soundcheck/
  stop_timeout:
    description: Seconds in which containers may end by themselves.
    type: int
    default: 30
attributes:
  check_mode: {support: full, description: Tells what would go and what stays.}
  diff_mode: {support: none, description: O(actions) tells all.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Remove the demo
  stack_teardown:
    projects:
      - {name: demo, directory: /opt/demo, compose_file: docker-compose.yml}
"""

RETURN = r"""
actions:
  description: What was removed (check mode, would be), one line for each kind of thing.
  type: list
  elements: str
  returned: always
kept:
  description: What stays although it looks like part of it, with the reason.
  type: list
  elements: str
  returned: always
"""

import json
import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.compose_files import STATE
from ansible.module_utils.teardown_plan import Asked, Folder, Found, Plan, plan
from ansible.module_utils.watch_units import TIMER, disable, timer_state

MARK = "Managed by Soundcheck"
# `/` and what stands directly in it is nobody's project.
LEAST_DEPTH = 2


class Teardown:
    """One run of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.actions: list[str] = []

    def docker(self, *arguments: str) -> str:
        code, out, err = self.module.run_command(["docker", *arguments])
        if code != 0:
            said = (err or out).strip()
            self.module.fail_json(
                msg=f"docker {' '.join(arguments[:2])} failed: {said}", actions=self.actions, kept=[]
            )
        return str(out)

    def inspected(self, kind: str, identities: list[str]) -> list[dict[str, Any]]:
        """Objects that were listed. One that is gone since is left out, which the command calls an error."""
        if not identities:
            return []
        _code, out, _err = self.module.run_command(["docker", kind, "inspect", *identities])
        loaded: list[dict[str, Any]] = json.loads(out or "[]")
        return loaded

    def found(self) -> Found:
        folders = [folder(project) for project in self.module.params["projects"]]
        units: list[str] = []
        if diagnosis := self.module.params["diagnosis"]:
            folders.append(state_folder(diagnosis))
            timer = timer_state()
            units = [TIMER] if timer and (timer["linked"] or timer["active"]) else []
        if not self.module.get_bin_path("docker"):
            return Found(units=units, folders=folders)
        images = self.docker("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        return Found(
            units=units,
            containers=self.inspected("container", self.docker("ps", "-aq", "--no-trunc").split()),
            networks=self.inspected("network", self.docker("network", "ls", "-q", "--no-trunc").split()),
            volumes=self.inspected("volume", self.docker("volume", "ls", "-q").split()),
            images=dict(line.split() for line in images.splitlines() if "<none>" not in line),
            folders=folders,
        )

    def remove(self, wanted: Plan) -> None:
        if wanted.units:
            disable()
        containers = list(wanted.containers)
        if containers:
            self.docker("stop", "-t", str(self.module.params["stop_timeout"]), *containers)
            with_volumes = ["-v"] if self.module.params["volumes"] else []
            self.docker("rm", *with_volumes, *containers)
        if wanted.networks:
            self.docker("network", "rm", *wanted.networks)
        if wanted.volumes:
            self.docker("volume", "rm", *wanted.volumes)
        if wanted.images:
            self.docker("image", "rm", *wanted.images)
        for path in wanted.folders:
            shutil.rmtree(path)


def folder(project: dict[str, str]) -> Folder:
    """A folder is Soundcheck's when its record lies there, or a compose file that it wrote."""
    path = os.path.normpath(project["directory"])
    marked = os.path.exists(os.path.join(path, STATE))
    try:
        with open(os.path.join(path, project["compose_file"]), encoding="utf-8") as stream:
            marked = marked or MARK in stream.read(1000)
    except OSError:
        pass
    return Folder(path, os.path.isdir(path), marked and removable(path))


def state_folder(path: str) -> Folder:
    """What lies there no other program writes."""
    normal = os.path.normpath(path)
    return Folder(normal, os.path.isdir(normal), removable(normal))


def removable(path: str) -> bool:
    deep = len([part for part in path.split("/") if part]) >= LEAST_DEPTH
    return deep and not os.path.islink(path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "projects": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "directory": {"type": "path", "required": True},
                    "compose_file": {"type": "str", "required": True},
                },
            },
            "diagnosis": {"type": "path"},
            "volumes": {"type": "bool", "default": False},
            "images": {"type": "bool", "default": False},
            "image_prefix": {"type": "str", "default": "soundcheck/"},
            "stop_timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    teardown = Teardown(module)
    asked = Asked(
        projects={entry["name"]: os.path.normpath(entry["directory"]) for entry in module.params["projects"]},
        volumes=module.params["volumes"],
        images=module.params["images"],
        image_prefix=module.params["image_prefix"],
    )
    wanted = plan(teardown.found(), asked)
    if not module.check_mode:
        try:
            teardown.remove(wanted)
        except OSError as error:
            module.fail_json(msg=str(error), actions=[], kept=wanted.kept)
    module.exit_json(changed=bool(wanted.sentences()), actions=wanted.sentences(), kept=wanted.kept)


if __name__ == "__main__":
    main()
