"""Which tests of a scenario `make test` has the time for."""

from __future__ import annotations

import os

import pytest


def choose(config: pytest.Config, items: list[pytest.Item], always: tuple[str, ...], variable: str) -> None:
    """Leave out what `make test` has no time for: tests whose name holds none of `always`.

    The environment variable set to `all` keeps everything.
    """
    if os.environ.get(variable) == "all":
        return
    later = [item for item in items if not any(words in item.name for words in always)]
    config.hook.pytest_deselected(items=later)
    items[:] = [item for item in items if item not in later]
