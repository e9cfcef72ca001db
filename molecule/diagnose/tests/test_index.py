"""G6.1 from symptom to remedy: the index that the diagnosis proposes is made, and the chart is quick."""

from __future__ import annotations

import statistics
import time

from causes import CHART, missing_index
from inside import container, recovered, sql
from readings import runs
from results import Table
from server import Server, playbook
from tool import Tool, since

# s of the chart task's runs that are compared.
WINDOW = 5
# At least so many times quicker; the rest of a task, which no index helps, counts in both.
GAIN = 2


def chart_times(server: Server) -> list[float]:
    time.sleep(WINDOW)
    return runs(server.run(f"docker logs --since {WINDOW}s {container(server, 'celery')} 2>&1"), CHART)


def test_a_chart_once_a_minute_is_enough(server: Server, tool: Tool, table: Table) -> None:
    """As the guide has it: between two runs nothing is slow, and what the database counted says it."""
    began = time.monotonic()
    with missing_index(server, rate=1 / 60, runs=2):
        found = tool.look(since=since(began))
    row = table.add("missing-index", found)
    recovered(server)

    assert row.right, found.said


def test_the_index_makes_the_chart_quick_again(server: Server, tool: Tool, table: Table) -> None:
    before = tool.look()
    began = time.monotonic()
    with missing_index(server):
        found = tool.look(since=since(began))
        row = table.add("missing-index", found)
        slow = chart_times(server)
        table.add_times("without the index", slow)
        applied = playbook("playbooks/diagnose.yml", "-e", "apply=index")
        tool.told["playbooks/diagnose.yml -e apply=index"] = applied.output
        definitions = sql(server, "SELECT indexdef FROM pg_indexes WHERE tablename = 'music_playlogs'")
        quick = chart_times(server)
        table.add_times("with the index", quick)
        after = tool.look()
    recovered(server)

    assert "missing-index" not in before.ids, before.said
    assert row.right, found.said
    assert "CREATE INDEX CONCURRENTLY" in found.findings[0]["remedy"]["sql"]
    assert applied.status == 0, applied.output
    assert "played_at" in definitions
    assert statistics.median(quick) * GAIN < statistics.median(slow)
    assert "missing-index" not in after.ids, after.said
