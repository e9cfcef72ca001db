#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_annotation
short_description: Mark a deploy on the timeline of Grafana's dashboards
description:
  - Writes an annotation of the organisation with version, person, result and duration, which every dashboard
    shows that asks for the tag C(soundcheck-deploy).
  - A Grafana that does not take it is a warning, never a failure.
options:
  url: {description: Scheme and host of Grafana., type: str, required: true}
  token: {description: Token of a service account., type: str, required: true}
  labels: {description: Their values are tags of the annotation., type: dict, required: true}
  version: {description: What was deployed., type: str, required: true}
  actor: {description: Who deployed it., type: str, required: true}
  result: {description: What came of it., type: str, required: true}
  began: {description: When it began, in seconds since 1970., type: float, required: true}
  timeout: {description: Seconds until an answer must have come., type: float, default: 10}
attributes:
  check_mode: {support: full, description: Writes nothing.}
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Mark the deploy
  grafana_annotation:
    url: https://example.grafana.net
    token: "{{ vault_grafana_token }}"
    labels: {environment: production, host: music-1}
    version: music:2026-11-01
    actor: kim
    result: deployed
    began: 1795507200
"""

RETURN = r"""
annotation:
  description: What was written, or would be.
  type: dict
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploy_marks import annotation
from ansible.module_utils.grafana_api import Grafana, GrafanaError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    "labels": {"type": "dict", "required": True},
    "version": {"type": "str", "required": True},
    "actor": {"type": "str", "required": True},
    "result": {"type": "str", "required": True},
    "began": {"type": "float", "required": True},
    "timeout": {"type": "float", "default": 10.0},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    described = {name: given[name] for name in ("version", "actor", "result", "began")}
    body = annotation(given["labels"], now=time.time(), **described)
    if module.check_mode:
        module.exit_json(changed=True, annotation=body)
    grafana = Grafana(given["url"].rstrip("/"), given["token"], timeout=given["timeout"], retries=0)
    try:
        grafana.write("POST", "/api/annotations", body)
    except GrafanaError as problem:
        module.warn(f"the deploy is not on the timeline: {problem}")
        module.exit_json(changed=False, annotation=body)
    module.exit_json(changed=True, annotation=body)


if __name__ == "__main__":
    main()
