"""The program that brings the app's secrets past `docker inspect`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from plugins.filter.app_stack import env_file
from tests.unit.shim_modules import SHIMS, load_shim

VALUES = {"DATABASE_PASSWORD": 'a$b#c "d"= \\n', "EMPTY": "", "URL": "amqp://app:p%40ss@rabbitmq:5672/app"}


@pytest.fixture
def shim() -> ModuleType:
    return load_shim("soundcheck_env")


def secrets(folder: Path, content: str = "# Managed by Soundcheck\n" + env_file(VALUES)) -> Path:
    path = folder / "environment"
    path.write_text(content, encoding="utf-8")
    return path


def test_what_the_deploy_writes_is_what_the_program_sees(shim: ModuleType, tmp_path: Path) -> None:
    environ = {"SOUNDCHECK_SECRETS_FILE": str(secrets(tmp_path)), "URL": "a default of the image"}

    shim.load(environ)

    assert environ == VALUES


def test_secrets_are_read_once(shim: ModuleType, tmp_path: Path) -> None:
    """What an entry point made of them stays, although the app's settings ask again."""
    environ = {"SOUNDCHECK_SECRETS_FILE": str(secrets(tmp_path))}

    shim.load(environ)
    environ["URL"] = "changed by the image's entry point"
    shim.load(environ)

    assert environ["URL"] == "changed by the image's entry point"


def test_without_a_file_nothing_is_set(shim: ModuleType) -> None:
    environ = {"URL": "kept"}

    shim.load(environ)

    assert environ == {"URL": "kept"}


@pytest.mark.parametrize(
    ("content", "line"),
    [("A='1'\nno assignment", 2), ("A=unquoted", 1), ("A='", 1), ("1A='1'", 1), ("export A='1'", 1)],
)
def test_another_file_is_refused_without_showing_it(
    shim: ModuleType, tmp_path: Path, content: str, line: int
) -> None:
    with pytest.raises(shim.SecretsError, match=rf"line {line}: expected NAME='value'$"):
        shim.load({"SOUNDCHECK_SECRETS_FILE": str(secrets(tmp_path, content))})


def start(*arguments: str, file: Path | None = None) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SHIMS), "PYTHONDONTWRITEBYTECODE": "1"}
    if file is not None:
        environment["SOUNDCHECK_SECRETS_FILE"] = str(file)
    return subprocess.Popen(
        [sys.executable, "-m", "soundcheck_env", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_program_takes_over_process_and_arguments(tmp_path: Path) -> None:
    """In the container it is process 1 then, and gets the signals."""
    code = "import os, sys; print(os.getpid(), sys.argv[1:], os.environ['DATABASE_PASSWORD'])"

    with start(sys.executable, "-c", code, "--workers", "3", file=secrets(tmp_path)) as program:
        output, _ = program.communicate(timeout=30)

    assert program.returncode == 0
    assert output == f"{program.pid} ['--workers', '3'] {VALUES['DATABASE_PASSWORD']}\n"


@pytest.mark.parametrize(
    ("arguments", "file", "status", "words"),
    [
        ([], None, 2, "usage: python -m soundcheck_env <program>"),
        (["no-such-program"], None, 127, "soundcheck_env: no-such-program: No such file or directory"),
        (["true"], "/nonexistent/file", 1, "/nonexistent/file: No such file or directory; expected a file"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], file: str | None, status: int, words: str) -> None:
    """Bad input: no program, an unknown one, a file that is not there."""
    with start(*arguments, file=Path(file) if file else None) as program:
        _, errors = program.communicate(timeout=30)

    assert program.returncode == status
    assert words in errors
    assert len(errors.splitlines()) == 1
