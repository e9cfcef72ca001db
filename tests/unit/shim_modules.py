"""Loads the modules that the app's containers mount; they live among the templates, not in a package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SHIMS = Path(__file__).resolve().parents[2] / "templates" / "app" / "soundcheck"


def load_shim(name: str, file: str | None = None) -> ModuleType:
    """A fresh copy of a shim, which finds its sibling modules as it does in the container."""
    if str(SHIMS) not in sys.path:
        sys.path.insert(0, str(SHIMS))
    specification = importlib.util.spec_from_file_location(name, SHIMS / (file or f"{name}.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
