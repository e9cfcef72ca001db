#!/usr/bin/env python3
"""Add up the JUnit files of a `make test` and end as pytest would have ended one run of all of them.

tools/test_summary.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(files: list[Path]) -> dict[str, float]:
    """Tests by outcome, and the seconds they took."""
    total = {"tests": 0.0, "failures": 0.0, "errors": 0.0, "skipped": 0.0, "time": 0.0}
    for path in files:
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            for key in total:
                total[key] += float(suite.get(key, 0))
    return total


def line(total: dict[str, float]) -> str:
    """Pytest's own wording, which those who count tests in a log look for."""
    failed = int(total["failures"])
    outcomes = {
        "failed": failed,
        "passed": int(total["tests"] - failed - total["errors"] - total["skipped"]),
        "skipped": int(total["skipped"]),
        "error": int(total["errors"]),
    }
    words = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items() if number)
    return f" {words or 'no tests ran'} in {total['time']:.2f}s ".center(100, "=")


def main() -> int:
    folder = Path(sys.argv[1])
    files = sorted(folder.glob("*.xml"))
    total = count(files)
    for path in files:
        print(f"{path.stem:20}{line(count([path])).strip('= ')}")
    print(line(total))
    return 1 if total["failures"] or total["errors"] or not total["tests"] else 0


if __name__ == "__main__":
    sys.exit(main())
