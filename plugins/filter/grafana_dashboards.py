"""Grafana dashboards from the catalogue's entries, built with Grafana's own types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders import barchart, bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "soundcheck"
# What a deploy writes on the timeline.
DEPLOY_TAG = "soundcheck-deploy"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
OWN_DATASOURCE = model.DataSourceRef(type_val="grafana", uid="-- Grafana --")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Where the variable `service` takes its values from: the label that names services in the metrics it selects.
SERVICES = {
    "container_": "label_values(container_memory_working_set_bytes{SCOPE}, name)",
    "celery_": "label_values(celery_worker_up{SCOPE}, hostname)",
}
SCOPE = 'environment="$environment",host="$instance"'

Entry = Mapping[str, Any]


def grafana_dashboards(entries: Entry, datasource_uid: str) -> list[dict[str, Any]]:
    """The model of each dashboard that has panels, as POST /api/dashboards/db and a file import take it.

    `datasource_uid` is the data source that is chosen at first.
    """
    return [_dashboard(board, datasource_uid) for board in entries["dashboards"] if board["panels"]]


def _dashboard(board: Entry, datasource_uid: str) -> dict[str, Any]:
    built = (
        build.Dashboard(board["title"])
        .uid(f"soundcheck-{board['name']}")
        .description(board["description"])
        .tags([TAG])
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("1m")
        .variables(_variables(board, datasource_uid))
        .annotation(_deploys())
        .link(
            build.DashboardLink("Soundcheck")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for panel in board["panels"]:
        built.with_panel(_panel(panel))
    plain: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    return plain


def _variables(board: Entry, datasource_uid: str) -> list[Any]:
    """Data source, environment and host, each a single choice: sums never mix two hosts."""
    first = model.VariableOption(text=datasource_uid, value=datasource_uid, selected=True)
    chosen: list[Any] = [
        build.DatasourceVariable("datasource").label("Data source").type("prometheus").current(first),
        _choice("environment", "Environment", "label_values(up, environment)"),
        _choice("instance", "Host", 'label_values(up{environment="$environment"}, host)'),
    ]
    shown = " ".join(query["shown"] for panel in board["panels"] for query in panel["queries"])
    if "$service" in shown:
        selected = re.findall(r'(\w+_)\w*\{[^{}]*"\$service"', shown)
        prefix = next(prefix for prefix in SERVICES if any(name.startswith(prefix) for name in selected))
        services = _choice("service", "Service", SERVICES[prefix].replace("SCOPE", SCOPE))
        everything = model.VariableOption(text="All", value="$__all", selected=True)
        chosen.append(services.multi(True).include_all(True).all_value(".+").current(everything))
    return chosen


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _deploys() -> build.AnnotationQuery:
    target = build.AnnotationTarget().type("tags").tags([DEPLOY_TAG]).match_any(False).limit(100)
    return (
        build.AnnotationQuery()
        .name("Deploys")
        .datasource(OWN_DATASOURCE)
        .enable(True)
        .hide(False)
        .icon_color("blue")
        .target(target)
    )


def _panel(panel: Entry) -> Any:
    place = panel["place"]
    built: Any = {"timeseries": _timeseries, "stat": _stat, "bargauge": _bargauge, "barchart": _barchart}[
        panel["kind"]
    ]()
    built.title(panel["title"]).description(_description(panel)).id(panel["number"]).datasource(DATASOURCE)
    built.grid_pos(model.GridPos(x=place["x"], y=place["y"], w=place["w"], h=place["h"]))
    built.unit(panel["unit"]).thresholds(_thresholds(panel))
    if panel["steps"] and panel["kind"] == "timeseries":
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE))
    if panel["unit"] in ("percent", "bytes", "short", "s"):
        built.min(0)
    for number, query in enumerate(panel["queries"]):
        built.with_target(_query(query, "ABCDEFGH"[number], panel["kind"]))
    return built


def _description(panel: Entry) -> str:
    """What it means and what to do; then the guide's id, how it differs, and why it may be empty."""
    notes = [panel["description"]]
    if panel["guide"]:
        notes.append(f"{panel['guide']}: {panel['deviation'] or 'as in the guide'}.")
    if panel["empty_reason"]:
        notes.append(f"May be empty: {panel['empty_reason']}.")
    return "\n\n".join(notes)


def _thresholds(panel: Entry) -> build.ThresholdsConfig:
    """Green up to the first step; a panel without a threshold has no colour that means anything."""
    base = "red" if panel["steps"] and panel["steps"][-1]["colour"] == "green" else "green"
    steps = [model.Threshold(value=None, color=base)]
    steps += [model.Threshold(value=step["from"], color=step["colour"]) for step in panel["steps"]]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _query(query: Entry, letter: str, kind: str) -> prometheus.Dataquery:
    """A time series asks for the range, the others for its end; a bar chart wants the labels as columns."""
    asked = prometheus.Dataquery().expr(query["shown"]).ref_id(letter).datasource(DATASOURCE)
    asked.legend_format(PLACEHOLDER.sub(r"{{\1}}", query["legend"]) or "__auto")
    if kind in ("bargauge", "barchart"):
        asked.instant()
    else:
        asked.range()
    return asked.format(PromQueryFormat.TABLE if kind == "barchart" else PromQueryFormat.TIME_SERIES)


def _timeseries() -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM)
    legend.display_mode(LegendDisplayMode.LIST).calcs(["lastNotNull"])
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
    return timeseries.Panel().legend(legend).tooltip(tooltip).fill_opacity(10).line_width(1)


def _stat() -> stat.Panel:
    built = stat.Panel().reduce_options(_last()).graph_mode(BigValueGraphMode.AREA)
    return built.color_mode(BigValueColorMode.VALUE)


def _bargauge() -> bargauge.Panel:
    return bargauge.Panel().reduce_options(_last()).orientation(VizOrientation.HORIZONTAL)


def _barchart() -> barchart.Panel:
    """A bar for each task and status: the table's rows become a matrix of both."""
    matrix = {"columnField": "status", "rowField": "task_name", "valueField": "Value"}
    built = barchart.Panel().x_field("task_name\\status").orientation(VizOrientation.HORIZONTAL)
    return built.with_transformation(model.DataTransformerConfig(id_val="groupingToMatrix", options=matrix))


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"grafana_dashboards": grafana_dashboards}
