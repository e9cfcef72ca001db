"""One promtool for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.promtool import Promtool, running


@pytest.fixture(scope="session")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promtool]:
    with running(tmp_path_factory.mktemp("promtool")) as program:
        yield program
