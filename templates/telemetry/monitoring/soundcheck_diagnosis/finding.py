"""What a rule found, before it is ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from soundcheck_diagnosis.words import Phrase

HIGH, MEDIUM, LOW = "high", "medium", "low"


@dataclass(frozen=True)
class Remedy:
    """What to change: a variable of this project, a statement, or the app."""

    say: Phrase
    variable: str = ""
    current: Any = None
    proposed: Any = None
    sql: str = ""
    app: Phrase | None = None


@dataclass(frozen=True)
class Found:
    """`weight`: how much of the trouble this is, 0..1, within its confidence."""

    about: str
    title: Phrase
    evidence: Sequence[Phrase]
    confidence: str
    weight: float
    remedy: Remedy
