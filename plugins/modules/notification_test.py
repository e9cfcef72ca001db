#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: notification_test
short_description: Send a marked test message through each contact point and tell what became of it
description:
  - Through Alertmanager, a test alert takes the way of every alert (its configuration, secrets and network).
    Alertmanager does not pass on what a service answers, so the outcome is read from its metrics, and the
    reason of a failure from its log. The alert ends by itself after half a minute, which is told as well.
  - Through Grafana, its own test API sends the message and passes on the answer.
  - A message that was not delivered does not fail the module; see RV(undelivered).
options:
  service:
    description: What sends the messages.
    type: str
    required: true
    choices: [alertmanager, grafana]
  url:
    description: Base of its API.
    type: str
    required: true
  username:
    description: User of basic auth, for Alertmanager.
    type: str
    default: ""
  password:
    description: Password of O(username).
    type: str
    default: ""
  token:
    description: Token of a service account, for Grafana.
    type: str
    default: ""
  contact_points:
    description:
      - The contact points in the shape of Grafana's provisioning API.
      - For Alertmanager their types suffice; values of the settings are kept out of every result.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the contact point., type: str, required: true}
      type: {description: Its kind., type: str, required: true}
      settings: {description: 'Its settings, secrets included.', type: dict, required: true}
      disableResolveMessage: {description: Do not tell the end of an alert., type: bool, default: false}
      uid: {description: Its identity in Grafana., type: str}
  alert:
    description: Labels and annotations of the test.
    type: dict
    required: true
    suboptions:
      labels: {description: Labels., type: dict, required: true}
      annotations: {description: Annotations., type: dict, required: true}
  timeout:
    description: Seconds until a message must be delivered.
    type: int
    default: 60
  project:
    description: Compose project of the service C(alertmanager), for its log.
    type: str
    default: telemetry
attributes:
  check_mode: {support: full, description: Sends nothing.}
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Test the contact points of the embedded Alertmanager
  notification_test:
    service: alertmanager
    url: http://127.0.0.1:9093
    username: reader
    password: "{{ vault_metrics_read_password }}"
    contact_points: "{{ contact_points_grafana }}"
    alert:
      labels: {alertname: SoundcheckTest, severity: warning}
      annotations: {summary: This is a test.}
"""

RETURN = r"""
report:
  description: A line for each contact point.
  type: list
  elements: str
  returned: always
undelivered:
  description: Names of the contact points that the message did not get through.
  type: list
  elements: str
  returned: always
"""

from datetime import datetime
from typing import Any

from ansible.module_utils import notification_alertmanager, notification_grafana
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.notification_asking import basic, client

CONTACT_POINT: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "settings": {"type": "dict", "required": True, "no_log": True},
    "disableResolveMessage": {"type": "bool", "default": False},
    "uid": {"type": "str"},
}
ALERT = {
    "labels": {"type": "dict", "required": True},
    "annotations": {"type": "dict", "required": True},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "service": {"type": "str", "required": True, "choices": ["alertmanager", "grafana"]},
    "url": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "token": {"type": "str", "default": "", "no_log": True},
    "contact_points": {"type": "list", "elements": "dict", "required": True, "options": CONTACT_POINT},
    "alert": {"type": "dict", "required": True, "options": ALERT},
    "timeout": {"type": "int", "default": 60},
    "project": {"type": "str", "default": "telemetry"},
}
# Alertmanager answers at once and sends later; Grafana answers when the message is sent.
ALERTMANAGER_SECONDS = 10


def log_of(module: AnsibleModule, since: datetime) -> str:
    """What Alertmanager's container has written since a moment."""
    labels = [
        f"com.docker.compose.project={module.params['project']}",
        "com.docker.compose.service=alertmanager",
    ]
    filters = [argument for label in labels for argument in ("--filter", f"label={label}")]
    _code, identities, _err = module.run_command(["docker", "ps", "-q", *filters])
    written = ""
    for identity in identities.split():
        _code, out, err = module.run_command(["docker", "logs", "--since", since.isoformat(), identity])
        written += out + err
    return written


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    if module.check_mode:
        module.exit_json(changed=False, report=["nothing was sent: this is check mode"], undelivered=[])
    local = given["service"] == "alertmanager"
    authorization = basic(given["username"], given["password"]) if local else f"Bearer {given['token']}"
    patience = ALERTMANAGER_SECONDS if local else given["timeout"]
    ask = client(given["url"], authorization, patience, direct=local)
    if local:
        kinds = [point["type"] for point in given["contact_points"]]
        found = notification_alertmanager.outcomes(
            ask, kinds, given["alert"], given["timeout"], lambda since: log_of(module, since)
        )
    else:
        found = notification_grafana.outcomes(ask, given["contact_points"], given["alert"])
    module.exit_json(
        changed=False,
        report=[str(outcome) for outcome in found],
        undelivered=[outcome.contact_point for outcome in found if not outcome.delivered],
    )


if __name__ == "__main__":
    main()
