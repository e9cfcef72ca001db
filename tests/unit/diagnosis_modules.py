"""Loads the diagnosis tool's package, which lives among the templates because a server runs it as it is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

MONITORING = Path(__file__).resolve().parents[2] / "templates" / "telemetry" / "monitoring"
PACKAGE = MONITORING / "soundcheck_diagnosis"


def load_diagnosis(name: str) -> ModuleType:
    """A module of the package, which finds its siblings as it does on the server."""
    if str(MONITORING) not in sys.path:
        sys.path.insert(0, str(MONITORING))
    return importlib.import_module(f"soundcheck_diagnosis.{name}")
