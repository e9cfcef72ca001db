"""What a verification asks beside the promised metrics: expressions and rules of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import promql_parser
from ansible.errors import AnsibleFilterError

Sources = Mapping[str, Mapping[str, Any]]


def verification_questions(questions: Sequence[Mapping[str, Any]], sources: Sources) -> list[dict[str, Any]]:
    """The catalogue's questions as metric_probe takes them: with the metrics that each expression needs.

    Their expressions select this host alone already. What needs a metric of a source that is not deployed is
    expected to be empty.
    """
    deployed = [name for name, source in sources.items() if source["enabled"]]
    asked = []
    for question in questions:
        identity = " ".join(filter(None, [question.get("guide"), question["id"]]))
        if question["source"] not in deployed:
            raise AnsibleFilterError(
                f"{identity}: source {question['source']!r} is not deployed, unlike {', '.join(deployed)}"
            )
        metrics = expression_metrics(question["expr"], identity)
        asked.append(
            {
                **{key: str(question[key]) for key in ("kind", "source", "title")},
                "id": identity,
                # A report shows it in a line; a text in double quotes holds no line break.
                "expr": re.sub(r"\s*\n\s*", " ", question["expr"].strip()),
                "metrics": metrics,
                "empty_reason": question["empty_reason"] or _without_source(metrics, sources),
            }
        )
    return asked


def expression_metrics(expression: str, identity: str) -> list[str]:
    """Names of the metrics in an expression, in the order of their appearance."""
    names: dict[str, None] = {}

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            equal = promql_parser.MatchOp.Equal
            matched = [m.value for m in node.matchers.matchers if (m.name, m.op) == ("__name__", equal)]
            names.update(dict.fromkeys([node.name] if node.name else matched))
        return True

    try:
        promql_parser.walk(promql_parser.parse(expression), visit)
    except ValueError as error:
        raise AnsibleFilterError(f"{identity}: {expression!r} is not PromQL: {error}") from None
    return list(names)


def _without_source(metrics: list[str], sources: Sources) -> str:
    """Why there can be no data when only sources that are not deployed promise one of the metrics."""
    for metric in metrics:
        promising = {
            name: source["enabled"]
            for name, source in sources.items()
            if metric in {promise.get("stored", promise["exposed"]) for promise in source["promised"]}
        }
        if promising and not any(promising.values()):
            return f"{metric} comes from source {', '.join(promising)}, which is not deployed"
    return ""


def expected_rules(rules: Mapping[str, Any]) -> list[dict[str, str]]:
    """Group and name of each rule in the content of a Prometheus rule file."""
    return [
        {"group": str(group["name"]), "name": str(rule.get("alert") or rule["record"])}
        for group in rules["groups"]
        for rule in group["rules"]
    ]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"verification_questions": verification_questions, "expected_rules": expected_rules}
