#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: compose_project
short_description: Bring one Docker Compose project to its wanted state in one round trip
description:
  - Compares the project's files with what lies on the host, validates the new ones beside the old,
    replaces them, runs one-off jobs (checks, migrations), starts the services and waits until they are well.
  - A file that fails validation and a job that fails leave the files of the running project as they were.
  - Meant to be called through the action plugin of the same name, which renders templates on the controller.
options:
  project:
    description: Name of the compose project.
    type: str
    required: true
  directory:
    description: The project's directory on the host; created with mode 0755.
    type: path
    required: true
  compose_file:
    description: Path of the compose file below O(directory); must be one of the files.
    type: str
    required: true
  files:
    description: Files that may be shown in a diff.
    type: list
    elements: dict
    default: []
    options: &file
      path: {description: Path below O(directory)., type: str, required: true}
      content: {description: The whole content., type: str, required: true}
      mode: {description: Octal mode as a string., type: str, default: "0644"}
      owner: {description: Numeric user id., type: int, default: 0}
      group: {description: Numeric group id., type: int, default: 0}
  secret_files:
    description: Files whose content is never shown, neither in diffs nor in messages.
    type: list
    elements: dict
    default: []
    options: *file
  release:
    description:
      - Go back to an earlier release instead of deploying O(files); needs O(rollout).
      - C(previous), or a release by its id or version.
    type: str
    default: ""
  networks:
    description: Networks shared with other projects, created when missing.
    type: list
    elements: str
    default: []
  checks:
    description:
      - Commands that must succeed on the new files before they replace the old ones; where no file differs
        there is nothing to check. C({staging}) in an argument stands for the folder that holds the new files.
    type: list
    elements: dict
    default: []
    options:
      name: {description: What the command checks, for the error message., type: str, required: true}
      argv: {description: The command., type: list, elements: str, required: true}
  jobs:
    description: Compose services run once each, in this order, before new code serves.
    type: list
    elements: str
    default: []
  only_jobs:
    description:
      - Run O(jobs) of the new files while the old version serves, and leave everything else as it was; what
        the jobs need is started. Nothing is run where no service would change.
    type: bool
    default: false
  wait_timeout:
    description: Seconds until services that were started must be well.
    type: int
    default: 180
  rollout:
    description:
      - Replace services one after the other, new web containers beside the old ones, and keep releases.
      - Without it Compose replaces whatever differs at once.
    type: dict
    options:
      web: {description: Service that answers requests., type: str, required: true}
      port: {description: Port of O(rollout.web) inside its containers., type: int, required: true}
      slots:
        description: Two names that the proxy knows. A container of O(rollout.web) bears one while it serves.
        type: list
        elements: str
        required: true
      proxy: {description: Service of the proxy; empty when it is somebody else's., type: str, default: ""}
      reload:
        description: Command inside the proxy's container by which it reads its files again.
        type: list
        elements: str
        default: []
      proxy_files:
        description: Folder below O(directory). When one of its files differs, O(rollout.reload) runs.
        type: str
        default: proxy
      retire:
        description: Command in a web container by which it tells the proxy that it takes no more requests.
        type: list
        elements: str
        default: []
      seen_seconds:
        description: Seconds that the proxy may take to see a new container, or that an old one is retired.
        type: int
        default: 5
      drain_seconds:
        description:
          - Seconds that the old web container may take, after the proxy's switch, to answer the requests that
            it has. It is asked to end as soon as it has none.
        type: int
        default: 60
      scheduler: {description: Service of which there may never be two., type: str, required: true}
      workers: {description: Services that take tasks., type: list, elements: str, default: []}
      quiet:
        description: Command in a worker's container by which workers named as its arguments end consuming.
        type: list
        elements: str
        default: []
      proof:
        description: Command in a worker's container that proves the workers named as its arguments.
        type: list
        elements: str
        default: []
      kept:
        description: Services that are not restarted unless O(rollout.restart_kept) says so.
        type: list
        elements: str
        default: []
      restart_kept: {description: Whether O(rollout.kept) may be restarted., type: bool, default: false}
      keep_failed:
        description: Leave a failed release running, for inspection, where it has taken over already.
        type: bool
        default: false
      ignore_migrations:
        description: Go back although migrations were applied since.
        type: bool
        default: false
      version: {description: Version of the app that is deployed., type: str, required: true}
      by: {description: Who deploys., type: str, default: ""}
      migrations:
        description: Migrations that an earlier call with O(only_jobs) applied for this release.
        type: list
        elements: str
        default: []
      reason: {description: Why an earlier release is wanted back., type: str, default: ""}
      keep: {description: Number of good releases that stay on the host., type: int, default: 5}
attributes:
  check_mode: {support: full, description: Renders, compares and validates; changes nothing.}
  diff_mode: {support: full, description: Shows every file but the secret ones.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Start the demo
  compose_project:
    project: demo
    directory: /opt/demo
    compose_file: docker-compose.yml
    files:
      - path: docker-compose.yml
        content: "services: {web: {image: 'nginx:1.29'}}"
"""

RETURN = r"""
actions:
  description: What was done, in order, as short sentences.
  type: list
  elements: str
  returned: always
pending:
  description: Services that were (check mode, would be) created, recreated or started.
  type: list
  elements: str
  returned: always
seconds:
  description: Duration of the steps C(validate), C(jobs), C(start) (jobs included) and C(wait), in seconds.
  type: dict
  returned: always
release:
  description: The release that serves now; empty without O(rollout).
  type: str
  returned: always
migrations:
  description: Migrations that the jobs applied.
  type: list
  elements: str
  returned: always
"""

from contextlib import nullcontext
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.compose_deploy import Deploy, Wanted
from ansible.module_utils.compose_docker import DeployFailed, Engine
from ansible.module_utils.compose_files import from_parameters, secret_values
from ansible.module_utils.compose_lock import exclusive
from ansible.module_utils.compose_releases import (
    ReleaseError,
    Releases,
    choose,
    image_id,
    migrations_since,
    moved_names,
)
from ansible.module_utils.compose_rollout import Plan

FILE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "int", "default": 0},
    "group": {"type": "int", "default": 0},
}
NAMES = {"type": "list", "elements": "str", "default": []}
ROLLOUT_OPTIONS = {
    "web": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "slots": {"type": "list", "elements": "str", "required": True},
    "proxy_files": {"type": "str", "default": "proxy"},
    "seen_seconds": {"type": "int", "default": 5},
    "proxy": {"type": "str", "default": ""},
    "reload": NAMES,
    "retire": NAMES,
    "drain_seconds": {"type": "int", "default": 60},
    "scheduler": {"type": "str", "required": True},
    "workers": NAMES,
    "quiet": NAMES,
    "proof": NAMES,
    "kept": NAMES,
    "restart_kept": {"type": "bool", "default": False},
    "keep_failed": {"type": "bool", "default": False},
    "ignore_migrations": {"type": "bool", "default": False},
    "version": {"type": "str", "required": True},
    "by": {"type": "str", "default": ""},
    "migrations": NAMES,
    "reason": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 5},
}
ARGUMENTS = {
    "project": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "compose_file": {"type": "str", "required": True},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {**FILE_OPTIONS, "content": {"type": "str", "required": True}},
    },
    "secret_files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {**FILE_OPTIONS, "content": {"type": "str", "required": True, "no_log": True}},
    },
    "release": {"type": "str", "default": ""},
    "networks": NAMES,
    "checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "str", "required": True},
        },
    },
    "jobs": NAMES,
    "only_jobs": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 180},
    "rollout": {"type": "dict", "options": ROLLOUT_OPTIONS},
}


class QuietModule(AnsibleModule):
    """Leaves its arguments out of the host's journal, where Ansible writes those of every module.

    Secret values are masked there, but the content of a secret file stands in a printed list, in which its
    line ends look different. `no_log` on the option would mask modes and paths, too, wherever they occur.
    """

    def _log_invocation(self) -> None:
        self.log(f"Invoked for project {self.params['project']} in {self.params['directory']}")


def deployed_files(parameters: dict[str, Any]) -> Wanted:
    rollout = parameters["rollout"]
    return Wanted(
        files=[
            *from_parameters(parameters["files"], secret=False),
            *from_parameters(parameters["secret_files"], secret=True),
        ],
        networks=parameters["networks"],
        checks=parameters["checks"],
        jobs=parameters["jobs"],
        only_jobs=parameters["only_jobs"],
        timeout=parameters["wait_timeout"],
        plan=Plan.of(rollout) if rollout else None,
        rollout=rollout or {},
    )


def earlier_release(parameters: dict[str, Any], engine: Engine, *, check_mode: bool) -> Wanted:
    """What an earlier release put on the host, its images under the names that they had.

    Raises ReleaseError when it cannot be had back; then, and in check mode, no name was changed.
    """
    releases, asked = Releases(parameters["directory"]), parameters["rollout"]
    known, current = releases.all(), releases.current()
    target = choose(known, current, parameters["release"])
    migrations = migrations_since(known, target)
    if migrations and not asked["ignore_migrations"]:
        raise ReleaseError(
            f"release: migrations were applied since {target.id}, which its code does not know:"
            f" {', '.join(migrations)}. If it can live with them, set app_release_ignore_migrations=true"
        )
    moved = moved_names(engine, target)
    for reference, identity in moved:
        if not image_id(engine, identity):
            raise ReleaseError(
                f"release: image {reference} ({identity[:19]}) of {target.id} is no longer on this host;"
                f" `docker pull {reference}` there, or set another release"
            )
    for reference, identity in [] if check_mode else moved:
        engine.docker("tag", identity, reference)
    # Services play the parts that they played in that release; what is allowed now is asked now.
    now = {
        name: asked[name] for name in ("restart_kept", "keep_failed", "ignore_migrations", "keep", "reason")
    }
    rollout = {**asked, **target.rollout, **now}
    return Wanted(
        files=releases.files(target),
        timeout=parameters["wait_timeout"],
        plan=Plan.of(rollout),
        rollout=rollout,
        target=target,
    )


def main() -> None:
    module = QuietModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    parameters = module.params
    engine = Engine(
        module.run_command, parameters["project"], parameters["directory"], parameters["compose_file"]
    )
    deploy = None
    try:
        with nullcontext() if module.check_mode else exclusive(engine.name, parameters["wait_timeout"]):
            release = bool(parameters["release"])
            wanted = (
                earlier_release(parameters, engine, check_mode=module.check_mode)
                if release
                else deployed_files(parameters)
            )
            module.no_log_values.update(secret_values(list(wanted.files)))
            deploy = Deploy(engine, wanted, check_mode=module.check_mode)
            result = deploy.run()
    except (DeployFailed, ReleaseError, OSError) as error:
        module.fail_json(msg=str(error), actions=deploy.actions if deploy else [])
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
