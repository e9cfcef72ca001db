"""The catalogue's expressions as questions to a backend that also holds other hosts.

Every selector of an expression gets the external labels of this deployment as matchers. So the catalogue
writes an expression once, for a dashboard that shows several hosts, and the verification asks about this
host alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import promql_parser
from ansible.errors import AnsibleFilterError

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def verification_questions(
    questions: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Questions as metric_probe takes them, without those of sources that are not deployed.

    What needs a metric of such a source, but belongs to another one, is expected to be empty.
    """
    asked = []
    for question in questions:
        identity = question["id"]
        if question["source"] not in sources:
            known = ", ".join(sources)
            raise AnsibleFilterError(f"{identity}: source {question['source']!r} is none of {known}")
        if not sources[question["source"]]["enabled"]:
            continue
        metrics = expression_metrics(question["expr"], identity)
        asked.append(
            {
                **{key: str(question[key]) for key in ("id", "kind", "source", "title")},
                "expr": limited_expression(question["expr"], labels, identity),
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
            named = [m.value for m in node.matchers.matchers if (m.name, _operator(m)) == ("__name__", "=")]
            names.update(dict.fromkeys([node.name] if node.name else named))
        return True

    promql_parser.walk(_parsed(expression, identity), visit)
    return list(names)


def limited_expression(expression: str, labels: Mapping[str, Any], identity: str) -> str:
    """The same expression over the series that carry all these labels."""
    # The parser prints text without its escapes: while it works, a number stands for each text.
    texts: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return f'"{len(texts) - 1}"'

    numbered = _TEXT.sub(lambda match: keep(match[0]), expression)
    _parsed(expression, identity)
    added = [f"{name}={keep(json.dumps(str(value), ensure_ascii=False))}" for name, value in labels.items()]

    def visit(node: promql_parser.Expr) -> promql_parser.Expr | None:
        if not isinstance(node, promql_parser.VectorSelector):
            return None
        if node.matchers.or_matchers:
            raise AnsibleFilterError(f"{identity}: {expression!r} has `or` between matchers: write a regex")
        written = [f'{m.name}{_operator(m)}"{m.value}"' for m in node.matchers.matchers]
        return promql_parser.parse(f"{node.name or ''}{{{','.join([*written, *added])}}}{_shift(node)}")

    limited = promql_parser.transform(_parsed(numbered, identity), post_visit=visit)
    printed = str(limited)
    if repr(_parsed(printed, identity)) != repr(limited):
        raise AnsibleFilterError(f"{identity}: promql-parser prints {expression!r} as {printed!r}")
    return re.sub(r'"(\d+)"', lambda match: texts[int(match[1])], printed)


def _shift(node: promql_parser.VectorSelector) -> str:
    """The modifiers of a selector, which the parser keeps out of its matchers."""
    return str(node).rsplit("}", 1)[1]


def _operator(matcher: promql_parser.Matcher) -> str:
    return _OPERATORS[str(matcher.op).rsplit(".", 1)[-1]]


def _parsed(expression: str, identity: str) -> promql_parser.Expr:
    try:
        return promql_parser.parse(expression)
    except ValueError as error:
        raise AnsibleFilterError(f"{identity}: {expression!r} is not PromQL: {error}") from None


def _without_source(metrics: list[str], sources: Mapping[str, Mapping[str, Any]]) -> str:
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
