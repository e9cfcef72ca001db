"""What making an index takes: the SQL, in which order, and what is refused. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The index, and while it is built the sorted rows once more.
TIMES_ITS_SIZE = 2
RESERVE_BYTES = 256 * 1024 * 1024
# The embedded database lives within a limit that its buffers half fill. A sort of the default size beside the
# statements that want the index breaks it, and the kernel then ends the database. On disk it takes longer.
SMALL_SORT = ("SET maintenance_work_mem = '16MB'", "SET max_parallel_maintenance_workers = 0")
LOCK_NOT_AVAILABLE = "55P03"
CREATE = re.compile(
    r"CREATE INDEX CONCURRENTLY IF NOT EXISTS (?P<name>[a-z_][a-z0-9_]*|\"(?:[^\"]|\"\")+\") ON [^;]+"
)

# Runs in the app's container, where its driver and, in the environment, its credentials are.
DRIVER = """
import json, os, sys
try:
    import psycopg as driver
except ImportError:
    import psycopg2 as driver
try:
    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    connection = driver.connect(**{key: os.environ["DATABASE_" + name] for key, name in names.items()})
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in json.load(sys.stdin):
        cursor.execute(statement)
    if cursor.description:
        print(cursor.fetchone()[0])
except driver.Error as error:
    sys.exit(f"ERROR: {getattr(error, 'sqlstate', None) or getattr(error, 'pgcode', None)}: {error}")
"""


class Refused(Exception):
    """Why the index is not made, as the operator reads it."""


@dataclass(frozen=True)
class Found:
    """What the database says of the index."""

    exists: bool
    of_table: bool
    valid: bool
    building: bool
    sql: str
    """Its name with the schema, as SQL writes it."""
    bytes: int

    @classmethod
    def of(cls, answer: Mapping[str, Any] | None) -> Found:
        return cls(True, **answer) if answer else cls(False, False, False, False, "", 0)


def literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def index_name(sql: str) -> str:
    """The name in the statement that makes an index. Raises Refused for any other statement."""
    match = CREATE.fullmatch(sql)
    if match is None:
        raise Refused(f"sql: expected one CREATE INDEX CONCURRENTLY IF NOT EXISTS <name> ON ..., got {sql!r}")
    name = match["name"]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def look(table: str, name: str) -> str:
    """Asks whether there is the table, and what the index of this name in its schema is like."""
    return f"""
SELECT json_build_object('table', to_regclass({literal(table)}) IS NOT NULL, 'index', (
  SELECT json_build_object(
    'of_table', i.indrelid = t.oid,
    'valid', i.indisvalid AND i.indisready,
    'building', EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.oid),
    'sql', format('%I.%I', n.nspname, x.relname),
    'bytes', pg_relation_size(x.oid))
  FROM pg_class t
  JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class x ON x.relnamespace = n.oid AND x.relname = {literal(name)}
  JOIN pg_index i ON i.indexrelid = x.oid
  WHERE t.oid = to_regclass({literal(table)})))::text"""


def build(sql: str, table: str, found: Found, lock_seconds: int, *, embedded: bool) -> list[str]:
    """The statements that make the index, each on its own: none of them may stand in a transaction."""
    leftover = [f"DROP INDEX CONCURRENTLY IF EXISTS {found.sql}"] if found.exists else []
    settings = ["SET statement_timeout = 0", f"SET lock_timeout = '{lock_seconds}s'"]
    return [*settings, *(SMALL_SORT if embedded else ()), *leftover, sql, f"ANALYZE {table}"]


def drop(found: Found, lock_seconds: int) -> list[str]:
    """The statements that remove what an interrupted attempt left."""
    return [f"SET lock_timeout = '{lock_seconds}s'", f"DROP INDEX CONCURRENTLY IF EXISTS {found.sql}"]


def oldest_transactions(seconds: int) -> str:
    """Asks for the transactions that were open while the index waited, the oldest first."""
    return f"""
SELECT coalesce(json_agg(json_build_object('pid', pid, 'application', application_name, 'state', state,
  'seconds', extract(epoch FROM clock_timestamp() - xact_start)::int) ORDER BY xact_start), '[]')::text
FROM (SELECT * FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND xact_start < clock_timestamp() - interval '{seconds} seconds'
      ORDER BY xact_start LIMIT 3) open"""


def lock_message(name: str, lock_seconds: int, transactions: Sequence[Mapping[str, Any]], left: bool) -> str:
    """Why an attempt ended at lock_timeout, and what is to be done."""
    who = "; ".join(
        f"process {entry['pid']} of {entry['application'] or 'an unnamed application'}, {entry['state']},"
        f" in a transaction for {entry['seconds']} s"
        for entry in transactions
    )
    leftover = "; what it left, an invalid index, is mended by the next attempt" if left else ""
    return (
        f"{name}: a transaction held the table, or was older than the index, for more than {lock_seconds} s"
        f" (lock_timeout): {who or 'it has ended since'}. Nothing is changed{leftover}."
        " Try again when it has ended, or set lock_timeout higher"
    )


def too_large(size: int | None, free: int | None) -> str:
    """Why the disk does not hold the index; empty when it does, or when one of the two is unknown."""
    if size is None or free is None:
        return ""
    needed = TIMES_ITS_SIZE * size + RESERVE_BYTES
    if free >= needed:
        return ""
    return (
        f"the index takes about {size / 1e6:.0f} MB, and as much again while it is built: expected"
        f" {needed / 1e6:.0f} MB free beside the database (256 MiB of them stay), got {free / 1e6:.0f} MB"
    )


def free_bytes(df: str) -> int | None:
    """What `df -Pk` says is available; None when it says something else."""
    fields = df.strip().splitlines()[-1].split() if df.strip() else []
    return int(fields[3]) * 1024 if len(fields) >= 6 and fields[3].isdigit() else None
