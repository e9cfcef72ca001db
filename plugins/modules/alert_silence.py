#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: alert_silence
short_description: Silence the alerts of one host for a bounded time
description:
  - Asks an Alertmanager, that of Grafana or another one, for a silence of the alerts with all of O(labels).
    It ends by itself.
  - An Alertmanager that does not take it is a warning, never a failure.
options:
  url: {description: Address before C(/api/v2/silences)., type: str, required: true}
  username: {description: User of an Alertmanager; empty for Grafana., type: str, default: ""}
  password:
    description: Password of the user; for Grafana the token of a service account.
    type: str
    default: ""
  labels: {description: Labels that a silenced alert has., type: dict, required: true}
  minutes: {description: How long it lasts., type: int, required: true}
  created_by: {description: Who asks for it., type: str, required: true}
  comment: {description: Why., type: str, required: true}
  timeout: {description: Seconds until an answer must have come., type: float, default: 10}
attributes:
  check_mode: {support: full, description: Asks for nothing.}
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Keep this host's alerts quiet during a deploy
  alert_silence:
    url: http://127.0.0.1:9093
    labels: {environment: production, host: music-1}
    minutes: 10
    created_by: kim
    comment: Deploy of music:2026-11-01
"""

RETURN = r"""
silence:
  description: What was asked for, or would be.
  type: dict
  returned: always
silence_id:
  description: Its id, empty when there is none.
  type: str
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploy_marks import silence
from ansible.module_utils.grafana_api import Grafana, GrafanaError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "labels": {"type": "dict", "required": True},
    "minutes": {"type": "int", "required": True},
    "created_by": {"type": "str", "required": True},
    "comment": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 10.0},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    described = {name: given[name] for name in ("minutes", "created_by", "comment")}
    try:
        body = silence(given["labels"], now=time.time(), **described)
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    if module.check_mode:
        module.exit_json(changed=True, silence=body, silence_id="")
    access = {"token": given["password"], "username": given["username"]}
    alertmanager = Grafana(given["url"].rstrip("/"), **access, timeout=given["timeout"], retries=0)
    try:
        answer = alertmanager.write("POST", "/api/v2/silences", body)
    except GrafanaError as problem:
        module.warn(f"alerts are not silenced: {problem}")
        module.exit_json(changed=False, silence=body, silence_id="")
    module.exit_json(changed=True, silence=body, silence_id=str((answer or {}).get("silenceID", "")))


if __name__ == "__main__":
    main()
