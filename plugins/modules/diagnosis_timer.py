#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: diagnosis_timer
short_description: Have the timer of the watch run, or not
description:
  - Links C(soundcheck-watch.service) and C(soundcheck-watch.timer) from the folder where they lie, and starts
    the timer; or stops and forgets both.
  - Needs systemd. Meant to be called through the action plugin of the same name, which asks only hosts that
    need it.
options:
  directory:
    description: Folder that holds both unit files.
    type: path
    required: true
  enabled:
    description: Whether the timer shall run.
    type: bool
    required: true
attributes:
  check_mode: {support: full, description: Compares the same; the unit files need not be there yet.}
  diff_mode: {support: none, description: There is nothing to show.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Have the watch run
  diagnosis_timer:
    directory: /opt/soundcheck/telemetry/monitoring
    enabled: true
    timer: "{{ __preflight_survey.watch_timer }}"
"""

RETURN = r"""
before:
  description: How the timer stood, as host_survey tells it.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.watch_units import disable, enable, settled, timer_state


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "enabled": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    directory, on = module.params["directory"], module.params["enabled"]
    before = timer_state()
    if before is None:
        module.fail_json(msg="systemd does not run this host: no timer can be started here")
    changed = not settled(before, directory, enabled=on)
    if changed and not module.check_mode:
        try:
            enable(directory) if on else disable()
        except OSError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=changed, before=before)


if __name__ == "__main__":
    main()
