"""Which columns a filter, a plan and a statement name, and which of their conditions an index could serve."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

reading = load_diagnosis("query_reading")
sql_text = load_diagnosis("sql_text")

TYPES = {
    "id": "bigint",
    "played_at": "timestamp with time zone",
    "is_deleted": "boolean",
    "music_id": "bigint",
    "kind": "character varying",
    "removed_at": "timestamp with time zone",
}
TABLE = {
    "name": "music_playlogs",
    "schema": "public",
    "relation": "music_playlogs",
    "columns": [{"name": name, "type": kind} for name, kind in TYPES.items()],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("is_deleted", [("fixed", "is_deleted", True)]),
        ("NOT is_deleted", [("fixed", "is_deleted", False)]),
        ("(NOT p.is_deleted)", [("fixed", "is_deleted", False)]),
        ("is_deleted = false", [("fixed", "is_deleted", False)]),
        ("removed_at IS NULL", [("fixed", "removed_at", None)]),
        ("removed_at IS NOT NULL", []),
        ("music_id = 5", [("equal", "music_id", None)]),
        ("5 = music_id", [("equal", "music_id", None)]),
        ("music_id = $1", [("equal", "music_id", None)]),
        ("music_id IN (1, 2)", [("equal", "music_id", None)]),
        ("music_id = ANY ('{1,2}'::bigint[])", [("equal", "music_id", None)]),
        ("(kind)::text = 'radio'::text", [("equal", "kind", None)]),
        ("played_at >= now() - '01:00:00'::interval", [("range", "played_at", None)]),
        ("played_at BETWEEN $1 AND $2", [("range", "played_at", None)]),
        (
            "played_at BETWEEN $1 AND $2 AND music_id = 3",
            [("range", "played_at", None), ("equal", "music_id", None)],
        ),
        (
            "((NOT is_deleted) AND (played_at < now()) AND (music_id = 1))",
            [("fixed", "is_deleted", False), ("range", "played_at", None), ("equal", "music_id", None)],
        ),
        ("music_id = 1 OR music_id = 2", []),
        ("(music_id = 1 OR played_at < now()) AND kind = 'x'", [("equal", "kind", None)]),
        ("NOT (is_deleted AND music_id = 1)", []),
        ("music_id <> 1", []),
        ("music_id = id", []),
        ("lower(kind) = 'x'", []),
        ("date(played_at) = '2026-11-01'", []),
        ("played_at::date = '2026-11-01'", []),
        ("music_id + 1 = 5", []),
        ("music_id IN (SELECT id FROM other)", []),
        ("other.music_id = 1", []),
        ("kind LIKE 'a%'", []),
        ("", []),
    ],
)
def test_a_condition(text: str, found: list[tuple[str, str, bool | None]]) -> None:
    columns = reading.Columns(TYPES, {"p", "music_playlogs"})
    assert list(reading.conditions(sql_text.tokens(text), columns)) == found


def scan(**changes: Any) -> dict[str, Any]:
    return {
        "Node Type": "Seq Scan",
        "Relation Name": "music_playlogs",
        "Schema": "public",
        "Alias": "p",
        "Plan Rows": 100,
        "Filter": "((NOT p.is_deleted) AND (p.played_at >= now()))",
    } | changes


def above(child: dict[str, Any], kind: str, **changes: Any) -> dict[str, Any]:
    return {"Node Type": kind, "Plans": [child]} | changes


def aggregate(child: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    given = {"Group Key": ["p.music_id"], "Output": ["p.music_id", "count(*)"]} | changes
    return [{"Plan": above(above(child, "Aggregate", **given), "Limit")}]


def test_a_plan_that_groups() -> None:
    found = reading.from_plan(aggregate(above(scan(), "Sort")), TABLE)
    assert found == reading.Reading(
        "plan",
        ranges=("played_at",),
        fixed={"is_deleted": False},
        group=("music_id",),
        needs=("is_deleted", "played_at", "music_id"),
        rows=100.0,
    )


@pytest.mark.parametrize(
    ("node", "workers", "rows"),
    [
        (scan(), 0, 100.0),
        (scan(**{"Parallel Aware": True}), 2, 240.0),
        (scan(**{"Parallel Aware": True}), 4, 400.0),
        (scan(Filter="(p.played_at >= $1)"), 0, None),
    ],
    ids=["alone", "with two workers", "with four", "of parameters nothing is known"],
)
def test_the_rows_that_the_planner_expects(node: dict[str, Any], workers: int, rows: float | None) -> None:
    gather = above(node, "Gather", **{"Workers Planned": workers})
    assert reading.from_plan(aggregate(gather), TABLE).rows == rows


def test_a_join_between_scan_and_group_hides_what_is_read() -> None:
    found = reading.from_plan(aggregate(above(scan(), "Hash Join")), TABLE)
    assert (found.ranges, found.group, found.needs) == (("played_at",), (), None)


def test_an_order_without_groups() -> None:
    plan = [
        {"Plan": above(above(scan(), "Sort", **{"Sort Key": ["p.played_at DESC", "lower(p.kind)"]}), "Limit")}
    ]
    assert reading.from_plan(plan, TABLE).order == ("played_at",)


@pytest.mark.parametrize(
    ("node", "index"),
    [
        (scan(**{"Node Type": "Index Scan", "Index Name": "a", "Index Cond": "(id = 1)"}), "a"),
        (
            above(
                {"Node Type": "Bitmap Index Scan", "Index Name": "b"},
                "Bitmap Heap Scan",
                **{"Relation Name": "music_playlogs"},
            ),
            "b",
        ),
        (scan(**{"Node Type": "Index Scan", "Index Name": "a"}), ""),
    ],
    ids=["looked up", "as a bitmap", "read from end to end"],
)
def test_a_table_that_is_read_through_an_index(node: dict[str, Any], index: str) -> None:
    assert reading.from_plan([{"Plan": node}], TABLE).index == index


@pytest.mark.parametrize(
    "plan", [None, [], [{"Plan": scan(**{"Relation Name": "other"})}], [{"Plan": scan(Schema="old")}]]
)
def test_a_plan_of_something_else_tells_nothing(plan: Any) -> None:
    assert reading.from_plan(plan, TABLE) is None


COUNTED = "SELECT music_id, count(*) FROM music_playlogs"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            COUNTED + " WHERE played_at >= $1 AND NOT is_deleted GROUP BY music_id ORDER BY 2 DESC LIMIT 100",
            {
                "ranges": ("played_at",),
                "fixed": {"is_deleted": False},
                "group": ("music_id",),
                "needs": ("music_id", "played_at", "is_deleted"),
            },
        ),
        (
            'SELECT "p"."id" FROM public."music_playlogs" AS "p" WHERE "p"."music_id" = 1'
            ' ORDER BY "p"."played_at" DESC',
            {"equal": ("music_id",), "order": ("played_at",)},
        ),
        (
            "SELECT *, count(*) FROM music_playlogs WHERE music_id = 1 GROUP BY id",
            {"equal": ("music_id",), "group": ("id",)},
        ),
    ],
)
def test_a_statement(text: str, found: dict[str, Any]) -> None:
    assert reading.from_statement(text, TABLE) == reading.Reading("statement", **found)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM music_playlogs p JOIN music_music m ON m.id = p.music_id WHERE p.kind = 'x'",
        "SELECT 1 FROM music_playlogs, music_music",
        "SELECT 1 FROM other WHERE id IN (SELECT music_id FROM music_playlogs)",
        "SELECT 1 FROM (SELECT * FROM music_playlogs) p",
        "SELECT 1 FROM music_playlogs UNION SELECT 2",
        "SELECT 1 FROM old.music_playlogs WHERE kind = 'x'",
        "UPDATE music_playlogs SET kind = 'x'",
        "SELECT 1",
    ],
)
def test_a_statement_that_leaves_a_doubt_is_not_read(text: str) -> None:
    assert reading.from_statement(text, TABLE) is None
