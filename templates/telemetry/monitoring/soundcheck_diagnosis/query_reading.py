"""Which columns of one table a query filters, groups and orders by: from its plan, or from its text.

The plan is the server's own reading, so it comes first. The text is read only where it leaves no doubt: one
SELECT from that table alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from soundcheck_diagnosis.sql_text import Token, Unreadable, depths, one_query, tokens

# Nodes that hand the rows of a scan on to the aggregate above.
PASSING = frozenset({"Aggregate", "Gather", "Gather Merge", "Sort", "Incremental Sort"})
FULL_SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan"})
ENDS_OF_WHERE = frozenset({"group", "order", "limit", "having", "window", "offset", "fetch", "for", "union"})
BEYOND_ONE_TABLE = frozenset({"join", "union", "intersect", "except", "with", "having", "window", "distinct"})
COMPARISONS = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Reading:
    """What a query asks of the table. Columns are in the order in which it names them."""

    source: str
    equal: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    fixed: Mapping[str, bool | None] = field(default_factory=dict)
    """Columns that must be true, false or (None) NULL."""
    group: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    needs: tuple[str, ...] | None = None
    """Every column that is read, where the query reads no others; None when that is not known."""
    rows: float | None = None
    """Rows that pass the filter, as the planner expects; None when it did not know the values."""
    index: str = ""
    """An index through which the table is read already."""


class Columns:
    """The columns of the table, and the names under which an expression may mean it."""

    def __init__(self, types: Mapping[str, str], qualifiers: Collection[str]) -> None:
        self.types = types
        self.qualifiers = {*qualifiers}

    def reference(self, found: Sequence[Token]) -> str | None:
        """The column that an expression is, cast to text or not; None for any other expression."""
        found = _bare(found)
        if len(found) > 2 and found[-2:] == [Token("mark", "::"), Token("word", "text")]:
            found = _bare(found[:-2])
        if len(found) not in (1, 3) or found[-1].kind not in ("word", "name"):
            return None
        if len(found) == 3 and (found[1].text != "." or found[0].text not in self.qualifiers):
            return None
        return found[-1].text if found[-1].text in self.types else None

    def named(self, found: Sequence[Token]) -> list[str]:
        """Columns that an expression names anywhere, each once."""
        names = [
            token.text
            for place, token in enumerate(found)
            if token.kind in ("word", "name")
            and token.text in self.types
            and found[place + 1 : place + 2] not in ([Token("mark", "(")], [Token("mark", ".")])
        ]
        return list(dict.fromkeys(names))


# --- conditions ---------------------------------------------------------------------------------------------


def _bare(found: Sequence[Token]) -> list[Token]:
    """Without the parentheses around all of it."""
    found = list(found)
    while len(found) > 1 and found[0].text == "(" and 0 not in _closings(found)[:-1]:
        found = found[1:-1]
    return found


def _closings(found: Sequence[Token]) -> list[int]:
    """The depth after each word."""
    return [depth - (token == Token("mark", ")")) for token, depth in zip(found, depths(found), strict=True)]


def _split(found: Sequence[Token], word: str) -> list[list[Token]]:
    """The parts between a word outside parentheses; the `and` of a BETWEEN separates nothing."""
    parts: list[list[Token]] = [[]]
    between = False
    for token, depth in zip(found, _closings(found), strict=True):
        outside = depth == 0 and token.kind in ("word", "mark")
        if outside and token.text == word and not between:
            parts.append([])
            continue
        if outside and token.text in ("between", "and"):
            between = token.text == "between"
        parts[-1].append(token)
    return parts


def conditions(found: Sequence[Token], columns: Columns) -> Iterator[tuple[str, str, bool | None]]:
    """`("equal" | "range", column, None)` and `("fixed", column, value)`; anything else is left out."""
    found = _bare(found)
    if len(_split(found, "or")) > 1:
        return
    parts = _split(found, "and")
    if len(parts) > 1:
        for part in parts:
            yield from conditions(part, columns)
        return
    if condition := _condition(found, columns):
        yield condition


def _condition(found: list[Token], columns: Columns) -> tuple[str, str, bool | None] | None:
    words = [token.text for token in found]
    if column := columns.reference(found):
        return "fixed", column, True
    if words[:1] == ["not"]:
        column = columns.reference(found[1:])
        return ("fixed", column, False) if column else None
    if words[-2:] == ["is", "null"]:
        column = columns.reference(found[:-2])
        return ("fixed", column, None) if column else None
    for place, (token, depth) in enumerate(zip(found, _closings(found), strict=True)):
        if depth == 0 and token.kind in ("mark", "word") and token.text in (*COMPARISONS, "in", "between"):
            return _comparison(found[:place], token.text, found[place + 1 :], columns)
    return None


def _comparison(
    left: list[Token], operator: str, right: list[Token], columns: Columns
) -> tuple[str, str, bool | None] | None:
    column = columns.reference(left)
    if column is None and operator in COMPARISONS:
        left, right, operator = right, left, COMPARISONS[operator]
        column = columns.reference(left)
    # A value that depends on the row, or on another query, is no value to look up.
    if column is None or columns.named(right) or Token("word", "select") in right:
        return None
    words = [token.text for token in _bare(right)]
    if operator == "=" and columns.types[column] == "boolean" and words in (["true"], ["false"]):
        return "fixed", column, words == ["true"]
    return ("equal" if operator in ("=", "in") else "range"), column, None


def _filtered(found: Sequence[Token], columns: Columns, source: str) -> Reading:
    """A reading that knows the conditions of a filter."""
    by_kind: dict[str, list[str]] = {"equal": [], "range": []}
    fixed: dict[str, bool | None] = {}
    for kind, column, value in conditions(found, columns):
        if kind == "fixed":
            fixed[column] = value
        else:
            by_kind[kind].append(column)
    equal = tuple(dict.fromkeys(by_kind["equal"]))
    ranges = tuple(column for column in dict.fromkeys(by_kind["range"]) if column not in equal)
    return Reading(source, equal, ranges, fixed)


# --- from the plan ------------------------------------------------------------------------------------------


def from_plan(plan: Any, table: Mapping[str, Any]) -> Reading | None:
    """The reading of the scan that reads most of the table; None when the plan does not read it."""
    scans = [path for path in _paths(_root(plan), ()) if path[-1].get("Relation Name") == table["relation"]]
    scans = [path for path in scans if path[-1].get("Schema", table["schema"]) == table["schema"]]
    full = [path for path in scans if path[-1]["Node Type"] in FULL_SCANS and "Index Cond" not in path[-1]]
    if full:
        return _of_scan(max(full, key=lambda path: path[-1].get("Total Cost", 0)), table)
    if not scans:
        return None
    names = [node["Index Name"] for path in scans for node in _nodes(path[-1]) if "Index Name" in node]
    return Reading("plan", index=", ".join(names) or "an index")


def _root(plan: Any) -> Mapping[str, Any]:
    first = plan[0] if isinstance(plan, list) and plan else plan
    return first.get("Plan", {}) if isinstance(first, Mapping) else {}


def _paths(
    node: Mapping[str, Any], above: tuple[Mapping[str, Any], ...]
) -> Iterator[tuple[Mapping[str, Any], ...]]:
    yield (*above, node)
    for child in node.get("Plans", ()):
        yield from _paths(child, (*above, node))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (path[-1] for path in _paths(node, ()))


def _of_scan(path: tuple[Mapping[str, Any], ...], table: Mapping[str, Any]) -> Reading:
    scan = path[-1]
    columns = Columns(_types(table), {scan.get("Alias", ""), table["relation"]})
    found = _tokens(scan.get("Filter", ""))
    reading = replace(_filtered(found, columns, "plan"), rows=_expected_rows(path, found))
    aggregate: Mapping[str, Any] = {}
    order: list[str] = []
    for node in reversed(path[:-1]):
        if node["Node Type"] not in PASSING:
            break
        if node["Node Type"] == "Aggregate":
            aggregate = node
            break
        order = order or _keys(node.get("Sort Key", ()), columns)
    if not aggregate:
        return replace(reading, order=tuple(order))
    read = [*found, *_tokens(", ".join(aggregate.get("Output", ())))]
    known = "Output" in aggregate
    return replace(
        reading,
        group=tuple(_keys(aggregate.get("Group Key", ()), columns)),
        needs=tuple(columns.named(read)) if known else None,
    )


def _expected_rows(path: tuple[Mapping[str, Any], ...], found: Sequence[Token]) -> float | None:
    """What the planner expects to pass the filter; for a parameter it has but a guess."""
    scan = path[-1]
    if "Plan Rows" not in scan or any(token.kind == "parameter" for token in found):
        return None
    workers = next((node["Workers Planned"] for node in reversed(path) if "Workers Planned" in node), 0)
    if not scan.get("Parallel Aware") or not workers:
        return float(scan["Plan Rows"])
    # The rows of each process, of which the leading one is the less busy the more there are (costsize.c).
    return float(scan["Plan Rows"] * (workers + max(0.0, 1.0 - 0.3 * workers)))


def _keys(keys: Sequence[str], columns: Columns) -> list[str]:
    """The columns that a list of keys begins with, up to one that is something else."""
    found: list[str] = []
    for key in keys:
        words = [
            token for token in _tokens(key) if token.text not in ("desc", "asc", "nulls", "first", "last")
        ]
        column = columns.reference(words)
        if column is None:
            break
        found.append(column)
    return found


def _tokens(text: str) -> list[Token]:
    """No words where the text cannot be read: it then tells nothing."""
    try:
        return tokens(text)
    except Unreadable:
        return []


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in table["columns"]}


# --- from the text ------------------------------------------------------------------------------------------


def from_statement(statement: str, table: Mapping[str, Any]) -> Reading | None:
    """The reading of one SELECT from this table alone; None for any other text."""
    found = one_query(statement)
    if not found or sum(token == Token("word", "select") for token in found) != 1:
        return None
    if any(token.kind == "word" and token.text in BEYOND_ONE_TABLE for token in found):
        return None
    clauses = _clauses(found)
    source = clauses.get("from", [])
    names = [token.text for token in source if token.kind in ("word", "name") and token.text != "as"]
    if Token("mark", ",") in source or Token("mark", "(") in source:
        return None
    schema, names = (names[0], names[1:]) if Token("mark", ".") in source else (table["schema"], names)
    if not 1 <= len(names) <= 2 or (schema, names[0]) != (table["schema"], table["relation"]):
        return None
    columns = Columns(_types(table), {names[-1]})
    reading = _filtered(clauses.get("where", []), columns, "statement")
    group, order = (_listed(clauses.get(name, []), columns) for name in ("group", "order"))
    if not clauses.get("group"):
        return replace(reading, order=tuple(order))
    star = any(
        token.text == "*" and (place == 0 or found[place - 1].text != "(")
        for place, token in enumerate(found)
    )
    return replace(reading, group=tuple(group), needs=None if star else tuple(columns.named(found)))


def _clauses(found: Sequence[Token]) -> dict[str, list[Token]]:
    """The words after SELECT, FROM, WHERE, GROUP BY, ORDER BY ..., outside parentheses."""
    clauses: dict[str, list[Token]] = {}
    current = ""
    for token, depth in zip(found, depths(found), strict=True):
        starts = token.kind == "word" and token.text in ("select", "from", "where", *ENDS_OF_WHERE)
        if starts and depth == 0:
            current = token.text
            clauses[current] = []
        elif token != Token("word", "by"):
            clauses.setdefault(current, []).append(token)
    return clauses


def _listed(found: Sequence[Token], columns: Columns) -> list[str]:
    """The columns that a list separated by commas begins with."""
    texts = [[token for token in part if token.text not in ("desc", "asc")] for part in _split(found, ",")]
    listed: list[str] = []
    for words in texts:
        column = columns.reference(words) if words else None
        if column is None:
            break
        listed.append(column)
    return listed
