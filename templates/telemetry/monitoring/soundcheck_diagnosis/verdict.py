"""Findings of one look, ranked: causes before their symptoms, the certain before the likely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from soundcheck_diagnosis.evidence import Look, duration, number, text
from soundcheck_diagnosis.finding import HIGH, LOW, MEDIUM, Found, Remedy
from soundcheck_diagnosis.rules import RULES, Rule
from soundcheck_diagnosis.words import say

# Whatever its weight, a certain finding ranks above a likely one.
BASE = {HIGH: 0.75, MEDIUM: 0.45, LOW: 0.15}
SPAN = 0.24
BELOW = 0.01
"""A symptom's distance from its cause."""
MOST_OF_A_KIND = 3


@dataclass(frozen=True)
class Ranked:
    rule: Rule
    found: Found
    score: float
    because: str = ""


def findings(facts: Mapping[str, Any], config: Mapping[str, Any], symptom: str = "") -> list[dict[str, Any]]:
    """What is wrong, the likeliest cause first. `symptom` puts what shows as that before the rest."""
    look = Look.at(facts, config)
    ranked = explained([each for rule in RULES for each in _looked(rule, look)])
    if symptom:
        first = {each.rule.id for each in ranked if symptom in each.rule.symptoms}
        # The cause of such a symptom belongs to it.
        first |= {each.because for each in ranked if each.rule.id in first and each.because}
        ranked.sort(key=lambda each: (each.rule.id not in first, -each.score))
    return [_document(each) for each in ranked]


def explained(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Symptoms below what explains them, by score. A mere guess explains nothing."""
    left = sorted(ranked, key=lambda each: -each.score)
    done: list[Ranked] = []
    while left:
        # The relation has no circle: somebody is explained by none of the others left.
        each = next(one for one in left if not any(_explains(other, one) for other in left))
        left.remove(each)
        causes = [cause for cause in done if _explains(cause, each)]
        if causes:
            cause = max(causes, key=lambda one: one.score)
            score = min(each.score, *(one.score - BELOW for one in causes))
            each = replace(each, score=score, because=cause.because or cause.rule.id)
        done.append(each)
    return sorted(done, key=lambda each: -each.score)


def _explains(cause: Ranked, symptom: Ranked) -> bool:
    if cause.found.confidence == LOW:
        return False
    same = cause.found.about == symptom.found.about and symptom.rule.id in cause.rule.explains_same
    return same or symptom.rule.id in cause.rule.explains


def _looked(rule: Rule, look: Look) -> list[Ranked]:
    found = list(rule.look(look))
    deploy = look.deployed()
    if deploy and rule.deploy_may_cause:
        hint = say(
            "Release {version} went live {ago} ago",
            version=text(deploy, "version") or text(deploy, "id"),
            ago=duration(number(deploy, "seconds_ago")),
        )
        found = [replace(each, evidence=[*each.evidence, hint]) for each in found]
    ranked = [
        Ranked(rule, each, BASE[each.confidence] + SPAN * min(1.0, max(0.0, each.weight))) for each in found
    ]
    return sorted(ranked, key=lambda each: -each.score)[:MOST_OF_A_KIND]


def _document(ranked: Ranked) -> dict[str, Any]:
    found, remedy = ranked.found, ranked.found.remedy
    return {
        "id": ranked.rule.id,
        "title": found.title.english,
        "confidence": found.confidence,
        "score": round(ranked.score, 3),
        "because": ranked.because,
        "evidence": [phrase.english for phrase in found.evidence],
        "remedy": _remedy(remedy),
        "about": found.about,
        # For other languages: the sentences above before their words were filled in.
        "phrases": {
            "title": found.title.packed(),
            "evidence": [phrase.packed() for phrase in found.evidence],
            "say": remedy.say.packed(),
            "app": remedy.app.packed() if remedy.app else None,
        },
    }


def _remedy(remedy: Remedy) -> dict[str, Any]:
    document: dict[str, Any] = {"say": remedy.say.english}
    if remedy.variable:
        document["variable"] = remedy.variable
    if remedy.proposed is not None:
        document |= {"from": remedy.current, "to": remedy.proposed}
    if remedy.sql:
        document["sql"] = remedy.sql
    if remedy.app:
        document["app"] = remedy.app.english
    return document
