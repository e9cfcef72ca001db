#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_lock
short_description: Take the lock of this host, which lets one deploy at a time change it
description:
  - Meant to be called through the action plugin of the same name, which knows the run on the controller, and
    gives the lock back by itself.
  - Reports no change - a lock is a note of the run, no state of the server.
options:
  path:
    description: File of the lock.
    type: path
    required: true
  lock:
    description: This run, as module_utils/deploy_lock.py describes a lock.
    type: dict
    required: true
  replaced:
    description: The lock of a run that has ended, which this one replaces.
    type: dict
  force:
    description: Take the lock whoever has it.
    type: bool
    default: false
attributes:
  check_mode: {support: none, description: The action plugin leaves the lock alone in check mode.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Take the lock
  deploy_lock:
    state: present
    what: maintenance
"""

RETURN = r"""
lock:
  description: Whether the lock was C(taken), and the lock of another run that was C(found).
  type: dict
  returned: always
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploy_lock import lock_of, take


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "lock": {"type": "dict", "required": True},
            "replaced": {"type": "dict"},
            "force": {"type": "bool", "default": False},
        },
    )
    parameters = module.params
    mine = lock_of(parameters["lock"])
    try:
        replaced = lock_of(parameters["replaced"]) if parameters["replaced"] else None
        outcome = take(parameters["path"], mine, replaced=replaced, force=parameters["force"])
    except OSError as error:
        module.fail_json(msg=f"{parameters['path']}: the lock of this host: {error}")
    module.exit_json(changed=False, lock=asdict(outcome))


if __name__ == "__main__":
    main()
