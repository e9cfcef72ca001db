#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: diagnosis
short_description: Have a host diagnose itself, and fetch what its watch kept, in one round trip
description:
  - Runs C(debug_cpu_spike.sh), which the deploy of the telemetry installs, and returns what it found.
  - A host that cannot be diagnosed is no failure of the module; RV(problem) says why.
  - Changes nothing. The tool itself notes the counters that its next run compares with.
  - Meant to be called through the action plugin of the same name, which keeps the bundles on the controller.
options:
  directory:
    description: Folder that holds the tool.
    type: path
    required: true
  bundles:
    description: Folder that holds what the watch kept.
    type: path
    required: true
  symptom:
    description: What somebody noticed; findings of that kind come first.
    type: str
    choices: ["", cpu, memory, connections]
    default: ""
  since: {description: How far the tool looks back, such as C(15m)., type: str, default: 15m}
  locale: {description: Language of RV(text)., type: str, choices: [en, ko], default: en}
  most_bundles: {description: Number of bundles to fetch., type: int, default: 20}
  most_bytes: {description: Bytes of all of them together., type: int, default: 5000000}
  timeout: {description: Seconds that the tool may take., type: int, default: 60}
attributes:
  check_mode: {support: full, description: Does the same.}
  diff_mode: {support: none, description: There is nothing to compare.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Ask the host what burns
  diagnosis:
    directory: /opt/soundcheck/telemetry/monitoring
    bundles: /var/lib/soundcheck/diagnosis/bundles
    symptom: cpu
"""

RETURN = r"""
state:
  description:
    - C(clean), C(findings), C(incomplete) when not every section could say something and the others found
      nothing, C(unable) when none could, C(missing) when the tool is not on the host.
  type: str
  returned: success
problem: {description: Why the host is C(unable) or C(missing)., type: str, returned: success}
document: {description: C(facts) and C(findings) of the tool; empty without., type: dict, returned: success}
text: {description: The same for people; empty without RV(document)., type: str, returned: success}
findings: {description: Those of RV(document) in the language of RV(text)., type: list, returned: success}
bundles:
  description: C(name) and C(content) of the newest; the action plugin returns what they are about instead.
  type: list
  elements: dict
  returned: success
bundles_left: {description: How many were not fetched., type: int, returned: success}
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.diagnosis_bundles import newest

TOOL = "debug_cpu_spike.sh"
# By status of the tool, when it printed a document without findings.
STATES = {0: "clean", 2: "incomplete"}
PYTHON = ("python3", "-I", "-B", "-X", "utf8", "-c")
# To run the tool a second time for its text would be to look at another moment.
TELL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from soundcheck_diagnosis import text, words
locale, document = sys.argv[2], json.load(sys.stdin)

def told(packed, english):
    return words.fill(*packed, locale) if packed else english

def localized(finding):
    phrases, remedy = finding.get("phrases") or {}, dict(finding["remedy"])
    for key in ("say", "app"):
        if key in remedy:
            remedy[key] = told(phrases.get(key), remedy[key])
    packed = phrases.get("evidence") or [None] * len(finding["evidence"])
    evidence = [told(*pair) for pair in zip(packed, finding["evidence"])]
    title = told(phrases.get("title"), finding["title"])
    return {**finding, "title": title, "evidence": evidence, "remedy": remedy}

print(json.dumps({
    "text": text.render(document["facts"], document["findings"], locale),
    "findings": [localized(finding) for finding in document["findings"]],
}))
"""


def arguments(given: dict[str, Any]) -> list[str]:
    """The tool's command line."""
    symptom = ["--symptom", given["symptom"]] if given["symptom"] else []
    limited = ["timeout", "--kill-after=5", str(given["timeout"])]
    return [*limited, f"{given['directory']}/{TOOL}", "--json", "--since", given["since"], *symptom]


def judged(status: int, out: str, err: str, timeout: int) -> dict[str, Any]:
    """`state`, `problem` and `document` of a run of the tool."""
    try:
        document = json.loads(out)
        usable = isinstance(document["facts"], dict) and isinstance(document["findings"], list)
    except (KeyError, TypeError, ValueError):
        usable = False
    if usable and (document["findings"] or status in STATES):
        state = "findings" if document["findings"] else STATES[status]
        return {"state": state, "problem": "", "document": document}
    if status in (124, 137):
        problem = f"{TOOL} did not end within {timeout} s"
    else:
        said = (err.strip() or out.strip() or "nothing").splitlines()[-1][:500]
        problem = f"{TOOL} ended with status {status} and said: {said}"
    return {"state": "unable", "problem": problem, "document": {}}


def in_words(status: int, out: str, err: str, english: list[dict[str, Any]]) -> dict[str, Any]:
    """`text` and `findings` in the language that was asked for; an older tool may not know it."""
    if status == 0:
        told: dict[str, Any] = json.loads(out)
        return told
    return {"text": f"The report cannot be shown: {err.strip()[-500:]}\n", "findings": english}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "bundles": {"type": "path", "required": True},
            "symptom": {"type": "str", "choices": ["", "cpu", "memory", "connections"], "default": ""},
            "since": {"type": "str", "default": "15m"},
            "locale": {"type": "str", "choices": ["en", "ko"], "default": "en"},
            "most_bundles": {"type": "int", "default": 20},
            "most_bytes": {"type": "int", "default": 5_000_000},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    tool = Path(given["directory"], TOOL)
    found: dict[str, Any] = {"state": "missing", "problem": f"{tool} is not on this host", "document": {}}
    told: dict[str, Any] = {"text": "", "findings": []}
    if tool.exists():
        status, out, err = module.run_command(arguments(given))
        found = judged(status, out, err, given["timeout"])
    if found["document"]:
        command = [*PYTHON, TELL, given["directory"], given["locale"]]
        status, out, err = module.run_command(command, data=json.dumps(found["document"]))
        told = in_words(status, out, err, found["document"]["findings"])
    try:
        bundles, left = newest(Path(given["bundles"]), given["most_bundles"], given["most_bytes"])
    except OSError as error:
        module.fail_json(msg=f"{given['bundles']}: {error.strerror}")
    module.exit_json(changed=False, bundles=bundles, bundles_left=left, **told, **found)


if __name__ == "__main__":
    main()
