"""A server that is well has no finding; of one in trouble, the first finding is the trouble's cause."""

from __future__ import annotations

import time

import pytest
from causes import CAUSES
from confusion import HEALTHY
from inside import quiet, recovered
from results import Table
from server import Server
from tool import Tool, since

# s; also on a server whose CPU is used up.
QUICK = 5.0


def test_a_healthy_server_has_no_finding(server: Server, tool: Tool, table: Table) -> None:
    """Under the demo's traffic; the second look compares with the first."""
    quiet(server)
    looks = [tool.look() for _ in range(2)]

    table.add(HEALTHY, looks[-1])
    for look in looks:
        assert (look.status, look.ids) == (0, []), look.said
        assert look.seconds <= QUICK


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_found_first(server: Server, tool: Tool, table: Table, name: str) -> None:
    cause = CAUSES[name]
    before = tool.look(cause.config)
    began = time.monotonic()
    with cause.provoke(server):
        found = tool.look(cause.config, since=since(began))
    row = table.add(name, found)
    recovered(server)

    assert name not in before.ids, before.said
    assert row.right, found.said
    assert found.status == 1
    [first, *_] = found.findings
    assert any(cause.named in said for said in first["evidence"]), first
    assert first["remedy"], first
    assert found.seconds <= QUICK
