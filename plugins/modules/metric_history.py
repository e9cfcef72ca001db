#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: metric_history
short_description: Ask the backend how the values of expressions went, and which alerts there are
description:
  - Asks, from the host, because the embedded backend answers on its loopback address alone.
  - Changes nothing. A query that fails does not fail the others, nor the module; see RV(queries).
options:
  queries:
    description: What to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      key: {description: Name of the answer., type: str, required: true}
      expr: {description: PromQL without variables., type: str, required: true}
      instant: {description: Whether the value at the end of the window suffices., type: bool, default: false}
  window: {description: Seconds until now that are asked for., type: int, required: true}
  step:
    description: Seconds between two values; the window may hold 240 of them.
    type: int
    required: true
  backend_url:
    description: Base of the Prometheus API, without C(/api/v1/query_range).
    type: str
    required: true
  backend_username: {description: User of the Prometheus API., type: str, default: ""}
  backend_password: {description: Password of the Prometheus API., type: str, default: ""}
  backend_labels:
    description: External labels of this deployment. Alerts of others are left out; queries carry their own.
    type: dict
    default: {}
  timeout: {description: Seconds for all queries together., type: int, default: 20}
attributes:
  check_mode: {support: full, description: Reads the same.}
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Ask for the load of the last hour
  metric_history:
    backend_url: http://127.0.0.1:9090
    window: 3600
    step: 20
    queries: [{key: load, expr: node_load1}]
"""

RETURN = r"""
start: {description: Time of the first value in seconds since 1970., type: float, returned: always}
step: {description: Seconds between two values., type: int, returned: always}
points: {description: How many values a query has that is not instant., type: int, returned: always}
queries:
  description: The answer of each query by its key.
  type: dict
  returned: always
  contains:
    series:
      description:
        - A list of RV(ignore:labels) and RV(ignore:values), at most 60 of them.
        - The values are one string, separated by blanks, C(-) where there is none.
      type: list
      elements: dict
      returned: always
    omitted: {description: Number of series beyond those., type: int, returned: always}
    problem: {description: Why there is no answer; empty when there is one., type: str, returned: always}
alerts:
  description: The alert rules that the backend evaluates, each with its alerts, and why there are none.
  type: dict
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.metric_history_asking import MAX_POINTS, History, Window
from ansible.module_utils.metric_probe_asking import Backend

QUERY = {
    "key": {"type": "str", "required": True},
    "expr": {"type": "str", "required": True},
    "instant": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "queries": {"type": "list", "elements": "dict", "required": True, "options": QUERY},
    "window": {"type": "int", "required": True},
    "step": {"type": "int", "required": True},
    "backend_url": {"type": "str", "required": True},
    "backend_username": {"type": "str", "default": ""},
    "backend_password": {"type": "str", "default": "", "no_log": True},
    "backend_labels": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 20},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    if given["step"] < 1 or given["window"] < 0 or given["window"] // given["step"] >= MAX_POINTS:
        module.fail_json(
            msg=f"window: {given['window']} s in steps of {given['step']} s were asked for, "
            f"at most {MAX_POINTS} values are given"
        )
    backend = Backend(
        given["backend_url"],
        given["backend_username"],
        given["backend_password"],
        {str(name): str(value) for name, value in given["backend_labels"].items()},
    )
    window = Window(end=time.time(), seconds=given["window"], step=given["step"])
    queries, alerts = History(backend, window, given["timeout"]).answers(given["queries"])
    module.exit_json(
        changed=False,
        start=window.start,
        step=window.step,
        points=window.points,
        queries=queries,
        alerts=alerts,
    )


if __name__ == "__main__":
    main()
