"""Which table is asked for, with which settings, and which statement is explained."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

database_sql = load_diagnosis("database_sql")

SLOW = "SELECT music_id FROM music_playlogs WHERE played_at > $1"
RUNNING = "SELECT music_id FROM music_playlogs WHERE played_at > '2026-11-01'"


@pytest.mark.parametrize(
    ("table", "quoted"),
    [
        ("music_playlogs", '"music_playlogs"'),
        ("app.music_playlogs", '"app"."music_playlogs"'),
        ("PlayLogs", '"PlayLogs"'),
        ('"my.app"."play""logs"', '"my.app"."play""logs"'),
    ],
)
def test_a_table_is_meant_as_it_is_written(table: str, quoted: str) -> None:
    assert database_sql.regclass(table) == quoted


@pytest.mark.parametrize("table", ["", "a.b.c", "play logs", 'x"; DROP TABLE t', "a."])
def test_what_names_no_table_is_refused(table: str) -> None:
    with pytest.raises(ValueError, match=r"table: expected \[schema\.\]name, got "):
        database_sql.question(table)


def test_a_quote_in_a_name_ends_no_string() -> None:
    question = database_sql.question('"it\'s\\"')
    assert "to_regclass(E'\"it''s\\\\\"')" in question
    assert "%(" not in question


def test_every_session_is_bounded_and_reads_only() -> None:
    assert database_sql.options().split(" -c ") == [
        "-c default_transaction_read_only=on",
        "statement_timeout=2000",
        "lock_timeout=300",
    ]


def test_a_statement_is_one_setting_whatever_is_in_it() -> None:
    options = database_sql.options("EXPLAIN SELECT 'a -c\tx=\\y'\nFROM t")
    assert options.endswith("-c soundcheck.explain=EXPLAIN\\ SELECT\\ 'a\\ -c\\\tx=\\\\y'\\\nFROM\\ t")


def facts(
    running: list[tuple[str | None, float]], counted: list[tuple[str, float]], version: int = 170000
) -> dict[str, Any]:
    return {
        "version": version,
        "queries": [{"statement": statement, "seconds": seconds} for statement, seconds in running],
        "statements": [{"statement": statement, "mean_ms": mean} for statement, mean in counted],
    }


PLAIN = "EXPLAIN (VERBOSE, FORMAT JSON) "
GENERIC = "EXPLAIN (VERBOSE, FORMAT JSON, GENERIC_PLAN) "


@pytest.mark.parametrize(
    ("given", "configured", "command"),
    [
        (facts([], []), "", ""),
        (facts([(RUNNING, 9)], [(SLOW, 900)]), SLOW + ";", GENERIC + SLOW),
        (facts([(RUNNING, 9)], [(SLOW, 900)]), "", PLAIN + RUNNING),
        (facts([(RUNNING, 0.1)], [(SLOW, 900)]), "", GENERIC + SLOW),
        (facts([(None, 9), ("SELECT 1 FROM other", 8)], [(SLOW, 900)]), "", GENERIC + SLOW),
        (facts([("SELECT count(*) FROM music_playlogs", 9)], [(SLOW, 900)]), "", GENERIC + SLOW),
        (facts([], [(SLOW, 2)]), "", ""),
        (facts([], [(SLOW, 900)], version=150000), "", ""),
        (facts([(RUNNING, 9)], [(SLOW, 900)], version=150000), SLOW, PLAIN + RUNNING),
        (facts([(RUNNING + "; DROP TABLE music_playlogs", 9)], []), "", ""),
        (facts([(f"SELECT 1 FROM music_playlogs WHERE a = '{'x' * 9000}'", 9)], []), "", ""),
        ({"queries": None, "statements": None}, "", ""),
    ],
    ids=[
        "nothing known",
        "the configured one first",
        "then what runs",
        "unless it is quick",
        "or another table's",
        "or of all rows",
        "a quick one is none",
        "parameters need version 16",
        "and then the next is taken",
        "two statements",
        "longer than a setting may be",
        "not shown to this login",
    ],
)
def test_which_statement_is_explained(given: dict[str, Any], configured: str, command: str) -> None:
    assert database_sql.explained(given, "music_playlogs", configured) == command


def test_a_plan_is_kept_without_the_values_that_were_looked_for() -> None:
    plan = [
        {
            "Plan": {
                "Node Type": "Seq Scan",
                "Plan Rows": 5,
                "Filter": "(mail = 'a@b.c')",
                "Output": ["'a@b.c'"],
            }
        }
    ]
    assert database_sql.redacted(plan, lambda text: text.replace("a@b.c", "***")) == [
        {"Plan": {"Node Type": "Seq Scan", "Plan Rows": 5, "Filter": "(mail = '***')", "Output": ["'***'"]}}
    ]
