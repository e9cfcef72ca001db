"""What comes of the database's answer; the questions and the advice are stand-ins."""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.diagnosis_look import (
    FIXTURES,
    ID,
    SECRET,
    FakeEngine,
    container,
    docker_api,
    fresh,
    look,
    made,
    redact,
)
from tests.unit.test_diagnosis_broker import serving

EXPORTED = (FIXTURES / "exporters" / "postgres-exporter-0.17.1.prom").read_text(encoding="utf-8")
FACTS = {
    "max_connections": 100,
    "queries": [{"pid": 1, "statement": f"SELECT '{SECRET}'"}, {"pid": 2, "statement": None}],
    "statements": None,
}
PLAN = [{"Plan": {"Filter": f"(email = '{SECRET}'::text)", "Plans": [{"Rows": 5}]}}]
QUESTIONS = SimpleNamespace(
    question=lambda table: f"question of {table}",
    options=lambda explained="": f"-c explained={explained}",
    explained=lambda facts, table, configured: configured,
    EXPLAIN="the plan",
)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    advice = SimpleNamespace(consider=lambda facts, config: (None, f"plan {facts['plan'] is not None}"))
    return fresh(monkeypatch, "database", doubles={"database_sql": QUESTIONS, "index_advice": advice})


def answering(*answers: tuple[int, str, str]) -> FakeEngine:
    told = iter(answers)
    return FakeEngine(execute=lambda _: docker_api.Answer(*next(told)))


INDEX = {"table": "music_playlogs", "columns": [], "statement": "SELECT slow"}


def test_the_embedded_database_is_asked_in_its_container(database: ModuleType) -> None:
    engine = answering((0, json.dumps(FACTS) + "\n", ""), (0, json.dumps(PLAN), ""))
    part = database.collect(made(container("postgres"), engine=engine, index=INDEX))
    assert part.problem == ""
    assert part.facts["advice_reason"] == "plan True"
    assert part.facts["plan"][0]["Plan"]["Filter"] == "(email = '***'::text)"
    assert part.facts["plan"][0]["Plan"]["Plans"] == [{"Rows": 5}]
    assert [query["statement"] for query in part.facts["queries"]] == ["SELECT '***'", ""]
    assert SECRET not in str(part.facts)
    first, second = engine.asked
    assert first[0] == ID["postgres"]
    assert first[1] == ["psql", "-XqAtw", "-U", "app", "-d", "app", "-c", "question of music_playlogs"]
    assert "PGOPTIONS=-c explained=" in first[2]
    assert second[1][-1] == "the plan"
    assert "PGOPTIONS=-c explained=SELECT slow" in second[2]


def test_an_external_database_is_asked_from_the_app(database: ModuleType) -> None:
    engine = answering((0, json.dumps(FACTS), ""))
    external = {"kind": "external", "service": "postgres", "user": "app", "name": "app", "sslmode": "require"}
    part = database.collect(made(container("backend"), engine=engine, database=external))
    assert part.facts["max_connections"] == 100
    ((identity, command, environment),) = engine.asked
    assert identity == ID["backend"]
    assert command[:2] == ["python", "-c"]
    assert command[3:] == ["2", "require", "question of music_playlogs"]
    assert environment == ["PGOPTIONS=-c explained="]
    compile(command[2], "asked", "exec")


def test_a_plan_that_does_not_come_is_told(database: ModuleType) -> None:
    engine = answering((0, json.dumps(FACTS), ""), (1, "", "ERROR:  canceling statement\n"))
    part = database.collect(made(container("postgres"), engine=engine, index=INDEX))
    assert part.problem == "plan: psql in app-postgres-1: ERROR:  canceling statement"
    assert part.facts["plan"] is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((2, "", f"psql: error: connection to {SECRET}\nmore\n"), "psql: error: connection to ***"),
        (
            (1, "", "Traceback (most recent call last):\n  File\npsycopg.OperationalError: refused\n"),
            "psycopg.OperationalError: refused",
        ),
        ((137, "", ""), "status 137"),
        ((0, "no document", ""), "the database's answer: expected JSON"),
    ],
)
def test_a_database_that_does_not_answer(
    database: ModuleType, answer: tuple[int, str, str], said: str
) -> None:
    containers = (container("postgres"), container("postgres-exporter", project="telemetry"))
    with serving(EXPORTED) as (port, _):
        exporter = {"service": "postgres-exporter", "port": port}
        part = database.collect(made(*containers, engine=answering(answer), postgres_exporter=exporter))
    assert said in part.problem
    assert part.problem.endswith("the exporter's numbers are shown instead: not which queries run")
    assert part.facts["max_connections"] == 100
    assert part.facts["queries"] is None
    assert sum(each["count"] for each in part.facts["connections"]) > 0

    with pytest.raises(look.Unable) as error:
        database.collect(made(container("postgres"), engine=answering(answer)))
    assert said in str(error.value)
    assert SECRET not in str(error.value)


def test_an_exporter_that_is_not_deployed_is_not_asked(database: ModuleType) -> None:
    engine = answering((2, "", "psql: error: refused"))
    with pytest.raises(look.Unable, match=r"psql: error: refused$"):
        database.collect(made(container("postgres"), engine=engine, postgres_exporter=None))


def test_without_a_container(database: ModuleType) -> None:
    with pytest.raises(look.Unable, match="no container of postgres runs"):
        database.collect(made(container("postgres", pid=0)))


def test_redaction_leaves_what_is_no_literal(database: ModuleType) -> None:
    facts = {"plan": [{"Node Type": f"Seq Scan {SECRET}"}], "queries": None}
    assert database.redacted(facts, redact) == facts
