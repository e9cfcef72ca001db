#!/usr/bin/env python3
"""Write docs/metrics.md from the catalogue, with its default thresholds.

tools/metric_docs.py           write it
tools/metric_docs.py --check   write nothing; exit 1 when it is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# A tool's own folder is on the path, the project's is not.
sys.path.insert(0, str(ROOT))

from tests.render import Rendering  # noqa: E402

DOCUMENT = Path("docs/metrics.md")
MARK = "<!-- Written by tools/metric_docs.py from roles/metric_catalogue. -->"
INTRODUCTION = """\
What the dashboards show and what the alerts ask, with the default thresholds. Each is written once, in
[roles/metric_catalogue](../roles/metric_catalogue), and becomes a Grafana dashboard, a Prometheus rule of the
embedded backend, a Grafana-managed rule, and a question of the verification.

- **Hosts**: the collector adds `environment` and `host` to every series. The expressions below are written
  without them; each selector gets both: in a dashboard what its reader chooses, one host at a time, in alerts
  and in the verification the host itself. Each host has rules of its own, and no sum is of two hosts.
- **Conditions** stand apart from the expressions. In Grafana, query A is the expression, B its last value, C
  the comparison: a healthy service is a number and not No Data. A query that cannot be asked is the state
  Error.
- **No recording rules**: Grafana Cloud evaluates none but its own. Where one would be needed, to count the
  first failure of a class whose series is born at 1, the expression takes the increase of a sum over a
  subquery.
- **Thresholds**, windows and `for` are variables: `metric_catalogue_*` in
  [the role's README](../roles/metric_catalogue/README.md).
- Certificates have no alert: no exporter of this stack looks at one."""

Entry = Mapping[str, Any]


def document(entries: Entry) -> str:
    blocks = ["# Panels and alerts", MARK, INTRODUCTION, "## Panels"]
    for board in entries["dashboards"]:
        rows = [row for panel in board["panels"] for row in _panel_rows(panel)]
        blocks += [f"### {board['title']}", board["description"]]
        blocks.append(_table(["panel", "guide", "expression", "unit", "notes"], rows))
    blocks += ["## Alerts", _table(["alert", "guide", "condition", "for", "severity"], _alert_rows(entries))]
    blocks += ["## Runbook", *(_runbook(alert) for alert in entries["alerts"])]
    return "\n\n".join(blocks) + "\n"


def _panel_rows(panel: Entry) -> Iterator[list[str]]:
    notes = [panel["deviation"] and f"differs from the guide: {panel['deviation']}"]
    notes.append(panel["empty_reason"] and f"may be empty: {panel['empty_reason']}")
    for number, query in enumerate(panel["queries"]):
        first = number == 0
        yield [
            f"{panel['title']} (`{panel['id']}`)" if first else "",
            panel["guide"] if first else "",
            f"`{query['written']}`",
            panel["unit"] if first else "",
            "; ".join(filter(None, notes)) if first else "",
        ]


def _alert_rows(entries: Entry) -> Iterator[list[str]]:
    for alert in entries["alerts"]:
        condition = f"`{alert['written']}` {alert['comparison']} {alert['threshold']:g}"
        name = f"[{alert['title']}](#{alert['id']})"
        yield [name, alert["guide"], condition, alert["for"], alert["severity"]]


def _runbook(alert: Entry) -> str:
    lines = [
        f"### {alert['id']}\n",
        f"**{alert['title']}**. {alert['runbook']['meaning']}\n",
        f"- Look at: {alert['runbook']['look_at']}",
        f"- Remedy: {alert['runbook']['remedy']}",
        f"- Without data: {alert['no_data']['state']}, {alert['no_data']['reason']}.",
    ]
    if alert["empty_reason"]:
        lines.append(f"- May have no data: {alert['empty_reason']}.")
    lines.append(f"- Guide: {alert['deviation']}.")
    return "\n".join(lines)


def _table(head: list[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Write docs/metrics.md from the catalogue.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when it is out of date")
    check = parser.parse_args(arguments).check

    wanted = document(Rendering().value("metric_catalogue_entries"))
    path = root / DOCUMENT
    if path.exists() and path.read_text(encoding="utf-8") == wanted:
        return 0
    if check:
        print(f"{DOCUMENT}: out of date; run tools/metric_docs.py", file=sys.stderr)
        return 1
    path.write_text(wanted, encoding="utf-8")
    print(f"{DOCUMENT}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
