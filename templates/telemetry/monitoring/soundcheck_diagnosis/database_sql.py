"""What PostgreSQL (13 to 18) is asked. What it does not have, or what the login may not see, is null.

Each text goes whole to `psql -XqAt -c` or to one `execute`, in a session with `options`: read-only, of two
seconds at most, and hardly waiting for a lock. Its last result is one row with the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from soundcheck_diagnosis.sql_text import Token, mentions, one_query

SLOW_SECONDS = 0.5
SLOW_SECONDS_ON_AVERAGE = 0.01
"""What reading a hundred thousand rows takes."""

_WHERE = Token("word", "where")
_PART = r'(?:"(?P<{0}_quoted>(?:[^"]|"")+)"|(?P<{0}_plain>[^".\s]+))'
_TABLE = re.compile(rf"(?:{_PART.format('schema')}\.)?{_PART.format('name')}")

_LIMITS = {"default_transaction_read_only": "on", "statement_timeout": "2000", "lock_timeout": "300"}
# Of the 10000 bytes in which PostgreSQL takes a session's options, names and all.
_OPTION_BYTES = 8000

# Where pg_stat_statements is not there, not loaded or not to be seen, its part is null: only a text may name
# what may not exist.
_QUESTION = """DO $$ /* soundcheck diagnosis */
DECLARE
  found text;
BEGIN
  EXECUTE (SELECT format(%(statements)s, %(bare_name)s, n.nspname, e.extname)
           FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
           WHERE e.extname = 'pg_stat_statements') INTO found;
  PERFORM set_config('soundcheck.statements', found, true);
EXCEPTION WHEN OTHERS THEN
  NULL;
END $$;
/* soundcheck diagnosis */
WITH client AS (
  -- Of others' connections a login without pg_read_all_stats sees the user and the database, not the kind.
  SELECT *, extract(epoch FROM clock_timestamp() - state_change)::numeric AS state_seconds
  FROM pg_stat_activity
  WHERE pid <> pg_backend_pid() AND datid IS NOT NULL
    AND coalesce(backend_type, 'client backend') = 'client backend'
), connection AS (
  SELECT state, application_name, usename, count(*) AS number, max(state_seconds) AS oldest
  FROM client GROUP BY state, application_name, usename ORDER BY number DESC LIMIT 50
), query AS (
  SELECT pid, state, application_name, nullif(query, '<insufficient privilege>') AS statement,
    CASE WHEN state = 'active' THEN extract(epoch FROM clock_timestamp() - query_start)::numeric
      ELSE state_seconds END AS seconds,
    wait_event_type || ':' || wait_event AS wait,
    -- Asking who blocks stops the lock manager for a moment: only for those who wait.
    CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END AS blocked_by
  FROM client
  WHERE datname = current_database() AND state <> 'idle' ORDER BY seconds DESC NULLS LAST LIMIT 20
), target AS (
  SELECT c.oid, c.relname, n.nspname, c.relkind = 'p' AS partitioned, c.reltuples,
    s.n_live_tup, s.seq_scan, s.seq_tup_read, s.idx_scan,
    -- Sizes and definitions would wait for whoever rebuilds the table.
    EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.database = d.oid
            AND l.mode = 'AccessExclusiveLock') AS locked
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_database d ON d.datname = current_database()
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
  WHERE c.oid = to_regclass(%(table)s) AND c.relkind IN ('r', 'p', 'm')
), columns AS (
  SELECT a.attnum, json_build_object(
    'name', a.attname, 'sql', quote_ident(a.attname), 'type', format_type(a.atttypid, NULL),
    'length', nullif(a.attlen, -1), 'align', a.attalign, 'width', s.avg_width,
    'distinct', CASE WHEN s.n_distinct >= 0 THEN s.n_distinct
                     WHEN t.reltuples > 0 THEN -s.n_distinct * t.reltuples END,
    -- Of other types the common values are not asked for: they may be people's.
    'true_fraction', CASE WHEN a.atttypid = 'boolean'::regtype AND s.most_common_freqs IS NOT NULL
      THEN coalesce((s.most_common_freqs)[array_position(s.most_common_vals::text::text[], 't')], 0) END,
    'null_fraction', s.null_frac) AS described
  FROM target t
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_stats s ON (s.schemaname, s.tablename, s.attname) = (t.nspname, t.relname, a.attname)
    AND NOT s.inherited
), indexes AS (
  SELECT i.indexrelid, json_build_object(
    'name', x.relname, 'definition', definition, 'valid', i.indisvalid AND i.indisready, 'method', m.amname,
    -- null stands for an expression.
    'keys', (SELECT json_agg(a.attname ORDER BY k.place)
             FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
             LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
             WHERE k.place <= i.indnkeyatts),
    'predicate', CASE WHEN i.indpred IS NULL THEN ''
                 ELSE substring(definition FROM ' WHERE (.*)$') END) AS described
  FROM target t
  JOIN pg_index i ON i.indrelid = t.oid AND NOT t.locked
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_am m ON m.oid = x.relam
  CROSS JOIN LATERAL pg_get_indexdef(i.indexrelid) AS definition
)
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'max_connections', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true)::int, 0),
  'connections', (SELECT coalesce(json_agg(json_build_object(
      'state', state, 'application', application_name, 'user', usename, 'count', number,
      'oldest_seconds', round(oldest, 1))), '[]') FROM connection),
  -- Counted from version 14 on.
  'opened_total', (SELECT (to_json(d) ->> 'sessions')::bigint
                   FROM pg_stat_database d WHERE d.datname = current_database()),
  'queries', (SELECT coalesce(json_agg(json_build_object(
      'pid', pid, 'seconds', round(seconds, 1), 'state', state, 'wait', wait, 'application', application_name,
      'statement', left(statement, 4000), 'blocked_by', blocked_by)), '[]') FROM query),
  'statements', nullif(current_setting('soundcheck.statements', true), '')::json,
  'table_problem', (SELECT CASE WHEN count(*) = 0 THEN 'absent' WHEN bool_or(locked) THEN 'locked' END
                    FROM target),
  'table', (SELECT CASE WHEN NOT locked THEN json_build_object(
      'name', %(table_name)s, 'schema', nspname, 'relation', relname,
      'sql', quote_ident(nspname) || '.' || quote_ident(relname),
      'partitioned', partitioned,
      -- 0 (up to version 13) and -1 stand for a table that was never counted.
      'rows', CASE WHEN reltuples > 0 THEN reltuples::bigint
              WHEN NOT partitioned AND pg_relation_size(oid) = 0 THEN 0 ELSE nullif(n_live_tup, 0) END,
      'bytes', pg_total_relation_size(oid),
      'seq_scans', seq_scan, 'seq_rows', seq_tup_read, 'index_scans', idx_scan,
      'columns', (SELECT json_agg(described ORDER BY attnum) FROM columns),
      'indexes', (SELECT coalesce(json_agg(described ORDER BY indexrelid), '[]') FROM indexes)) END
    FROM target))"""

# The names of the columns changed with the extension's version, so they are taken from the row as JSON.
# Besides the most expensive statements those that name the table: elsewhere more may be going on.
_STATEMENTS = """
SELECT coalesce(json_agg(json_build_object(
  'statement', left(query, 4000), 'calls', (r ->> 'calls')::bigint, 'mean_ms', mean, 'total_ms', total,
  'rows', (r ->> 'rows')::bigint) ORDER BY total DESC), '[]')
FROM (
  SELECT *, row_number() OVER (ORDER BY total DESC) AS place,
    row_number() OVER (PARTITION BY named ORDER BY total DESC) AS place_of_named
  FROM (
    SELECT r, r ->> 'query' AS query, position(%L IN r ->> 'query') > 0 AS named,
      coalesce(r ->> 'mean_exec_time', r ->> 'mean_time')::float8 AS mean,
      coalesce(r ->> 'total_exec_time', r ->> 'total_time')::float8 AS total
    FROM (SELECT to_jsonb(s) AS r FROM %I.%I s
          WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND s.query <> '<insufficient privilege>'
            AND s.query NOT LIKE '%%soundcheck diagnosis%%') own
  ) timed
) ranked
WHERE place <= 10 OR named AND place_of_named <= 5"""

# The statement comes as a setting and is never part of this text: pg_stat_statements would otherwise keep it
# with all that it looks for, and so would whoever lists processes. plpgsql opens a cursor, which the server
# refuses for more than one statement; an error leaves the plan null.
EXPLAIN = """DO $$ /* soundcheck diagnosis */
DECLARE
  line text;
  plan text := '';
BEGIN
  FOR line IN EXECUTE current_setting('soundcheck.explain') LOOP
    plan := plan || line;
  END LOOP;
  PERFORM set_config('soundcheck.plan', plan, true);
EXCEPTION WHEN OTHERS THEN
  NULL;
END $$;
SELECT nullif(current_setting('soundcheck.plan', true), '')"""


def literal(text: str) -> str:
    """A string of SQL, whatever standard_conforming_strings says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _parts(table: str) -> list[str]:
    """Schema, if it is given, and name, each as it is written, quoted or not. Raises ValueError."""
    match = _TABLE.fullmatch(table)
    if match is None:
        raise ValueError(f"table: expected [schema.]name, got {table!r}")
    quoted = [(match[f"{part}_quoted"] or "").replace('""', '"') for part in ("schema", "name")]
    plain = [match[f"{part}_plain"] or "" for part in ("schema", "name")]
    return [one or other for one, other in zip(quoted, plain, strict=True) if one or other]


def regclass(table: str) -> str:
    """The table's name with every part quoted, so that capitals stay. Raises ValueError."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in _parts(table))


def question(table: str) -> str:
    """Everything about the database but the plan and the advice, as one JSON object."""
    parts = {
        "table": literal(regclass(table)),
        "table_name": literal(table),
        "bare_name": literal(_parts(table)[-1]),
        "statements": literal(_STATEMENTS),
    }
    return re.sub(r"%\((\w+)\)s", lambda match: parts[match[1]], _QUESTION)


def options(explained: str = "") -> str:
    """The session's settings, as PGOPTIONS or libpq's `options` takes them; `explained` is for EXPLAIN."""
    settings = {**_LIMITS, "soundcheck.explain": explained} if explained else _LIMITS
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return re.sub(r"[\s\\]", lambda match: "\\" + match[0], value)


def explained(facts: Mapping[str, Any], table: str, configured: str = "") -> str:
    """What EXPLAIN asks the plan of, for `options`: the slow query of the table, which is not run.

    `facts` are those of `question`, before anything in them was redacted. Empty when there is no query that
    can be explained: one with parameters needs PostgreSQL 16.
    """
    for statement in candidates(facts, table, configured):
        parameters = any(token.kind == "parameter" for token in one_query(statement) or [])
        command = f"EXPLAIN (VERBOSE, FORMAT JSON{', GENERIC_PLAN' if parameters else ''}) {statement}"
        fits = len(_escaped(command).encode()) <= _OPTION_BYTES
        if fits and not (parameters and (facts.get("version") or 0) < 160000):
            return command
    return ""


def candidates(facts: Mapping[str, Any], table: str, configured: str = "") -> Iterator[str]:
    """Slow queries of some rows of the table: the configured one, those that run, the most expensive ones.

    Quick ones find their rows already, and one of all rows has none to find: they would hide the one to mend.
    """
    running = [entry for entry in facts.get("queries") or [] if (entry.get("seconds") or 0) >= SLOW_SECONDS]
    counted = [
        entry
        for entry in facts.get("statements") or []
        if (entry.get("mean_ms") or 0) >= SLOW_SECONDS_ON_AVERAGE * 1000
    ]
    for statement in [configured, *(entry.get("statement") or "" for entry in [*running, *counted])]:
        found = one_query(statement)
        if found and _WHERE in found and mentions(found, _parts(table)[-1]):
            yield statement.strip().rstrip(";")


def redacted(plan: Any, redact: Callable[[str], str]) -> Any:
    """The plan without the values that its conditions compare with; whatever else it says stays."""
    if isinstance(plan, Mapping):
        return {key: redacted(value, redact) for key, value in plan.items()}
    if isinstance(plan, list):
        return [redacted(value, redact) for value in plan]
    return redact(plan) if isinstance(plan, str) else plan
