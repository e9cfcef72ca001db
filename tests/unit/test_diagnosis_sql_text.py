"""What may be explained: one query that only reads, and whose text can be cut for certain."""

from __future__ import annotations

import pytest

from tests.unit.diagnosis_modules import load_diagnosis

sql_text = load_diagnosis("sql_text")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "  select * from t where a = 'x; DROP TABLE t' ; ",
        'SELECT "update" FROM t -- DELETE; and more\nWHERE a = $1',
        "WITH x AS (SELECT 1) SELECT * FROM x /* ; */",
        "SELECT $tag$ ; DELETE $tag$, E'it\\'s; ' FROM t",
        "SELECT a FROM t WHERE b IN ($1 /*, ... */)",
    ],
)
def test_one_query_that_reads(text: str) -> None:
    assert sql_text.one_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1; DROP TABLE t",
        "SELECT 1;; SELECT 2",
        "DELETE FROM t",
        "EXPLAIN ANALYZE SELECT 1",
        "(SELECT 1)",
        "WITH gone AS (DELETE FROM t RETURNING a) SELECT * FROM gone",
        "SELECT a INTO copy FROM t",
        "SELECT a FROM t FOR UPDATE",
        "SELECT 'not closed",
        "SELECT 'a\\' ; DROP TABLE t --'",
        "SELECT 1 \\! reboot",
        "SELECT 1 /* a /* b */ ; DROP TABLE t */",
        "SELECT $a$ text $b$",
        "<insufficient privilege>",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    assert sql_text.one_query(text) is None


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("SELECT * FROM public.music_playlogs", True),
        ('SELECT * FROM "music_playlogs" p', True),
        ("SELECT * FROM MUSIC_PLAYLOGS", True),
        ('SELECT * FROM "MUSIC_PLAYLOGS"', False),
        ("SELECT 'music_playlogs' FROM other", False),
        ("SELECT * FROM music_playlogs_old", False),
    ],
)
def test_a_table_is_mentioned_by_its_name_alone(text: str, mentioned: bool) -> None:
    assert sql_text.mentions(sql_text.tokens(text), "music_playlogs") is mentioned


def test_what_cannot_be_cut_is_told_with_its_place() -> None:
    with pytest.raises(sql_text.Unreadable, match=r"character 8: expected SQL, got \"'open\""):
        sql_text.tokens("SELECT 'open")
