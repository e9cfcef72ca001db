"""Judge one panel or alert expression: it has data, waits for an event with a reason, or is dead (G2, G3)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .metric_probe_facts import Answer, Facts, Question
from .metric_probe_wording import FAILED, OK, SKIPPED, Check

KINDS = ("panel", "alert", "recording")
# Of a long answer the first series tell enough.
_SHOWN_VALUES = 20
_NAMED_VALUES = 3


def questions_of(parameters: list[dict[str, Any]]) -> tuple[Question, ...]:
    """Questions from the module's parameters."""
    return tuple(
        Question(**{**entry, "metrics": tuple(entry["metrics"]), "empty_reason": entry["empty_reason"] or ""})
        for entry in parameters
    )


def question_check(facts: Facts, question: Question) -> Check:
    """The check of one expression, whoever is to blame for it."""
    check = Check(
        question.source,
        f"{question.kind} {question.id}",
        OK,
        asked=question.expr,
        expected="at least one number",
        got="",
        details=_details(question, Answer()),
    )
    answer = facts.answers.get(question.id)
    if answer is None:
        return replace(check, status=FAILED, got="not asked", waiting=True)
    check = replace(check, details=_details(question, answer))
    if answer.problem:
        refused = answer.problem.status in (400, 422)
        cause = (
            f"the backend cannot evaluate the expression: correct {question.id} in role metric_catalogue"
            if refused
            else "the backend was not able to answer this query: read its log"
        )
        got = f"{question.title}: {answer.problem.text}"
        # What was parsed may still fail on series that an earlier container left behind for some minutes.
        return replace(
            check, status=FAILED, got=got, likely_cause=cause, waiting=answer.problem.status != 400
        )
    if answer.has_data:
        return replace(check, got=_shown(answer))
    missing = missing_metrics(facts, question)
    reason = question.empty_reason or _conditions(facts, missing)
    if reason:
        without = f", no sample of {', '.join(missing)}" if missing else ""
        return replace(check, got=f"not yet: {_emptiness(answer)}{without}", likely_cause=reason)
    return _dead(facts, question, answer, missing, check)


def missing_metrics(facts: Facts, question: Question) -> list[str]:
    """Metrics of an empty answer that have no sample at all of this deployment."""
    answer = facts.answers.get(question.id)
    if answer is None or answer.has_data:
        return []
    return [name for name in question.metrics if name not in facts.present]


def needs_rules(facts: Facts, question: Question) -> bool:
    """Whether a question is empty for want of a recorded metric, which only a rule can give it."""
    return any(map(_recorded, missing_metrics(facts, question)))


def _dead(facts: Facts, question: Question, answer: Answer, missing: list[str], check: Check) -> Check:
    recorded = [name for name in missing if _recorded(name)]
    if recorded:
        got = f"no sample of {', '.join(missing)}"
        cause = (
            f"no rule has recorded {recorded[0]} yet; metrics_backend_evaluation_interval is the time to it"
        )
    elif missing:
        got = f"no sample of {', '.join(missing)}"
        cause = (
            f"{missing[0]} is not exposed, or the relabelling of metric_catalogue_{question.source} drops it;"
            " is the name right?"
        )
    elif answer.values:
        got = _emptiness(answer)
        cause = "it divides by nothing, or by zero: nothing of what it measures has happened yet"
    else:
        have = "has" if len(question.metrics) == 1 else "have"
        names = f" although {', '.join(question.metrics)} {have} samples" if question.metrics else ""
        got = f"no series{names}"
        cause = (
            "its label matchers or the labels of its operands fit none of the stored series,"
            " or a rate has only one sample so far"
        )
    check = replace(check, got=f"{question.title}: {got}", likely_cause=cause)
    if recorded and facts.check_mode:
        return replace(check, status=SKIPPED, got=f"{check.got}; check mode loads no rules")
    return replace(check, status=FAILED, waiting=True)


def _conditions(facts: Facts, missing: list[str]) -> str:
    """Why the catalogue expects these metrics to be missing; nothing when one of them has to be there."""
    promises = [p for source in facts.sources for p in source.promised if p.stored in missing]
    explained = {p.stored: p.when for p in promises if p.when}
    due = {p.stored for p in promises if not p.when}
    if due or explained.keys() != set(missing):
        return ""
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(explained.items()))


def _recorded(name: str) -> bool:
    """Prometheus' convention: colons are for the results of recording rules."""
    return ":" in name


def _emptiness(answer: Answer) -> str:
    if not answer.values:
        return "no data"
    kinds = sorted({"NaN" if math.isnan(value) else "infinity" for _labels, value in answer.values})
    return f"{_counted(answer)}, all {' or '.join(kinds)}"


def _shown(answer: Answer) -> str:
    finite = [value for _labels, value in answer.values if math.isfinite(value)]
    named = ", ".join(f"{value:.4g}" for value in finite[:_NAMED_VALUES])
    more = ", ..." if len(finite) > _NAMED_VALUES else ""
    return f"{_counted(answer)}: {named}{more}"


def _counted(answer: Answer) -> str:
    return f"{len(answer.values)} series"


def _details(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "kind": question.kind,
        "id": question.id,
        "title": question.title,
        "has_data": answer.has_data,
        "series": len(answer.values),
        "values": [_value(labels, value) for labels, value in answer.values[:_SHOWN_VALUES]],
    }


def _value(labels: Mapping[str, str], value: float) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity: text, in Prometheus' spelling."""
    special = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
    return {"labels": dict(labels), "value": special.get(str(value), value)}


def mentioned(question: Question, service: str) -> bool:
    """Whether the expression selects this service by name (T7)."""
    return re.search(rf'"(?:[^"]*\|)?{re.escape(service)}(?:\|[^"]*)?"', question.expr) is not None
