"""Ask the backend what the catalogue's expressions say, which rules are loaded, and what it all costs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from .metric_probe_asking import Backend
from .metric_probe_budget import ACTIVE_WINDOW, BUDGET, SERIES
from .metric_probe_facts import Answer, Facts, Usage
from .metric_probe_wording import BACKEND, RULES

# As many as a browser asks at once for a dashboard.
_AT_ONCE = 6


def all_queries(facts: Facts) -> set[tuple[str, str]]:
    """Source and check of everything that ask_catalogue can ask."""
    return {(question.source, question.kind) for question in facts.questions} | {
        (BACKEND, RULES),
        (BUDGET, SERIES),
    }


def ask_catalogue(backend: Backend, facts: Facts, open_questions: set[tuple[str, str]]) -> None:
    """Put the open ones of these questions, unless the backend answers nothing at all."""
    if facts.backend_problem:
        return
    questions = [
        question
        for question in facts.questions
        if (question.source, question.kind) in open_questions
        and not facts.answers.get(question.id, Answer()).has_data
    ]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        answers = pool.map(backend.answer, [question.expr for question in questions])
        if facts.expected_rules and (BACKEND, RULES) in open_questions:
            facts.rules = backend.rules()
        if facts.budget and (BUDGET, SERIES) in open_questions:
            facts.usage = _usage(backend)
        facts.answers |= {question.id: answer for question, answer in zip(questions, answers, strict=True)}
    _look_for_metrics(backend, facts)


def _usage(backend: Backend) -> Usage:
    active, problem = backend.series_per_job(ACTIVE_WINDOW)
    current, second_problem = backend.series_per_job()
    return Usage(problem or second_problem, active, current)


def _look_for_metrics(backend: Backend, facts: Facts) -> None:
    """Learn which metrics of the empty answers have samples at all: it tells what is missing."""
    answers = [(q, facts.answers[q.id]) for q in facts.questions if q.id in facts.answers]
    empty = [question for question, answer in answers if not (answer.problem or answer.has_data)]
    names = {name for question in empty for name in question.metrics}
    if not names:
        return
    facts.present, problem = backend.present(names)
    if problem:
        facts.answers |= {question.id: Answer(problem) for question in empty}
