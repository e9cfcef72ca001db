#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: metric_probe
short_description: Prove on live data that every promised metric travels from its endpoint to the backend
description:
  - Asks, from the host, the endpoints of all sources, the collector's targets and the backend; sends a canary
    task through every queue; reads the counters of a many-worker web service repeatedly; puts the expressions
    of panels and alerts to the backend, and counts its series.
  - Asks again what is not right yet until it is, until waiting cannot help, or until O(timeout).
  - Changes nothing but the canary's own counters. Failed checks do not fail the module; see RV(checks).
options:
  sources:
    description: The enabled sources of the metric catalogue.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the source in the catalogue., type: str, required: true}
      job: {description: Scrape job and value of the label C(job)., type: str, required: true}
      project: {description: Compose project of the service., type: str, required: true}
      service: {description: Compose service that answers., type: str, required: true}
      port: {description: Port inside the container., type: int, required: true}
      path: {description: Path of the metrics page., type: str, default: /metrics}
      scheme: {description: Scheme of the metrics page., type: str, default: http}
      timeout: {description: Seconds until a scrape is given up., type: float, default: 10}
      published_port:
        description: Port on 127.0.0.1 of the host that must answer too; 0 for none.
        type: int
        default: 0
      fresh_seconds:
        description: Age in seconds up to which a sample of this source is fresh; O(fresh_seconds) if missing.
        type: int
      promised:
        description: Metrics that must have samples.
        type: list
        elements: dict
        required: true
        suboptions:
          exposed: {description: Name at the endpoint., type: str, required: true}
          stored: {description: Name in the backend; the exposed one when missing., type: str}
          labels: {description: Labels that at least one stored sample must carry., type: dict}
          when: {description: Why samples may be missing on a healthy service., type: str}
      likely_causes: {description: A sentence for each kind of question., type: dict}
  workers:
    description: Celery workers and the queues they should consume.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the worker and its compose service., type: str, required: true}
      queues: {description: Queues it consumes., type: list, elements: str, required: true}
  collector:
    description: The collector whose view of the targets is asked.
    type: str
    required: true
    choices: [grafana_agent, alloy, prometheus_agent]
  app_project: {description: Compose project of the app., type: str, default: app}
  telemetry_project: {description: Compose project of the telemetry., type: str, default: telemetry}
  backend_url:
    description: Base of the Prometheus API, without C(/api/v1/query).
    type: str
    required: true
  backend_username: {description: User of the Prometheus API., type: str, default: ""}
  backend_password: {description: Password of the Prometheus API., type: str, default: ""}
  backend_labels:
    description: External labels that restrict every query to this deployment.
    type: dict
    default: {}
  fresh_seconds:
    description: Age in seconds up to which a sample is fresh.
    type: int
    required: true
  timeout:
    description: Seconds to wait for what may become right by itself.
    type: int
    required: true
  questions:
    description: Expressions of panels and alerts, limited to this deployment, which the backend must answer.
    type: list
    elements: dict
    default: []
    suboptions:
      id: {description: Id in the catalogue., type: str, required: true}
      kind:
        description: What shows or evaluates it.
        type: str
        required: true
        choices: [panel, alert, recording]
      source: {description: Source of the catalogue to which it belongs., type: str, required: true}
      title: {description: Title of the panel or alert., type: str, required: true}
      expr: {description: The PromQL expression., type: str, required: true}
      metrics: {description: Names of the metrics in it., type: list, elements: str, default: []}
      empty_reason: {description: Why a healthy service may have no data for it., type: str, default: ""}
  rules:
    description: Rules that the backend must have loaded; none for a backend without the Prometheus rules API.
    type: list
    elements: dict
    default: []
    suboptions:
      group: {description: Rule group., type: str, required: true}
      name: {description: Name of the alert or of the recorded metric., type: str, required: true}
  budget:
    description: What the plan of the backend includes. Without it the series are not counted.
    type: dict
    suboptions:
      limit: {description: Active series of the plan., type: int, required: true}
      included:
        description: Data points per minute that the plan includes for each series.
        type: int
        default: 1
      jobs:
        description: Scrape jobs that send the series.
        type: list
        elements: dict
        required: true
        suboptions:
          name: {description: Value of the label C(job)., type: str, required: true}
          seconds: {description: Seconds between two scrapes., type: float, required: true}
          trim: {description: What makes the job send fewer series., type: str, default: ""}
  monotonic_source: {description: Source whose counters are read repeatedly., type: str, default: django}
  monotonic_prefix: {description: Start of the names of those counters., type: str, default: django_http_}
  monotonic_scrapes: {description: How often they are read., type: int, default: 20}
attributes:
  check_mode:
    support: full
    description: Reads the same but sends no canary and forgives what is not deployed yet.
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Ask the node exporter and the way of its metrics
  metric_probe:
    collector: prometheus_agent
    backend_url: http://127.0.0.1:9090
    fresh_seconds: 60
    timeout: 60
    sources:
      - name: node
        job: node
        project: telemetry
        service: node-exporter
        port: 9100
        promised: [{exposed: node_load1}]
"""

RETURN = r"""
checks:
  description: Each question and its verdict.
  type: list
  elements: dict
  returned: always
  contains:
    source: {description: Part of the system that the question is about., type: str, returned: always}
    check: {description: Kind of the question., type: str, returned: always}
    status:
      description: One of V(ok), V(failed), V(consequence) for what fails because of another part, V(skipped).
      type: str
      returned: always
    asked: {description: What was asked., type: str, returned: always}
    expected: {description: What should have come., type: str, returned: always}
    got: {description: What came., type: str, returned: always}
    likely_cause: {description: What to look at., type: str, returned: always}
    waiting: {description: Whether the answer might have become right later., type: bool, returned: always}
    details:
      description:
        - For a question its kind, id, title, number of series and the first values.
        - For the budget the series, data points per minute and share of each job. Else empty.
      type: dict
      returned: always
seconds:
  description: Duration of the run.
  type: float
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.metric_probe_asking import Backend
from ansible.module_utils.metric_probe_budget import budget_of
from ansible.module_utils.metric_probe_checks import as_dictionary
from ansible.module_utils.metric_probe_facts import Worker, sources_of
from ansible.module_utils.metric_probe_questions import KINDS, questions_of
from ansible.module_utils.metric_probe_run import Plan, Run

PROMISE = {
    "exposed": {"type": "str", "required": True},
    "stored": {"type": "str"},
    "labels": {"type": "dict"},
    "when": {"type": "str"},
}
SOURCE = {
    "name": {"type": "str", "required": True},
    "job": {"type": "str", "required": True},
    "project": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "path": {"type": "str", "default": "/metrics"},
    "scheme": {"type": "str", "default": "http"},
    "timeout": {"type": "float", "default": 10.0},
    "published_port": {"type": "int", "default": 0},
    "fresh_seconds": {"type": "int"},
    "promised": {"type": "list", "elements": "dict", "required": True, "options": PROMISE},
    "likely_causes": {"type": "dict"},
}
WORKER = {
    "name": {"type": "str", "required": True},
    "queues": {"type": "list", "elements": "str", "required": True},
}
QUESTION = {
    "id": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True, "choices": list(KINDS)},
    "source": {"type": "str", "required": True},
    "title": {"type": "str", "required": True},
    "expr": {"type": "str", "required": True},
    "metrics": {"type": "list", "elements": "str", "default": []},
    "empty_reason": {"type": "str", "default": ""},
}
RULE = {"group": {"type": "str", "required": True}, "name": {"type": "str", "required": True}}
JOB = {
    "name": {"type": "str", "required": True},
    "seconds": {"type": "float", "required": True},
    "trim": {"type": "str", "default": ""},
}
BUDGET = {
    "limit": {"type": "int", "required": True},
    "included": {"type": "int", "default": 1},
    "jobs": {"type": "list", "elements": "dict", "required": True, "options": JOB},
}


ARGUMENTS: dict[str, dict[str, Any]] = {
    "sources": {"type": "list", "elements": "dict", "required": True, "options": SOURCE},
    "workers": {"type": "list", "elements": "dict", "default": [], "options": WORKER},
    "collector": {
        "type": "str",
        "required": True,
        "choices": ["grafana_agent", "alloy", "prometheus_agent"],
    },
    "app_project": {"type": "str", "default": "app"},
    "telemetry_project": {"type": "str", "default": "telemetry"},
    "backend_url": {"type": "str", "required": True},
    "backend_username": {"type": "str", "default": ""},
    "backend_password": {"type": "str", "default": "", "no_log": True},
    "backend_labels": {"type": "dict", "default": {}},
    "fresh_seconds": {"type": "int", "required": True},
    "timeout": {"type": "int", "required": True},
    "questions": {"type": "list", "elements": "dict", "default": [], "options": QUESTION},
    "rules": {"type": "list", "elements": "dict", "default": [], "options": RULE},
    "budget": {"type": "dict", "options": BUDGET},
    "monotonic_source": {"type": "str", "default": "django"},
    "monotonic_prefix": {"type": "str", "default": "django_http_"},
    "monotonic_scrapes": {"type": "int", "default": 20},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    started = time.monotonic()
    plan = Plan(
        sources=sources_of(given["sources"], given["fresh_seconds"]),
        workers=tuple(Worker(entry["name"], tuple(entry["queues"])) for entry in given["workers"]),
        projects=(given["app_project"], given["telemetry_project"]),
        collector=given["collector"],
        backend=Backend(
            given["backend_url"],
            given["backend_username"],
            given["backend_password"],
            {str(name): str(value) for name, value in given["backend_labels"].items()},
        ),
        # Plain reading: what is not right now is told as it is.
        timeout=0 if module.check_mode else given["timeout"],
        monotonic_source=given["monotonic_source"],
        monotonic_prefix=given["monotonic_prefix"],
        monotonic_scrapes=given["monotonic_scrapes"],
        check_mode=module.check_mode,
        questions=questions_of(given["questions"]),
        expected_rules=tuple((rule["group"], rule["name"]) for rule in given["rules"]),
        budget=budget_of(given["budget"]) if given["budget"] else None,
    )
    checks = [as_dictionary(check) for check in Run(plan).checks()]
    module.exit_json(changed=False, checks=checks, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
