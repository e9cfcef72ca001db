"""Start a program with its secrets in the environment: `python -m soundcheck_env gunicorn ...`.

What Compose reads from an env file stands in `docker inspect`, for everyone who may ask the engine. This
reads the mounted file that SOUNDCHECK_SECRETS_FILE names, and then becomes the program: it keeps the process
id, and so gets the container's signals.

Needs nothing but Python's standard library: it starts before anything of the image's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "SOUNDCHECK_SECRETS_FILE"


class SecretsError(RuntimeError):
    """The file is not there, cannot be read, or is no file of secrets."""


def load(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what the file says, over what the image says; once, so that what is changed afterwards stays."""
    name = environ.pop(VARIABLE, "")
    if name:
        environ.update(_read(Path(name)))


def _read(path: Path) -> dict[str, str]:
    """Lines NAME='value', comments and empty lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        groups = ", ".join(map(str, os.getgroups()))
        raise SecretsError(
            f"{path}: {error.strerror}; expected a file that user {os.getuid()} of groups {groups} may read"
        ) from error
    variables = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        variable, _, quoted = line.partition("=")
        if not variable.isidentifier() or len(quoted) < 2 or quoted[0] != "'" or quoted[-1] != "'":
            # What came instead may be a secret.
            raise SecretsError(f"{path}: line {number}: expected NAME='value'")
        variables[variable] = quoted[1:-1]
    return variables


def main(arguments: list[str]) -> int:
    """Does not return unless something is wrong."""
    if not arguments:
        print("usage: python -m soundcheck_env <program> [<argument> ...]", file=sys.stderr)
        return 2
    try:
        load()
        os.execvp(arguments[0], arguments)
    except SecretsError as error:
        print(f"soundcheck_env: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"soundcheck_env: {arguments[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
