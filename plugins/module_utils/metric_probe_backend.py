"""Judge the backend: it answers, and where it is a Prometheus of ours, its rules are loaded and healthy."""

from __future__ import annotations

from dataclasses import replace

from .metric_probe_facts import Facts, Rule
from .metric_probe_wording import BACKEND, FAILED, OK, RULES, SKIPPED, TRANSIENT, Check, container_cause

_NOT_LOADED = (
    "the backend runs with another rule file: run deploy.yml; read `docker compose logs metrics-backend`"
)
_FAILING = "the rule's expression does not fit the stored series: correct it in role metric_catalogue"
_UNKNOWN = "metrics_backend_evaluation_interval is the time to the first evaluation"


def backend_check(facts: Facts) -> Check:
    """Whether it answers a query at all."""
    problem = facts.backend_problem
    check = Check(BACKEND, "query", OK, f"{facts.backend_url}/api/v1/query", "an answer", "answers")
    if problem is None:
        return check
    stopped = next((c for c in facts.containers if c.service == "metrics-backend" and not c.running), None)
    embedded = any(c.service == "metrics-backend" for c in facts.containers)
    if facts.check_mode and problem.kind == "refused" and not embedded:
        return replace(check, status=SKIPPED, got="not deployed yet; check mode deploys nothing")
    if stopped:
        cause, waiting = container_cause(stopped), stopped.status in TRANSIENT
    elif problem.status in (401, 403):
        cause, waiting = "vault_metrics_read_password or its user is not what the backend knows", False
    elif embedded:
        cause, waiting = "the backend still starts; read `docker compose logs metrics-backend`", True
    else:
        cause = "metrics_destination and grafana_cloud.query_url must name a Prometheus API this host reaches"
        waiting = problem.kind == "timeout" or problem.status >= 500
    return replace(check, status=FAILED, got=problem.text, likely_cause=cause, waiting=waiting)


def rules_check(facts: Facts) -> Check | None:
    """Every expected rule, or nothing where no rule is expected of this backend."""
    if not facts.expected_rules:
        return None
    loaded = {(rule.group, rule.name): rule for rule in facts.rules.loaded} if facts.rules else {}
    number = len(facts.expected_rules)
    check = Check(
        BACKEND,
        RULES,
        OK,
        asked=f"{facts.backend_url}/api/v1/rules",
        expected=f"{number} rules, loaded and healthy",
        got=f"{number} of {number} rules healthy",
    )
    if facts.rules is None:
        return replace(check, status=FAILED, got="not asked", waiting=True)
    if facts.rules.problem:
        cause = "the backend answers queries but not this: is it a Prometheus with rules?"
        return replace(check, status=FAILED, got=facts.rules.problem.text, likely_cause=cause, waiting=True)
    expected = [loaded[key] for key in facts.expected_rules if key in loaded]
    failing = [rule for rule in expected if rule.health == "err"]
    unknown = [rule for rule in expected if rule.health not in ("ok", "err")]
    missing = [f"{group}/{name}" for group, name in facts.expected_rules if (group, name) not in loaded]
    if missing and facts.check_mode and not failing:
        got = f"not loaded: {', '.join(missing)}; check mode deploys none"
        return replace(check, status=SKIPPED, got=got)
    verdicts = (
        ("not loaded: ", ", ".join(missing), _NOT_LOADED),
        (
            "failing: ",
            "; ".join(f"{_name(rule)}: {rule.error or 'no reason given'}" for rule in failing),
            _FAILING,
        ),
        ("not evaluated yet: ", ", ".join(map(_name, unknown)), _UNKNOWN),
    )
    found = [(what + names, cause) for what, names, cause in verdicts if names]
    if not found:
        return check
    return replace(
        check,
        status=FAILED,
        got="; ".join(got for got, _cause in found),
        likely_cause=found[0][1],
        waiting=not missing,
    )


def _name(rule: Rule) -> str:
    return f"{rule.group}/{rule.name}"
