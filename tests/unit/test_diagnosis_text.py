"""The report fits the terminal, says everything in both languages, and no log line steers the terminal."""

from __future__ import annotations

import ast
import json
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit._diagnosis_facts import CONFIG, M, container, healthy, service, sick
from tests.unit.diagnosis_modules import PACKAGE, load_diagnosis
from tests.unit.test_diagnosis_rules import CASES, everything_wrong, shapes, without

text = load_diagnosis("text")
verdict = load_diagnosis("verdict")
words = load_diagnosis("words")

GUIDE = (
    "Top processes per container",
    "Celery tasks running now",
    "Recent error lines",
    "Database connections",
    "Resources per container",
)
HANGUL = re.compile("[\uac00-\ud7a3]")


def report(facts: dict[str, Any], locale: str = "en", **options: Any) -> str:
    shown: str = text.render(facts, verdict.findings(facts, CONFIG), locale, **options)
    return shown


def spoken() -> set[str]:
    """Every text that rules and report give to be said, read from their source."""
    found = set()
    for module in (*sorted(PACKAGE.glob("rules_*.py")), PACKAGE / "verdict.py", PACKAGE / "text.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            first = node.args[0]
            if name in ("say", "translate", "heading"):
                found |= {
                    each.value
                    for each in ast.walk(first)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
            if name == "table" and isinstance(first, ast.Tuple):
                found |= {str(each.value) for each in first.elts if isinstance(each, ast.Constant)}
    return found - {""}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


SAME_IN_KOREAN = {"PID", "CPU", "RSS"}


def test_every_english_text_has_its_korean() -> None:
    said = spoken()
    assert len(said) > 100
    assert said - set(words.KOREAN) - SAME_IN_KOREAN == set()


def test_no_korean_text_is_left_over() -> None:
    headings = {
        *GUIDE,
        "Server",
        "Memory of tasks",
        "Queues",
        "Web workers",
        "Processes outside the stack",
        "Last deploys",
    }
    shown = {"high", "medium", "low", "unknown", "unable", "incomplete", "none", "not asked"}
    heads = {"container", "throttled", "memory", "limit", "restarts", "status"}
    assert set(words.KOREAN) - spoken() - headings - shown - heads == set()


@pytest.mark.parametrize("english", sorted(words.KOREAN))
def test_a_translation_has_the_same_placeholders(english: str) -> None:
    korean = words.KOREAN[english]
    assert placeholders(korean) == placeholders(english)
    assert HANGUL.search(korean)


def test_the_verdict_comes_first_then_the_guides_sections_in_its_order() -> None:
    shown = report(healthy())
    places = [shown.index(heading) for heading in ("Verdict", *GUIDE, "Server")]
    assert places == sorted(places)
    assert "No cause found" in shown


@pytest.mark.parametrize("locale", ["en", "ko"])
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("cause", CASES)
def test_every_line_fits(cause: str, width: int, locale: str) -> None:
    shown = report(sick(CASES[cause][0]), locale, width=width)
    assert [line for line in shown.splitlines() if text.columns(line) > width] == []


@pytest.mark.parametrize("cause", CASES)
def test_korean_findings_are_korean(cause: str) -> None:
    facts = sick(CASES[cause][0])
    for finding in verdict.findings(facts, CONFIG):
        shown = text.render({}, [finding], "ko")
        body = shown.partition("판정")[2].partition("--")[0]
        for sentence in [
            finding["title"],
            *finding["evidence"],
            finding["remedy"]["say"],
            finding["remedy"].get("app"),
        ]:
            assert not sentence or sentence not in " ".join(body.split()), sentence


def test_findings_are_shown_from_their_json() -> None:
    findings = json.loads(json.dumps(verdict.findings(everything_wrong(), CONFIG)))
    shown = text.render(everything_wrong(), findings, "ko")
    assert "{" not in shown.partition("--")[0].replace("{'expires'", "")
    assert "follows from" not in shown


def test_a_finding_shows_its_change() -> None:
    shown = report(sick(CASES["memory-limit"][0]))
    assert "1. [high] The memory limit of celery-ai is too small (memory-limit)" in shown
    assert "app_stack_workers[celery-ai].memory: 350M -> 448M" in shown
    assert "350M x 1.25, rounded up to 64M = 448M" in shown


def test_the_statement_of_a_remedy_is_shown_whole() -> None:
    shown = report(sick(CASES["missing-index"][0]))
    assert (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS music_playlogs_x ON music_playlogs (is_deleted, played_at)"
        in (" ".join(shown.split()))
    )


@pytest.mark.parametrize(
    ("state", "problem", "line"),
    [
        (
            "unable",
            "no permission on /var/run/docker.sock",
            "  unable: no permission on /var/run/docker.sock",
        ),
        ("partial", "1 of 7 containers did not answer", "  incomplete: 1 of 7 containers did not answer"),
    ],
)
def test_a_section_that_could_not_be_asked_says_so_in_a_line(state: str, problem: str, line: str) -> None:
    facts = healthy()
    facts["sections"]["database"] = {"state": state, "seconds": 2.0, "problem": problem}
    shown = report(facts).splitlines()
    after = shown[next(index for index, each in enumerate(shown) if "Database connections" in each) + 1 :]
    assert after[0] == line
    assert (after[1] == "") == (state == "unable")
    assert "  1 sections could not be asked in full: this look is incomplete" in shown


def test_what_is_unknown_is_no_zero() -> None:
    facts = healthy()
    service(facts, "celery").update(cpu_percent=None, memory=None, memory_limit=None)
    facts["server"]["busy_percent"] = None
    shown = report(facts)
    assert re.search(r"celery +- +- +- +- +0 +running", shown)
    assert "CPU unknown % of 2 cores" in shown


def test_colour_is_only_given_when_asked() -> None:
    facts = sick(CASES["memory-limit"][0])
    assert "\033" not in report(facts)
    assert "\033[31m1. [high]" in report(facts, color=True)


def test_a_log_line_does_not_steer_the_terminal() -> None:
    facts = healthy()
    nasty = "\033[2J\033]0;owned\a\x9b31m \u202egnirts\r\nmore"
    service(facts, "backend")["log"]["errors"] = [{"seconds_ago": 1.0, "text": nasty, "count": 2}]
    service(facts, "backend")["processes"][0]["command"] = nasty
    facts["host"] = nasty
    shown = report(facts)
    assert not {"\033", "\a", "\x9b", "\u202e", "\r"} & set(shown)


def test_every_container_is_shown_and_long_lists_end() -> None:
    facts = healthy()
    facts["containers"] = [container(f"worker{number}") for number in range(30)]
    facts["tasks"]["running"] = [
        {"id": str(number), "name": "t", "worker": "celery", "seconds": 1.0 * number, "arguments": ""}
        for number in range(30)
    ]
    shown = report(facts)
    assert all(shown.count(f"worker{number} ") >= 2 for number in range(30))
    assert "left out: 18" in shown


@given(st.text(st.sampled_from("ab 한글é\u0301漢 \t"), max_size=200), st.integers(40, 100))
def test_wrapping_keeps_the_words_and_the_width(line: str, width: int) -> None:
    lines = text.wrap(line, width, "  - ", "    ")
    assert all(text.columns(each) <= width for each in lines)
    assert "".join("".join(lines)[4:].split()) == "".join(line.split())


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [
        ("작업 실행", 20, "작업 실행"),
        ("작업 실행", 6, "작업…"),
        ("작업실행", 6, "작업…"),
        ("abcdef", 4, "abc…"),
        ("", 4, ""),
    ],
)
def test_cutting_counts_korean_letters_twice(line: str, width: int, expected: str) -> None:
    assert text.cut(line, width) == expected


def test_any_missing_part_is_survived() -> None:
    facts = everything_wrong()
    for path in shapes(facts):
        text.render(without(facts, path), [], "ko")
    assert "not asked" in text.render({}, [])


@pytest.mark.parametrize("cause", CASES)
def test_a_finding_without_its_phrases_is_shown_in_english(cause: str) -> None:
    finding = verdict.findings(sick(CASES[cause][0]), CONFIG)[0]
    bare = {key: value for key, value in finding.items() if key != "phrases"}
    shown = " ".join(text.render({}, [bare], "ko", width=500).split())
    assert all(" ".join(sentence.split()) in shown for sentence in [finding["title"], *finding["evidence"]])


def test_sizes_and_durations_are_short() -> None:
    shown = report(sick(lambda facts: facts["server"]["memory"].update(total=64 * 1024 * M)))
    assert "1500M available of 65536M" in shown
    assert "(looked back 15 min, took 2.9 s)" in shown
    assert "최근 15분, 소요 2.9초" in report(healthy(), "ko")
