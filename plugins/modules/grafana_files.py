#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_files
short_description: Keep Grafana's provisioning files for dashboards, alert rules, contact points and policy
description:
  - Writes what M(grafana_provisioning) writes over the API as the files that a self-hosted Grafana reads at
    its start, below O(directory), which Grafana sees as O(mount).
  - Keeps a file of rules for each host, and asks in it for the deletion of those of a host that is gone.
  - Removes the files of dashboards that left, and asks Grafana to delete rules and contact points that left.
  - Owns what is named soundcheck there, and touches nothing else.
options:
  directory: {description: Folder of the files on this host., type: path, required: true}
  mount:
    description: The same folder as Grafana sees it.
    type: str
    default: /etc/grafana/provisioning
  group:
    description: Numeric group that may read the file with secrets; by default that of the module's user.
    type: int
  folder:
    description: The folder of all dashboards and rules in Grafana.
    type: dict
    required: true
    suboptions:
      uid: {description: Its uid., type: str, required: true}
      title: {description: Its title., type: str, required: true}
  dashboards:
    description: Complete dashboard models, each with a uid.
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
        description: Rules as the provisioning API takes them.
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
    description: The whole notification policy of the organisation.
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
attributes:
  check_mode: {support: full, description: Reads and compares; writes nothing.}
  diff_mode: {support: full, description: Secrets are not shown.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Have the dashboards where Grafana looks for them
  grafana_files:
    directory: /srv/grafana/provisioning
    folder: {uid: soundcheck, title: Soundcheck}
    dashboards: "{{ metric_catalogue_dashboards }}"
    owner: {environment: production, host: music-1, inventory_hosts: [music-1, music-2]}
"""

RETURN = r"""
files:
  description: Paths of all files, below O(directory).
  type: list
  elements: str
  returned: always
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.grafana_arguments import CONTENT
from ansible.module_utils.grafana_files import (
    CONTACT_POINTS,
    DASHBOARDS,
    POLICIES,
    RULES,
    File,
    files,
    hidden,
)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "directory": {"type": "path", "required": True},
    "mount": {"type": "str", "default": "/etc/grafana/provisioning"},
    "group": {"type": "int"},
    **CONTENT,
}


class Folder:
    """The files that are there, and what of them changes."""

    def __init__(self, directory: Path, group: int | None) -> None:
        self.directory = directory
        self.group = group
        self.diff: list[dict[str, str]] = []

    def read(self, path: str) -> str | None:
        try:
            return (self.directory / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def earlier(self) -> dict[str, Any]:
        """The documents that say what must be deleted; one that is no JSON says nothing."""
        found = {}
        for path in [CONTACT_POINTS, POLICIES, *self.present(RULES)]:
            content = self.read(path)
            try:
                found[path] = json.loads(content or "")
            except ValueError:
                continue
        return found

    def present(self, pattern: str) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.glob(pattern))

    def surplus(self, wanted: dict[str, File], *, shared: bool) -> list[str]:
        patterns = [RULES, *([f"{DASHBOARDS}/*.json", CONTACT_POINTS, POLICIES] if shared else [])]
        return sorted({path for pattern in patterns for path in self.present(pattern)} - set(wanted))

    def note(self, path: str, before: str, after: str) -> None:
        self.diff.append({"before_header": path, "after_header": path, "before": before, "after": after})

    def mode(self, file: File) -> int:
        return 0o640 if file.secret else 0o644

    def differs(self, path: str, file: File) -> bool:
        content = self.read(path)
        if content != file.content:
            return True
        state = (self.directory / path).stat()
        owned = not file.secret or self.group is None or state.st_gid == self.group
        return state.st_mode & 0o777 != self.mode(file) or not owned

    def write(self, path: str, file: File) -> None:
        """In one step: Grafana never reads half a file, and nobody a secret before its mode is right."""
        target = self.directory / path
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".soundcheck-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(file.content)
        if file.secret and self.group is not None:
            os.chown(name, -1, self.group)
        os.chmod(name, self.mode(file))
        os.replace(name, target)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    folder = Folder(Path(given["directory"]), given["group"])
    names = ("folder", "mount", "dashboards", "rule_groups", "contact_points", "owner", "shared")
    wanted = files(
        **{name: given[name] for name in names}, policy=given["policy"] or None, earlier=folder.earlier()
    )
    changed = [path for path, file in wanted.items() if folder.differs(path, file)]
    surplus = folder.surplus(wanted, shared=given["shared"])
    for path in [*changed, *surplus]:
        before = folder.read(path) or ""
        shown = hidden(before) if path == CONTACT_POINTS else before
        folder.note(path, shown, wanted[path].shown if path in wanted else "")
    if not module.check_mode:
        for path in changed:
            folder.write(path, wanted[path])
        for path in surplus:
            (folder.directory / path).unlink()
    module.exit_json(changed=bool(changed or surplus), files=sorted(wanted), diff=folder.diff)


if __name__ == "__main__":
    main()
