"""The table of results: a row for each fault, kept in `artifacts/tests/faults.md` and printed at the end."""

from __future__ import annotations

from server import ROOT
from steady import Seen

PATH = ROOT / "artifacts" / "tests" / "faults.md"
LOAD = ("requests", "failed", "longest gap, s", "p95, s", "tasks", "lost", "doubled", "beats at most")
HEADS = ("fault", *LOAD, "seen")


class Table:
    """Grows by one row at a time; what a test wrote stays when a later one fails."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def add(self, fault: str, seen: str, load: Seen | None = None) -> None:
        self.rows.append({"fault": fault, "seen": seen, **(load.row() if load else {})})
        PATH.parent.mkdir(parents=True, exist_ok=True)
        PATH.write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        lines = [HEADS, ["---", *("---:" for _ in LOAD), "---"]]
        lines += [[row.get(head, "") for head in HEADS] for row in self.rows]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
