"""Whether a container still has requests: the open connections to its port, as the kernel lists them.

A connection that waits to be accepted is one of them. It would be reset if its server ended now.
"""

from __future__ import annotations

from collections.abc import Iterable

ESTABLISHED = "01"


def open_connections(tables: Iterable[str], port: int) -> int:
    """Connections to a local port in the text of /proc/<pid>/net/tcp and tcp6."""
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(
        1
        for row in rows
        if len(row) > 3 and row[3] == ESTABLISHED and int(row[1].rpartition(":")[2], 16) == port
    )


def connections_of(pid: int, port: int) -> int:
    """Those of the network that a process lives in; none when it is gone."""
    tables = []
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as stream:
                tables.append(stream.read())
        except OSError:
            continue
    return open_connections(tables, port)
