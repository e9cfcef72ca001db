"""What making an index runs and refuses."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from ansible.module_utils import postgres_index_steps as steps

SQL = "CREATE INDEX CONCURRENTLY IF NOT EXISTS plays_idx ON public.plays (played_at) WHERE NOT is_deleted"
THERE: dict[str, Any] = {
    "of_table": True,
    "valid": True,
    "building": False,
    "sql": "public.plays_idx",
    "bytes": 8192,
}
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("sql", "name"), [(SQL, "plays_idx"), (SQL.replace("plays_idx", '"Plays ""of"" all"'), 'Plays "of" all')]
)
def test_the_name_is_that_of_the_statement(sql: str, name: str) -> None:
    assert steps.index_name(sql) == name


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "DROP TABLE plays",
        SQL + "; DROP TABLE plays",
        SQL.replace(" CONCURRENTLY", ""),
        SQL.replace(" IF NOT EXISTS", ""),
        SQL.replace("CREATE INDEX", "CREATE UNIQUE INDEX"),
    ],
)
def test_any_other_statement_is_refused(sql: str) -> None:
    with pytest.raises(steps.Refused, match=r"^sql: expected one CREATE INDEX CONCURRENTLY IF NOT EXISTS"):
        steps.index_name(sql)


@pytest.mark.parametrize(
    ("answer", "dropped"),
    [(None, []), (THERE | {"valid": False}, ["DROP INDEX CONCURRENTLY IF EXISTS public.plays_idx"])],
    ids=["nothing is there", "an interrupted attempt left an invalid one"],
)
def test_the_statements_in_their_order(answer: dict[str, Any] | None, dropped: list[str]) -> None:
    built = steps.build(SQL, "public.plays", steps.Found.of(answer), 60, embedded=False)
    settings = ["SET statement_timeout = 0", "SET lock_timeout = '60s'"]
    assert built == [*settings, *dropped, SQL, "ANALYZE public.plays"]


def test_the_embedded_database_sorts_within_its_limit() -> None:
    """With the default of 64 MB and a parallel worker beside two charts, the kernel ended the database."""
    built = steps.build(SQL, "public.plays", steps.Found.of(None), 60, embedded=True)
    assert built.index("SET maintenance_work_mem = '16MB'") < built.index(SQL)
    assert "SET max_parallel_maintenance_workers = 0" in built


def test_a_name_ends_no_string_of_the_question() -> None:
    assert "x.relname = E'it''s \\\\'" in steps.look("public.plays", "it's \\")


@pytest.mark.parametrize(
    ("size", "free", "refused"),
    [
        (100 * MIB, 455 * MIB, True),
        (100 * MIB, 456 * MIB, False),
        (None, 1, False),
        (100 * MIB, None, False),
    ],
    ids=["too little", "just enough", "a size that is unknown", "a disk that is not seen"],
)
def test_the_disk(size: int | None, free: int | None, refused: bool) -> None:
    assert bool(steps.too_large(size, free)) is refused


def test_a_full_disk_is_told_in_numbers() -> None:
    assert steps.too_large(100 * MIB, 50_000_000) == (
        "the index takes about 105 MB, and as much again while it is built: expected 478 MB free beside the"
        " database (256 MiB of them stay), got 50 MB"
    )


@pytest.mark.parametrize(
    ("df", "free"),
    [
        (
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 40 60 40% /data\n",
            61440,
        ),
        ("", None),
        ("df: /nowhere: No such file or directory\n", None),
    ],
)
def test_what_df_says(df: str, free: int | None) -> None:
    assert steps.free_bytes(df) == free


@pytest.mark.parametrize(
    ("transactions", "left", "parts"),
    [
        (
            [{"pid": 7, "application": "report", "state": "idle in transaction", "seconds": 900}],
            True,
            [
                "process 7 of report, idle in transaction, in a transaction for 900 s",
                "mended by the next attempt",
            ],
        ),
        (
            [{"pid": 7, "application": "", "state": "active", "seconds": 9}],
            False,
            ["of an unnamed application"],
        ),
        ([], False, ["(lock_timeout): it has ended since. Nothing is changed. Try again"]),
    ],
)
def test_who_held_the_table_is_told(transactions: list[dict[str, Any]], left: bool, parts: list[str]) -> None:
    message = steps.lock_message("plays_idx", 60, transactions, left)
    assert message.startswith("plays_idx: a transaction held the table, or was older than the index")
    assert all(part in message for part in parts)


def test_the_program_for_an_external_database_is_python() -> None:
    ast.parse(steps.DRIVER)
