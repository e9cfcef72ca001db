"""The catalogue's alerts as a Prometheus rule file and as Grafana-managed rule groups, from the same entries.

Both ask the same expression. The catalogue has no recording rules: Grafana Cloud would evaluate none that are
not managed by Grafana, and where one would be needed the expression holds it as a subquery.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Literal

from grafana_foundation_sdk.builders import alerting, expr, prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RelativeTimeRange
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Prometheus' comparison -> Grafana's evaluator.
EVALUATORS: dict[str, Literal["gt", "gte", "lt"]] = {">": "gt", ">=": "gte", "<": "lt"}
# A query that cannot be asked says nothing about the service: it is neither well nor unwell.
ON_ERROR: Literal["Error"] = "Error"
EXPRESSIONS = "__expr__"
# Instant queries look at now; the range is what Grafana wants stated.
LOOK_BACK = 600

Entry = Mapping[str, Any]


def prometheus_rules(entries: Entry, labels: Mapping[str, str]) -> dict[str, Any]:
    """A rule file: one group for each source that has alerts."""
    groups = [
        {
            "name": f"soundcheck-{source}",
            "rules": [
                {
                    "alert": alert["title"],
                    "expr": f"({alert['line']}) {alert['comparison']} {_number(alert['threshold'])}",
                    "for": alert["for"],
                    "labels": _labels(alert, labels),
                    "annotations": _annotations(alert, '{{ $value | printf "%.4g" }}'),
                }
                for alert in alerts
            ],
        }
        for source, alerts in groupby(entries["alerts"], key=lambda alert: alert["source"])
    ]
    return {"groups": groups}


def grafana_rule_groups(
    entries: Entry, labels: Mapping[str, str], datasource_uid: str, interval: int
) -> list[dict[str, Any]]:
    """Rule groups of Grafana's provisioning API, one for each source; whoever writes them chooses the folder.

    Their names and uids hold environment and host: each host's deploy keeps its own rules.
    """
    groups = []
    for source, alerts in groupby(entries["alerts"], key=lambda alert: alert["source"]):
        title = f"soundcheck-{labels['environment']}-{labels['host']}-{source}"
        group = alerting.RuleGroup(title).interval(int(interval))
        for alert in alerts:
            group.with_rule(_rule(alert, labels, datasource_uid).rule_group(title))
        body = json.loads(json.dumps(group.build(), cls=JSONEncoder))
        for rule in body["rules"]:
            # The organisation is the token's, the folder that of the provisioning.
            del rule["orgID"], rule["folderUID"]
        groups.append({"title": title, "interval": body["interval"], "rules": body["rules"]})
    return groups


def _rule(alert: Entry, labels: Mapping[str, str], datasource_uid: str) -> alerting.Rule:
    """Query A as it stands, B its number, C the condition: a healthy service is a number, not No Data."""
    model = prometheus.Dataquery().expr(alert["expr"]).instant().ref_id("A")
    model.datasource(DataSourceRef(type_val="prometheus", uid=datasource_uid))
    expressions = DataSourceRef(type_val=EXPRESSIONS, uid=EXPRESSIONS)
    number = expr.TypeReduce().expression("A").reducer("last").ref_id("B").datasource(expressions)
    evaluator = expr.ExprTypeThresholdConditionsEvaluator().type(EVALUATORS[alert["comparison"]])
    evaluator.params([alert["threshold"]])
    condition = expr.TypeThreshold().expression("B").ref_id("C").datasource(expressions)
    condition.conditions([expr.ExprTypeThresholdConditions().evaluator(evaluator)])
    uid = hashlib.sha256(f"{labels['environment']}\0{labels['host']}".encode()).hexdigest()[:8]
    annotations = _annotations(alert, '{{ printf "%.4g" $values.B.Value }}')
    if alert["dashboard"]:
        annotations |= {"__dashboardUid__": f"soundcheck-{alert['dashboard']}"}
        annotations |= {"__panelId__": str(alert["panel_number"])}
    return (
        alerting.Rule(alert["title"])
        .uid(f"soundcheck-{alert['id']}-{uid}")
        .condition("C")
        .queries(
            [
                alerting.Query("A")
                .datasource_uid(datasource_uid)
                .model(model)
                .relative_time_range(RelativeTimeRange(from_val=LOOK_BACK, to=0)),
                alerting.Query("B").datasource_uid(EXPRESSIONS).model(number),
                alerting.Query("C").datasource_uid(EXPRESSIONS).model(condition),
            ]
        )
        .for_val(alert["for"])
        .no_data_state(alert["no_data"]["state"])
        .exec_err_state(ON_ERROR)
        .labels(_labels(alert, labels))
        .annotations(annotations)
    )


def _labels(alert: Entry, labels: Mapping[str, str]) -> dict[str, str]:
    """What routes and silences match; an aggregation leaves none of the series' own labels."""
    return {
        "alert_id": alert["id"],
        "severity": alert["severity"],
        "source": alert["source"],
        **{label: str(labels[label]) for label in ("environment", "host")},
    }


def _annotations(alert: Entry, value: str) -> dict[str, str]:
    """The message in the words of its rule's templates, and the runbook."""

    def written(placeholder: re.Match[str]) -> str:
        name = placeholder.group(1)
        if name == "threshold":
            return _number(alert["threshold"])
        return value if name == "value" else f"{{{{ $labels.{name} }}}}"

    summary = PLACEHOLDER.sub(written, alert["message"])
    runbook = alert["runbook"]
    return {
        "summary": summary,
        "description": runbook["meaning"],
        "runbook": f"{runbook['look_at']} {runbook['remedy']}",
    }


def _number(number: float) -> str:
    """80 instead of 80.0."""
    return f"{number:.12g}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"prometheus_rules": prometheus_rules, "grafana_rule_groups": grafana_rule_groups}
