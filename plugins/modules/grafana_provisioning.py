#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_provisioning
short_description: Bring dashboards, alert rules, contact points and a route of Grafana to the wanted state
description:
  - Reads what is there, compares, and writes only what differs, over Grafana's HTTP API.
  - Removes what it made and is no longer wanted. What was made by hand is neither changed nor removed; where
    that stands in the way the module fails before it writes anything, and names all of it.
  - A write of which it is not known whether it took effect is settled by reading again; a run that ends in
    the middle is completed by the next one.
  - Several hosts may share a Grafana. Each brings the rules whose labels name it (O(owner)).
  - Of the notification policy, which exists once for the organisation, it owns one route, for the alerts of
    its folder; all others stay, and the tree stays editable in the UI if it was.
options:
  url: {description: Scheme and host of Grafana., type: str, required: true}
  token:
    description: Token of a service account with the basic role Admin, C(glsa_...).
    type: str
    required: true
  folder:
    description: The folder of all dashboards and rules.
    type: dict
    required: true
    suboptions:
      uid: {description: Its uid., type: str, required: true}
      title: {description: Its title., type: str, required: true}
  dashboards:
    description: Complete dashboard models, each with a uid that begins with C(soundcheck-).
    type: list
    elements: dict
    default: []
  rule_groups:
    description: Grafana-managed rule groups.
    type: list
    elements: dict
    default: []
    suboptions:
      title: {description: Name of the group., type: str, required: true}
      interval: {description: Seconds between two evaluations., type: int, required: true}
      rules:
        description: Rules as the provisioning API takes them; each uid begins with C(soundcheck-).
        type: list
        elements: dict
        required: true
  contact_points:
    description: Integrations of contact points.
    type: list
    elements: dict
    default: []
    suboptions:
      uid: {description: Begins with C(soundcheck-)., type: str, required: true}
      name: {description: Name of the contact point., type: str, required: true}
      type: {description: Kind of the integration., type: str, required: true}
      settings: {description: Settings that anybody may read., type: dict, default: {}}
      secure_settings: {description: Settings that are secrets., type: dict, default: {}}
      disable_resolve_message:
        description: Whether nothing is sent when an alert ends.
        type: bool
        default: false
  policy:
    description: Route for the alerts of the folder, the root of a policy tree; without it the route goes.
    type: dict
  owner:
    description: Whose the rules are; other hosts of the inventory, and other environments, keep theirs.
    type: dict
    required: true
    suboptions:
      environment: {description: Label C(environment) of the rules., type: str, required: true}
      host: {description: Label C(host) of the rules., type: str, required: true}
      inventory_hosts:
        description: Labels C(host) of all hosts of the inventory. The rules of another host are removed.
        type: list
        elements: str
        required: true
  shared:
    description:
      - Whether dashboards, contact points and policy, which all hosts share, are brought as well. Without
        it they are neither written nor removed, whatever is given.
    type: bool
    default: true
  overwrite:
    description: Whether what was made by hand under the same name or uid is replaced.
    type: bool
    default: false
  disable_provenance:
    description: Whether what is written stays editable in the UI (C(X-Disable-Provenance)).
    type: bool
    default: false
  timeout: {description: Seconds until an answer must have come., type: float, default: 30}
  retries: {description: How often is tried again what may pass., type: int, default: 3}
attributes:
  check_mode: {support: full, description: Reads and compares; writes nothing.}
  diff_mode: {support: full, description: Of secrets it shows only whether they differ.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Have the dashboards in Grafana
  grafana_provisioning:
    url: https://example.grafana.net
    token: "{{ vault_grafana_token }}"
    folder: {uid: soundcheck, title: Soundcheck}
    dashboards: "{{ metric_catalogue_dashboards }}"
    owner: {environment: production, host: music-1, inventory_hosts: [music-1, music-2]}
"""

RETURN = r"""
changes:
  description: What was changed, or would be.
  type: list
  elements: dict
  returned: always
  contains:
    kind: {description: What it is, such as C(dashboard)., type: str, returned: always}
    name: {description: Its title, or the uid of a contact point., type: str, returned: always}
    action: {description: One of V(created), V(updated), V(removed)., type: str, returned: always}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.grafana_api import Grafana
from ansible.module_utils.grafana_apply import Outcome, provision
from ansible.module_utils.grafana_arguments import CONTENT
from ansible.module_utils.grafana_plan import Wanted, invalid

ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    **CONTENT,
    "overwrite": {"type": "bool", "default": False},
    "disable_provenance": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 30.0},
    "retries": {"type": "int", "default": 3},
}


def wanted_of(given: dict[str, Any]) -> Wanted:
    points = []
    for point in given["contact_points"]:
        body = {name: point[name] for name in ("uid", "name", "type")}
        body["settings"] = point["settings"] | point["secure_settings"]
        points.append(body | {"disableResolveMessage": point["disable_resolve_message"]})
    return Wanted(
        folder=given["folder"],
        owner=given["owner"],
        dashboards=tuple(given["dashboards"]),
        rule_groups=tuple(given["rule_groups"]),
        contact_points=tuple(points),
        secure={point["uid"]: frozenset(point["secure_settings"]) for point in given["contact_points"]},
        policy=given["policy"] or None,
        overwrite=given["overwrite"],
        shared=given["shared"],
    )


def result_of(outcome: Outcome) -> dict[str, Any]:
    """What the module returns, apart from a failure."""
    return {
        "changed": bool(outcome.changes),
        "changes": [{"kind": c.kind, "name": c.name, "action": c.action} for c in outcome.changes],
        "diff": [change.diff() for change in outcome.changes],
    }


def failure_of(outcome: Outcome) -> str:
    """Why the wanted state was not reached, empty when it was."""
    if outcome.conflicts:
        count = len(outcome.conflicts)
        what = "1 thing stands" if count == 1 else f"{count} things stand"
        lines = [f"{what} in the way, nothing was changed:", *(f"  {line}" for line in outcome.conflicts)]
        return "\n".join(lines)
    if outcome.problem and outcome.changes:
        return (
            f"{outcome.problem}; {len(outcome.changes)} changes were made before, the next run completes them"
        )
    return outcome.problem


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    wanted = wanted_of(given)
    problems = list(invalid(wanted))
    if problems:
        module.fail_json(msg="; ".join(problems), changes=[])
    secrets = [
        str(value)
        for point in given["contact_points"]
        for value in point["secure_settings"].values()
        if value
    ]
    grafana = Grafana(
        url=given["url"].rstrip("/"),
        token=given["token"],
        timeout=given["timeout"],
        retries=given["retries"],
        secrets=tuple(secrets),
    )
    outcome = provision(
        grafana, wanted, disable_provenance=given["disable_provenance"], check_mode=module.check_mode
    )
    result = result_of(outcome)
    failure = failure_of(outcome)
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
