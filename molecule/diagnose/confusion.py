"""The table of results: what was provoked against what was found first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from looks import Look

HEALTHY = "nothing"
HEADS = ("provoked", "top finding", "right", "confidence", "also found", "took, s", "CPU, s")
TIMES = ("chart task", "runs", "median, s", "slowest, s")


@dataclass(frozen=True)
class Row:
    """One look at one provoked cause."""

    provoked: str
    look: Look

    @property
    def found(self) -> str:
        return self.look.top or HEALTHY

    @property
    def right(self) -> bool:
        return self.found == self.provoked

    def cells(self) -> list[str]:
        findings = self.look.findings
        return [
            self.provoked,
            self.found,
            "yes" if self.right else "**no**",
            findings[0]["confidence"] if findings else "",
            ", ".join(self.look.ids[1:]),
            f"{self.look.seconds:.1f}",
            f"{self.look.cpu_seconds:.2f}",
        ]


def lines(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table in Markdown whose first columns hold words and whose others hold numbers."""
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, rule, *rows])


def markdown(rows: Sequence[Row], times: Sequence[Sequence[str]] = ()) -> str:
    """The confusion table with its sum, and the chart task's times before and after the index."""
    right = sum(row.right for row in rows)
    text = lines(HEADS, [row.cells() for row in rows], left=5)
    text += f"\n{right} of {len(rows)} causes came first.\n"
    if times:
        text += "\n" + lines(TIMES, times, left=1)
    return text
