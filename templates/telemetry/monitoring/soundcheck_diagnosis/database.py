"""PostgreSQL's connections, queries and the table that may lack an index.

The embedded database is asked by psql in its container. An external one is asked from a container of the
app, which has the credentials and the way; nothing of them leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from soundcheck_diagnosis import database_sql, index_advice
from soundcheck_diagnosis.docker_api import Answer, EngineError
from soundcheck_diagnosis.look import Look, Part, Unable, first_line
from soundcheck_diagnosis.metrics_pages import Sample, fetch, parse

# The text, and the options of the session in which it is asked.
Ask = Callable[[Look, str, str], str]

# The engine ends nothing that it started: how long a statement may take, it says itself.
CONNECT_SECONDS = 2
# What a second question takes on a busy server.
PLAN_SECONDS = 0.7

# Runs in a container of the app. Of several results one driver shows the first, the other the last.
ASK_EXTERNAL = """
import json, os, sys
import soundcheck_env
soundcheck_env.load()
try:
    import psycopg as driver
except ImportError:
    import psycopg2 as driver
names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
connection = driver.connect(
    connect_timeout=int(sys.argv[1]), sslmode=sys.argv[2], application_name="soundcheck_diagnosis",
    **{name: os.environ["DATABASE_" + variable] for name, variable in names.items()})
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(sys.argv[3])
while cursor.description is None and cursor.nextset():
    pass
row = cursor.fetchone()
answer = row[0] if row else None
print(answer if isinstance(answer, str) else json.dumps(answer))
"""

_EXPORTED_STATES = "pg_stat_activity_count"
_EXPORTED_MAXIMUM = "pg_settings_max_connections"
_EXPORTED_RESERVED = "pg_settings_superuser_reserved_connections"


def collect(look: Look) -> Part:
    external = look.config["database"]["kind"] == "external"
    ask: Ask = _ask_external if external else _ask_embedded
    wanted = look.config["index"]
    try:
        facts = document(ask(look, database_sql.question(wanted["table"]), database_sql.options()))
    except (Unable, EngineError) as error:
        return _by_exporter(look, str(error))
    omitted: tuple[str, ...] = ()
    facts["plan"], problem = None, ""
    explained = database_sql.explained(facts, wanted["table"], wanted["statement"])
    if explained and look.seconds_left() < PLAN_SECONDS:
        omitted = ("plan of the statement that reads the table: no time left",)
    elif explained:
        try:
            facts["plan"] = document(ask(look, database_sql.EXPLAIN, database_sql.options(explained)))
        except (Unable, EngineError) as error:
            problem = f"plan: {error}"
    facts["advice"], facts["advice_reason"] = index_advice.consider(facts, look.config)
    return Part(redacted(facts, look.redact_sql), problem, omitted)


def document(answer: str) -> Any:
    """The JSON of an answer, null for an empty one. Raises Unable for anything else."""
    try:
        return json.loads(answer or "null")
    except ValueError as error:
        raise Unable(f"the database's answer: expected JSON: {error}") from error


def redacted(facts: dict[str, Any], redact_sql: Callable[[str], str]) -> dict[str, Any]:
    """The same without the values that stand in statements, and in the conditions of the plan."""
    for kind in ("queries", "statements"):
        for each in facts.get(kind) or []:
            each["statement"] = redact_sql(each["statement"] or "")
    return {**facts, "plan": _without_literals(facts["plan"], redact_sql)}


def _without_literals(plan: Any, redact_sql: Callable[[str], str]) -> Any:
    if isinstance(plan, dict):
        return {key: _without_literals(value, redact_sql) for key, value in plan.items()}
    if isinstance(plan, list):
        return [_without_literals(value, redact_sql) for value in plan]
    return redact_sql(plan) if isinstance(plan, str) and "'" in plan else plan


def _by_exporter(look: Look, why: str) -> Part:
    """Where the database does not answer, what its exporter knew last."""
    try:
        exported = of_exporter(_exporter(look), look.config["database"]["name"])
    except (Unable, EngineError) as error:
        raise Unable(why) from error
    return Part(exported, f"{why}; the exporter's numbers are shown instead: not which queries run")


def of_exporter(samples: list[Sample], database: str) -> dict[str, Any]:
    """What the postgres exporter knows: connections by state, and how many there may be."""

    def single(name: str) -> int | None:
        return next((int(sample.value) for sample in samples if sample.name == name), None)

    states: dict[str, int] = {}
    for sample in samples:
        if sample.name == _EXPORTED_STATES and sample.labels.get("datname") == database and sample.value:
            state = sample.labels.get("state", "")
            states[state] = states.get(state, 0) + int(sample.value)
    unknown = dict.fromkeys(
        ("opened_total", "queries", "statements", "table", "plan", "advice", "advice_reason")
    )
    return {
        "max_connections": single(_EXPORTED_MAXIMUM),
        "reserved": single(_EXPORTED_RESERVED),
        "connections": [
            {"state": state, "application": None, "user": None, "count": count, "oldest_seconds": None}
            for state, count in sorted(states.items(), key=lambda pair: -pair[1])
        ],
        **unknown,
    }


def _ask_embedded(look: Look, question: str, options: str) -> str:
    database = look.config["database"]
    container = look.first(database["service"])
    answer = look.engine.execute(
        container.id,
        ["psql", "-XqAtw", "-U", database["user"], "-d", database["name"], "-c", question],
        look.seconds_left(),
        environment=[
            f"PGOPTIONS={options}",
            f"PGCONNECT_TIMEOUT={CONNECT_SECONDS}",
            "PGAPPNAME=soundcheck_diagnosis",
        ],
    )
    return _output(look, answer, f"psql in {container.name}")


def _ask_external(look: Look, question: str, options: str) -> str:
    container = look.first(look.config["web"]["service"])
    answer = look.engine.execute(
        container.id,
        ["python", "-c", ASK_EXTERNAL, str(CONNECT_SECONDS), look.config["database"]["sslmode"], question],
        look.seconds_left(),
        environment=[f"PGOPTIONS={options}"],
    )
    return _output(look, answer, f"psycopg in {container.name}")


def _output(look: Look, answer: Answer, what: str) -> str:
    if answer.status == 0:
        return answer.out.strip()
    # Of psql the first line says why, of a Python traceback the last.
    lines = [line for line in answer.err.splitlines() if line.strip()]
    said = lines[-1] if lines and lines[0].startswith("Traceback") else first_line(answer.err)
    raise Unable(f"{what}: {look.redact(said) or f'status {answer.status}'}")


def _exporter(look: Look) -> list[Sample]:
    exporter = look.config["postgres_exporter"]
    if exporter is None:
        raise Unable("no exporter of the database is deployed")
    container = look.first(exporter["service"])
    address = next(iter(container.addresses.values()), "")
    if not address:
        raise Unable(f"{container.name} has no address on a network of this host")
    page = fetch(address, exporter["port"], "/metrics", look.seconds_left())
    return parse(page, (_EXPORTED_STATES, _EXPORTED_MAXIMUM, _EXPORTED_RESERVED))
