"""Which index would help the query that reads the table, how large it would be, and what it saves.

Pure: reads the facts of the database, decides, and changes nothing. An index costs every write to the table,
so none is proposed where it is in doubt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from soundcheck_diagnosis.database_sql import candidates
from soundcheck_diagnosis.query_reading import Reading, from_plan, from_statement

MIN_ROWS = 10_000
"""Below, PostgreSQL reads the whole table in about a millisecond."""
HELPS_BELOW = 0.2
"""Part of the rows above which visiting the table for each match costs as much as reading it whole."""
HELPS_ALONE_BELOW = 0.5
"""The same for an index that holds every column the query reads."""
MAX_INCLUDED = 3
MAX_INCLUDED_BYTES = 64

# storage/bufpage.h, access/nbtree.h: a page less its header and the tree's part, as full as it is built.
PAGE_BYTES = 8192
USABLE_BYTES = (PAGE_BYTES - 24 - 16) * 0.9
TUPLE_HEADER_BYTES, LINE_POINTER_BYTES = 8, 4
# Entries with the same key share a tuple of up to a tenth of a page, with six bytes for each row.
POSTING_BYTES, POSTING_ROWS = 6, 130
ALIGNMENT = {"c": 1, "s": 2, "i": 4, "d": 8}


def advise(database: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index to make, or None; `consider` says why there is none."""
    return consider(database, config)[0]


def consider(database: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The index to make and an empty reason, or None and the reason."""
    table = database.get("table")
    if not table or not table.get("columns"):
        return None, f"the table is {database.get('table_problem') or 'unknown'}"
    if table.get("partitioned"):
        return None, "the table is partitioned: PostgreSQL builds no index on it CONCURRENTLY"
    rows = table.get("rows")
    if rows is None or rows < MIN_ROWS:
        return (
            None,
            f"the table has {'unknown' if rows is None else rows} rows; from {MIN_ROWS} on an index helps",
        )
    reading = _reading(database, config["index"], table)
    if reading is None:
        return None, "no slow query of some of the table's rows is known"
    if reading.index:
        return None, f"the query reads the table through {reading.index}"
    return _index(reading, table, float(rows))


def _reading(
    database: Mapping[str, Any], wanted: Mapping[str, Any], table: Mapping[str, Any]
) -> Reading | None:
    """The plan's, else that of the first statement that can be read, else the configured columns."""
    if database.get("plan") and (reading := from_plan(database["plan"], table)):
        return reading
    for statement in candidates(database, table["name"], wanted.get("statement") or ""):
        if reading := from_statement(statement, table):
            return reading
    known = [column["name"] for column in table["columns"]]
    columns = tuple(column for column in wanted.get("columns") or () if column in known)
    return Reading("columns", equal=columns) if columns else None


def _index(reading: Reading, table: Mapping[str, Any], rows: float) -> tuple[dict[str, Any] | None, str]:
    columns = {column["name"]: column for column in table["columns"]}
    key = list(reading.equal)
    # After a range the tree is in no further order that serves.
    after = reading.ranges[:1] or reading.group or reading.order
    if not reading.equal and not reading.ranges:
        return None, "the query filters by none of the table's columns that an index could look up"
    key += [column for column in after if column not in key]
    if served := _serving(reading, table["indexes"]):
        return None, f"the index {served} serves the query already"
    include = _included(reading, key, columns)
    covers = reading.needs is not None and {*reading.needs} <= {*key, *include, *reading.fixed}
    matching = _matching(reading, columns, rows)
    limit = HELPS_ALONE_BELOW if covers else HELPS_BELOW
    if matching is not None and matching > limit * rows:
        return None, f"{matching:.0f} of {rows:.0f} rows match, too many for an index to save reading them"
    held = rows * _fraction(reading.fixed, columns)
    size, arithmetic = _bytes(key, include, columns, held)
    name = _name(table["relation"], key, include, reading.fixed)
    return {
        "table": table["sql"],
        "name": name,
        "columns": key,
        "include": include,
        "where": [{"column": column, "is": value} for column, value in reading.fixed.items()],
        "sql": _statement(name, table["sql"], key, include, reading.fixed, columns),
        "source": reading.source,
        "bytes": size,
        "arithmetic": arithmetic,
        "rows_now": round(rows),
        "rows_matching": None if matching is None else round(matching),
        "covers": covers,
    }, ""


def _serving(reading: Reading, indexes: Sequence[Mapping[str, Any]]) -> str:
    """A valid index whose first columns find the rows as well as the new one would; empty when none does."""
    for index in indexes:
        if not index["valid"] or index["method"] != "btree":
            continue
        if reading.source == "columns":
            # Nothing is known of the query: whoever made this index knew more.
            if index["keys"][0] == reading.equal[0]:
                return str(index["name"])
            continue
        if not _implied(index["predicate"], reading.fixed):
            continue
        left = {*reading.equal}
        ranged = not reading.ranges
        for column in index["keys"]:
            if column in left:
                left.remove(column)
            elif column in reading.ranges[:1]:
                ranged = True
                break
            elif column not in reading.fixed:
                break
        if not left and ranged:
            return str(index["name"])
    return ""


def _implied(predicate: str, fixed: Mapping[str, bool | None]) -> bool:
    """Whether every row of the query is in a partial index: only the plain conditions are understood."""
    words = predicate.replace("(", " ").replace(")", " ").replace('"', " ")
    known = {_condition(column, value) for column, value in fixed.items()}
    return not predicate or {" ".join(part.split()) for part in words.split(" AND ")} <= known


def _condition(column: str, value: bool | None) -> str:
    return f"{column} IS NULL" if value is None else column if value else f"NOT {column}"


def _included(reading: Reading, key: Sequence[str], columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the query reads besides, so that it need not visit the table; nothing when that is too much."""
    if reading.needs is None or not reading.group:
        return []
    more = [column for column in reading.needs if column not in key and column not in reading.fixed]
    # First what it groups by, as one reads the query.
    more.sort(key=lambda column: column not in reading.group)
    widths = [columns[column]["width"] or columns[column]["length"] or math.inf for column in more]
    return more if len(more) <= MAX_INCLUDED and sum(widths) <= MAX_INCLUDED_BYTES else []


# --- numbers ------------------------------------------------------------------------------------------------


def _fraction(fixed: Mapping[str, bool | None], columns: Mapping[str, Mapping[str, Any]]) -> float:
    """Part of the rows that the conditions leave; all where the statistics do not say."""
    part = 1.0
    for column, value in fixed.items():
        null, true = columns[column].get("null_fraction"), columns[column].get("true_fraction")
        if value is None:
            part *= 1.0 if null is None else null
        elif true is not None:
            part *= true if value else max(0.0, 1.0 - true - (null or 0.0))
    return part


def _matching(reading: Reading, columns: Mapping[str, Mapping[str, Any]], rows: float) -> float | None:
    """Rows that pass the filter: the planner's, else from the number of distinct values; None for a range."""
    if reading.rows is not None:
        return min(reading.rows, rows)
    distinct = [columns[column].get("distinct") for column in reading.equal]
    if reading.ranges or reading.source == "columns" or not all(distinct):
        return None
    return rows * _fraction(reading.fixed, columns) / min(rows, math.prod(filter(None, distinct)))


def _bytes(
    key: Sequence[str], include: Sequence[str], columns: Mapping[str, Mapping[str, Any]], rows: float
) -> tuple[int | None, str]:
    """The index's size and how it comes about; None where the width of a column is unknown."""
    data = 0
    for name in [*key, *include]:
        column = columns[name]
        width = column["length"] or column["width"]
        if width is None:
            return None, f"the width of {name} is unknown: ANALYZE has not seen the table"
        # A short value of variable length is not aligned.
        align = ALIGNMENT[column["align"]] if column["length"] else 1
        data = math.ceil(data / align) * align + width
    entry = math.ceil((TUPLE_HEADER_BYTES + data) / 8) * 8 + LINE_POINTER_BYTES
    known = [columns[name].get("distinct") for name in key]
    distinct = min(rows, math.prod(filter(None, known))) if all(known) else rows
    same = min(rows / distinct, POSTING_ROWS) if distinct else 1.0
    # With included columns every row keeps its own entry.
    shared = not include and same >= 2
    per_row = entry / same + POSTING_BYTES if shared else entry
    pages = math.ceil(rows * per_row / USABLE_BYTES) + 1
    row = (
        f"{entry} bytes ({TUPLE_HEADER_BYTES} header + {data} data, aligned, + {LINE_POINTER_BYTES} pointer)"
    )
    each = f"{row} for {same:.0f} rows of the same key, + {POSTING_BYTES} bytes each" if shared else row
    arithmetic = f"{rows:.0f} rows x {each}, / {USABLE_BYTES:.0f} bytes of a page at fill factor 0.9"
    return pages * PAGE_BYTES, arithmetic


# --- SQL ----------------------------------------------------------------------------------------------------


def _name(relation: str, key: Sequence[str], include: Sequence[str], fixed: Mapping[str, bool | None]) -> str:
    """Tells what it is, and differs for every other definition; PostgreSQL keeps 63 bytes of a name."""
    definition = "|".join([*key, "include", *include, *(_condition(*entry) for entry in fixed.items())])
    digest = hashlib.sha256(definition.encode()).hexdigest()[:8]
    readable = "_".join([relation, *key]).lower().encode()[:50].decode(errors="ignore")
    return f"{readable}_{digest}_idx"


def _statement(
    name: str,
    table: str,
    key: Sequence[str],
    include: Sequence[str],
    fixed: Mapping[str, bool | None],
    columns: Mapping[str, Mapping[str, Any]],
) -> str:
    quoted = {column: entry["sql"] for column, entry in columns.items()}
    plain = (
        name.replace("_", "a").isalnum() and name.isascii() and name == name.lower() and not name[0].isdigit()
    )
    shown = name if plain else '"' + name.replace('"', '""') + '"'
    parts = [
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {shown} ON {table} ({', '.join(quoted[c] for c in key)})"
    ]
    if include:
        parts.append(f"INCLUDE ({', '.join(quoted[c] for c in include)})")
    if fixed:
        parts.append("WHERE " + " AND ".join(_condition(quoted[c], value) for c, value in fixed.items()))
    return " ".join(parts)
