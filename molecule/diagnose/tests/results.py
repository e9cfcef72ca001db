"""What the tests found, kept in `artifacts/tests/diagnosis.md` and printed at the end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from confusion import Row, markdown
from looks import Look
from server import ROOT

PATH = ROOT / "artifacts" / "tests" / "diagnosis.md"


class Table:
    """Grows by one row at a time; what a test wrote stays when a later one fails."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.times: list[Sequence[str]] = []

    def add(self, provoked: str, look: Look) -> Row:
        row = Row(provoked, look)
        self.rows.append(row)
        self.write()
        return row

    def add_times(self, name: str, runs: Sequence[float]) -> None:
        """How long the runs of a task took."""
        self.times.append([name, str(len(runs)), f"{statistics.median(runs):.3f}", f"{max(runs):.3f}"])
        self.write()

    def write(self) -> None:
        PATH.parent.mkdir(parents=True, exist_ok=True)
        PATH.write_text(markdown(self.rows, self.times), encoding="utf-8")
