"""Which index is advised for which query of a table, how large it is said to be, and when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

index_advice = load_diagnosis("index_advice")

ROWS = 1_000_000


def column(
    name: str, kind: str = "bigint", length: int | None = 8, align: str = "d", **more: Any
) -> dict[str, Any]:
    described = {"name": name, "sql": name, "type": kind, "length": length, "align": align, "width": length}
    return described | {"distinct": None, "true_fraction": None, "null_fraction": 0.0} | more


COLUMNS = [
    column("id", distinct=ROWS),
    column("played_at", "timestamp with time zone", distinct=ROWS),
    column("is_deleted", "boolean", 1, "c", distinct=2, true_fraction=0.1),
    column("music_id", distinct=500),
    column("Kind", "character varying", None, "i", sql='"Kind"', width=7, distinct=4),
    column("note", "text", None, "i", width=200),
]


def index(name: str, *keys: str | None, **changes: Any) -> dict[str, Any]:
    return {"name": name, "keys": list(keys), "valid": True, "method": "btree", "predicate": ""} | changes


def database(*indexes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    table = {
        "name": "music_playlogs",
        "schema": "public",
        "relation": "music_playlogs",
        "sql": "public.music_playlogs",
        "partitioned": False,
        "rows": ROWS,
        "columns": COLUMNS,
        "indexes": [index("music_playlogs_pkey", "id"), *indexes],
    }
    return {"table": table | changes, "table_problem": None, "plan": None, "queries": [], "statements": []}


def config(statement: str = "", *columns: str) -> dict[str, Any]:
    return {"index": {"table": "music_playlogs", "columns": list(columns), "statement": statement}}


WHERE = "WHERE played_at >= $1 AND played_at < $2 AND NOT is_deleted"
CHART = f"SELECT music_id, count(*) FROM music_playlogs {WHERE} GROUP BY music_id ORDER BY 2 DESC LIMIT 100"


def plan(rows: float, **changes: Any) -> list[dict[str, Any]]:
    """The chart's with values that the planner knows."""
    scan = {
        "Node Type": "Seq Scan",
        "Relation Name": "music_playlogs",
        "Alias": "music_playlogs",
        "Plan Rows": rows,
        "Filter": "((NOT is_deleted) AND (played_at >= now()))",
    }
    node = {"Node Type": "Aggregate", "Group Key": ["music_id"], "Output": ["music_id", "count(*)"]} | changes
    return [{"Plan": node | {"Plans": [scan]}}]


@pytest.mark.parametrize(
    ("statement", "rest"),
    [
        (CHART, "(played_at) INCLUDE (music_id) WHERE NOT is_deleted"),
        (CHART.replace("count(*)", "count(id)"), "(played_at) INCLUDE (music_id, id) WHERE NOT is_deleted"),
        (CHART.replace("count(*)", "max(note)"), "(played_at) WHERE NOT is_deleted"),
        (
            f"SELECT * FROM music_playlogs {WHERE} AND music_id = 5",
            "(music_id, played_at) WHERE NOT is_deleted",
        ),
        ("SELECT * FROM music_playlogs WHERE music_id = 5 ORDER BY played_at DESC", "(music_id, played_at)"),
        ("SELECT count(*) FROM music_playlogs WHERE music_id = 5 AND \"Kind\" = 'a'", '(music_id, "Kind")'),
        (
            'SELECT "Kind", count(*) FROM music_playlogs WHERE music_id = 5 GROUP BY "Kind"',
            '(music_id, "Kind")',
        ),
        (
            "SELECT * FROM music_playlogs WHERE is_deleted AND played_at < $1 AND note IS NULL",
            "(played_at) WHERE is_deleted AND note IS NULL",
        ),
    ],
    ids=[
        "the guide's",
        "as Django counts",
        "a wide column is not included",
        "equality before range",
        "the order after equality",
        "two equalities",
        "the group after equality",
        "conditions that the statement fixes",
    ],
)
def test_the_index_of_a_statement(statement: str, rest: str) -> None:
    advised = index_advice.advise(database(), config(statement))
    head = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {advised['name']} ON public.music_playlogs "
    assert advised["sql"] == head + rest
    assert advised["source"] == "statement"
    assert len(advised["name"]) <= 63


def test_the_plan_comes_before_the_statement_and_knows_how_many_rows_match() -> None:
    advised = index_advice.advise(database() | {"plan": plan(2000)}, config("SELECT 1 FROM music_playlogs"))
    assert (advised["source"], advised["columns"], advised["include"]) == (
        "plan",
        ["played_at"],
        ["music_id"],
    )
    assert advised["where"] == [{"column": "is_deleted", "is": False}]
    assert (advised["rows_now"], advised["rows_matching"], advised["covers"]) == (ROWS, 2000, True)


def test_without_a_statement_the_configured_columns_are_the_index() -> None:
    advised = index_advice.advise(database(), config("", "played_at", "is_deleted", "music_id", "gone"))
    assert advised["sql"].endswith(" ON public.music_playlogs (played_at, is_deleted, music_id)")
    assert (advised["source"], advised["rows_matching"]) == ("columns", None)


@pytest.mark.parametrize(
    ("found", "statement", "columns", "reason"),
    [
        ({"table": None, "table_problem": "absent"}, CHART, (), "the table is absent"),
        ({"table": None, "table_problem": "locked"}, CHART, (), "the table is locked"),
        ({"table": None}, CHART, (), "the table is unknown"),
        (database(rows=None), CHART, (), "the table has unknown rows"),
        (database(rows=9_999), CHART, (), "the table has 9999 rows; from 10000 on an index helps"),
        (database(partitioned=True), CHART, (), "the table is partitioned"),
        (database(), "", (), "no slow query of some of the table's rows is known"),
        (database(), "SELECT count(*) FROM music_playlogs", (), "no slow query of some of the table's rows"),
        (database(), "SELECT * FROM music_playlogs WHERE NOT is_deleted", (), "filters by none of the"),
        (database(), "SELECT * FROM music_playlogs WHERE \"Kind\" = 'a'", (), "250000 of 1000000 rows match"),
        (database() | {"plan": plan(600_000)}, "", (), "600000 of 1000000 rows match"),
        (database(index("a", "played_at", "id")), CHART, (), "the index a serves the query already"),
        (database(index("a", "is_deleted", "played_at")), CHART, (), "the index a serves"),
        (database(index("a", "played_at", predicate="(NOT is_deleted)")), CHART, (), "the index a serves"),
        (
            database(index("a", "music_id", "Kind")),
            "SELECT id FROM music_playlogs WHERE \"Kind\" = 'a' AND music_id = 5",
            (),
            "the index a serves",
        ),
        (database(index("a", "played_at", predicate="(id > 5)")), "", ("played_at",), "the index a serves"),
    ],
)
def test_no_index_and_why(
    found: dict[str, Any], statement: str, columns: tuple[str, ...], reason: str
) -> None:
    advised, why = index_advice.consider(found, config(statement, *columns))
    assert advised is None
    assert reason in why


@pytest.mark.parametrize(
    "other",
    [
        index("a", "played_at", valid=False),
        index("a", "played_at", method="brin"),
        index("a", "played_at", predicate="(id > 5)"),
        index("a", "played_at", predicate="is_deleted"),
        index("a", "music_id", "played_at"),
        index("a", None, "played_at"),
    ],
    ids=[
        "invalid",
        "no tree",
        "of other rows",
        "of the deleted",
        "behind another column",
        "behind an expression",
    ],
)
def test_an_index_that_does_not_serve(other: dict[str, Any]) -> None:
    assert index_advice.advise(database(other), config(CHART)) is not None


def test_half_of_the_rows_are_not_too_many_for_an_index_that_holds_all_that_is_read() -> None:
    assert index_advice.advise(database() | {"plan": plan(400_000)}, config()) is not None
    wider = plan(400_000, Output=["music_id", "max(note)"])
    assert index_advice.advise(database() | {"plan": wider}, config()) is None


@pytest.mark.parametrize(
    ("statement", "held", "per_row"),
    [
        # 8 header + 8 played_at + 8 music_id + 4 pointer, of the nine tenths that are not deleted
        (CHART, 900_000, 28),
        # 500 values: 130 rows share an entry of 8 + 8 + 4, six bytes each
        ("SELECT id FROM music_playlogs WHERE music_id = 5", ROWS, 20 / 130 + 6),
        # 8 + 8 + (7, not aligned), aligned to 24, + 4; 2000 pairs share entries
        ("SELECT id FROM music_playlogs WHERE music_id = 5 AND \"Kind\" = 'a'", ROWS, 28 / 130 + 6),
    ],
)
def test_the_size_is_what_the_arithmetic_says(statement: str, held: int, per_row: float) -> None:
    advised = index_advice.advise(database(), config(statement))
    assert advised["bytes"] == pytest.approx(held * per_row / (8152 * 0.9) * 8192, rel=0.003)
    assert advised["arithmetic"].startswith(f"{held} rows x ")


def test_the_size_of_a_column_that_was_never_analysed_is_unknown() -> None:
    columns = [entry | {"width": None} if entry["name"] == "Kind" else entry for entry in COLUMNS]
    statement = "SELECT id FROM music_playlogs WHERE \"Kind\" = 'a' AND music_id = 5"
    advised = index_advice.advise(database(columns=columns), config(statement))
    assert advised["bytes"] is None
    assert "the width of Kind is unknown" in advised["arithmetic"]


def test_a_name_tells_definitions_apart_and_stays_within_63_bytes() -> None:
    long = database(relation="Ünder" * 20, sql='public."Long"', name="Ünder" * 20)
    statement = CHART.replace("music_playlogs", "Ünder" * 20)
    quoted = statement.replace("Ünder" * 20, '"' + "Ünder" * 20 + '"')
    advised = index_advice.advise(long, {"index": {"table": "x", "columns": [], "statement": quoted}})
    assert len(advised["name"].encode()) <= 63
    assert f'IF NOT EXISTS "{advised["name"]}" ON public."Long" ' in advised["sql"]
    names = {
        index_advice.advise(database(), config(CHART.replace("*", what)))["name"] for what in ("*", "id")
    }
    assert len(names) == 2
