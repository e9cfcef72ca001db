"""The command: options, what is printed, and the exit status (0 clean, 1 findings, 2 unable)."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soundcheck_diagnosis import sections, text, verdict, watch
from soundcheck_diagnosis.docker_api import SOCKET

CLEAN, FINDINGS, UNABLE = 0, 1, 2
SCHEMA = 1
CONFIG = Path(__file__).resolve().parents[1] / "diagnosis.json"
LONGEST_SINCE = 24 * 3600

_UNITS = {"s": 1, "m": 60, "h": 3600}


class ConfigError(Exception):
    """The configuration that the deploy writes is not there, or not of this version."""


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    try:
        config = load(options.config)
    except ConfigError as error:
        return _unable(str(error))
    if problem := no_access():
        return _unable(problem)
    if options.watch:
        return watch.main(config, sections.collect)

    facts = sections.collect(config, options.since)
    findings = verdict.findings(facts, config, options.symptom)
    if options.json:
        print(json.dumps({"facts": facts, "findings": findings}, indent=1, ensure_ascii=False))
    else:
        _speak_utf8()
        width = min(shutil.get_terminal_size((80, 24)).columns, 120)
        color = sys.stdout.isatty() and not options.no_color and "NO_COLOR" not in os.environ
        locale = options.locale or locale_of(os.environ, config.get("locale", "en"))
        print(text.render(facts, findings, locale, width=max(width, 80), color=color))
    return status(facts, findings)


def status(facts: Mapping[str, Any], findings: Sequence[Any]) -> int:
    """An incomplete look that found nothing is not clean."""
    if findings:
        return FINDINGS
    complete = all(section["state"] == "ok" for section in facts["sections"].values())
    return CLEAN if complete else UNABLE


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="debug_cpu_spike.sh",
        description="What burns this server's CPU, why, and which variable remedies it.",
        epilog="Exit status: 0 nothing found, 1 findings, 2 unable to look everywhere.",
        allow_abbrev=False,
    )
    made.add_argument("--json", action="store_true", help="facts and findings for machines")
    made.add_argument(
        "--since", type=seconds, default="15m", metavar="15m", help="how far back logs are read (s, m or h)"
    )
    made.add_argument(
        "--symptom", choices=("cpu", "memory", "connections"), default="", help="what was noticed"
    )
    made.add_argument("--locale", choices=("en", "ko"), help="language; that of the shell by default")
    made.add_argument(
        "--watch", action="store_true", help="look, and keep a bundle only at the moment of a spike"
    )
    made.add_argument("--no-color", action="store_true", help="no colours on a terminal either")
    made.add_argument(
        "--config", type=Path, default=CONFIG, metavar="PATH", help="configuration of the deploy"
    )
    return made


def seconds(told: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([smh])", told)
    if not found or (amount := int(found[1]) * _UNITS[found[2]]) > LONGEST_SINCE:
        raise argparse.ArgumentTypeError(
            f"expected a number with s, m or h such as 15m, at most 24h, got {told!r}"
        )
    return amount


def locale_of(environment: Mapping[str, str], default: str) -> str:
    """By the first of the shell's variables that is set; of a shell without a language, the deploy's."""
    variables = ("LC_ALL", "LC_MESSAGES", "LANG")
    told = next((environment[name] for name in variables if environment.get(name)), "")
    language = re.split(r"[_.@]", told)[0]
    if language in ("", "C", "POSIX"):
        return default
    return "ko" if language == "ko" else "en"


def load(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; deploy_telemetry.yml writes it") from error
    except ValueError as error:
        raise ConfigError(f"{path}: expected JSON: {error}") from error
    found = config.get("schema") if isinstance(config, dict) else None
    if found != SCHEMA:
        raise ConfigError(f"{path}: expected schema {SCHEMA}, got {found!r}; deploy the telemetry again")
    return dict(config)


def no_access(socket: str = SOCKET) -> str:
    """Why this user can see nothing; empty for root, whose Docker may still be down."""
    if os.geteuid() == 0 or os.access(socket, os.R_OK | os.W_OK):
        return ""
    return f"user {os.geteuid()} may not use {socket}: run it as root, with sudo"


def _unable(sentence: str) -> int:
    print(f"debug_cpu_spike.sh: {sentence}", file=sys.stderr)
    return UNABLE


def _speak_utf8() -> None:
    """Whatever the shell's locale: a name of a task may hold any letter."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
