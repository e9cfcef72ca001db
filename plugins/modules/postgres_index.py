#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_index
short_description: Make an index of the app's database while it serves
description:
  - Runs C(CREATE INDEX CONCURRENTLY), which stops neither reads nor writes, and has the table analysed.
  - An invalid index of the same name, which an interrupted attempt left, is removed first.
  - Nobody's password is an argument or on a command line. It asks the embedded database inside its own
    container, an external one from a container of the app.
options:
  project: {description: Compose project of the app., type: str, required: true}
  service:
    description: Service in whose containers the database is asked, its own for O(kind=embedded).
    type: str
    required: true
  kind:
    description: Whether C(psql) asks there, or Python with the app's driver and credentials.
    type: str
    choices: [embedded, external]
    required: true
  user: {description: Login of the embedded database., type: str, default: ""}
  database: {description: Name of the embedded database., type: str, default: ""}
  sslmode: {description: TLS mode of libpq to the external database., type: str, default: require}
  table: {description: "The table with its schema, quoted where SQL wants it.", type: str, required: true}
  sql:
    description:
      - One C(CREATE INDEX CONCURRENTLY IF NOT EXISTS). A valid index of its name is taken for it, so the name
        has to differ where the definition does.
    type: str
    required: true
  bytes:
    description:
      - Size that the index will about have. Twice as much must be free beside the embedded database; the
        disk of an external one is not seen.
    type: int
  lock_timeout:
    description: Seconds to wait for transactions that hold the table, or are older than the index.
    type: int
    default: 60
attributes:
  check_mode: {support: full, description: Asks and refuses the same; makes nothing.}
  diff_mode: {support: none, description: The statements are in RV(statements).}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Make the index of the realtime chart
  postgres_index:
    project: app
    service: postgres
    kind: embedded
    user: app
    database: app
    table: public.music_playlogs
    sql: >-
      CREATE INDEX CONCURRENTLY IF NOT EXISTS playlogs_played_at_idx ON public.music_playlogs (played_at)
"""

RETURN = r"""
name: {description: Name of the index., type: str, returned: always}
statements:
  description: What was run, or in check mode would be; empty when the index is there.
  type: list
  elements: str
  returned: always
bytes: {description: Size of the index; null where it is not made., type: int, returned: always}
seconds: {description: How long it took., type: float, returned: always}
"""

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.postgres_index_steps import (
    DRIVER,
    LOCK_NOT_AVAILABLE,
    Found,
    Refused,
    build,
    drop,
    free_bytes,
    index_name,
    lock_message,
    look,
    oldest_transactions,
    too_large,
)

CLEANING_SECONDS = 5
ARGUMENTS: dict[str, dict[str, Any]] = {
    "project": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True, "choices": ["embedded", "external"]},
    "user": {"type": "str", "default": ""},
    "database": {"type": "str", "default": ""},
    "sslmode": {"type": "str", "default": "require"},
    "table": {"type": "str", "required": True},
    "sql": {"type": "str", "required": True},
    "bytes": {"type": "int"},
    "lock_timeout": {"type": "int", "default": 60},
}


class AskFailed(Exception):
    """The database did not do what it was asked; the text is its own."""


class Database:
    """The app's database, asked inside a container of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        given = module.params
        self.embedded = given["kind"] == "embedded"
        labels = [f"project={given['project']}", f"service={given['service']}"]
        filters = [f"--filter=label=com.docker.compose.{label}" for label in labels]
        code, out, err = module.run_command(["docker", "ps", "--quiet", "--filter=status=running", *filters])
        if code != 0:
            raise Refused(f"Docker does not answer on this host: {err.strip()}")
        if not out.split():
            raise Refused(f"no container of service {given['service']} of project {given['project']} runs")
        self.container = out.split()[0]

    def ask(self, statements: list[str]) -> str:
        """Run statements one after the other; returns the only value of the last. Raises AskFailed."""
        given = self.module.params
        if self.embedded:
            command = ["psql", "-XqAt", "--username", given["user"], "--dbname", given["database"]]
            command += ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]
            said = "".join(f"{statement};\n" for statement in statements)
            options = []
        else:
            command = ["python", "-m", "soundcheck_env", "python", "-c", DRIVER]
            said = json.dumps(statements)
            options = [f"--env=PGSSLMODE={given['sslmode']}", "--env=PGCONNECT_TIMEOUT=10"]
        code, out, err = self.module.run_command(
            ["docker", "exec", "--interactive", *options, self.container, *command], data=said
        )
        if code != 0:
            raise AskFailed((err or out).strip())
        return out.strip()

    def find(self, table: str, name: str) -> Found:
        answer = json.loads(self.ask([look(table, name)]))
        if not answer["table"]:
            raise Refused(f"table: the database has no table {table}")
        return Found.of(answer["index"])

    def free(self) -> int | None:
        """Bytes free beside the embedded database; None for an external one."""
        if not self.embedded:
            return None
        command = ["docker", "exec", self.container, "sh", "-c", 'df -Pk "$PGDATA"']
        _code, out, _err = self.module.run_command(command)
        return free_bytes(out)


def make(module: AnsibleModule, database: Database) -> dict[str, Any]:
    """Make the index unless it is there; returns what the module does. Raises Refused and AskFailed."""
    given = module.params
    name, table, lock_seconds = index_name(given["sql"]), given["table"], given["lock_timeout"]
    found = database.find(table, name)
    if found.exists and not found.of_table:
        raise Refused(f"{name}: expected an index of {table}, got {found.sql}, which is of another table")
    if found.valid:
        return {"changed": False, "name": name, "statements": [], "bytes": found.bytes, "seconds": 0.0}
    if found.building:
        raise Refused(f"{name}: another session is making it just now; wait until it is done")
    free = database.free()
    if problem := too_large(given["bytes"], free):
        raise Refused(f"{name}: {problem}")
    if given["bytes"] is None or free is None:
        module.warn(f"{name}: whether the database's disk holds it could not be checked")
    statements = build(given["sql"], table, found, lock_seconds, embedded=database.embedded)
    result = {"changed": True, "name": name, "statements": statements, "bytes": None, "seconds": 0.0}
    if module.check_mode:
        return result
    started = time.monotonic()
    try:
        database.ask(statements)
    except AskFailed as error:
        left = clean(database, table, name, min(lock_seconds, CLEANING_SECONDS))
        if LOCK_NOT_AVAILABLE in str(error):
            transactions = json.loads(database.ask([oldest_transactions(lock_seconds)]))
            raise Refused(lock_message(name, lock_seconds, transactions, left)) from error
        raise
    made = database.find(table, name)
    return {**result, "bytes": made.bytes, "seconds": round(time.monotonic() - started, 2)}


def clean(database: Database, table: str, name: str, lock_seconds: int) -> bool:
    """Remove what a failed attempt left; whether it is still there. It costs every write to the table."""
    found = database.find(table, name)
    if not found.exists or found.valid:
        return False
    try:
        database.ask(drop(found, lock_seconds))
    except AskFailed:
        return True
    return False


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if module.params["lock_timeout"] < 1:
        module.fail_json(msg=f"lock_timeout: {module.params['lock_timeout']}; expected 1 second or more")
    try:
        result = make(module, Database(module))
    except Refused as refused:
        module.fail_json(msg=str(refused))
    except AskFailed as error:
        module.fail_json(msg=f"the database refuses: {error}")
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
