"""What a page says of a panel: numbers with their units, names, and why there is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.dashboard_panels import dashboard_panels
from plugins.filter.panel_views import STYLED, number_text, panel_views, unit_scale
from tests.dashboards import answer, dashboard, history, panel, values


def view(model: dict[str, Any], *answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The only panel of a dashboard, with the answers to its questions."""
    panels = dashboard_panels([dashboard(model)], {}, 3600, 15)
    keys = [question["key"] for question in panels[0]["panels"][0]["questions"]]
    [found] = panel_views(panels, history(dict(zip(keys, answers, strict=True))), **more)
    [shown] = found["panels"]
    assert isinstance(shown, dict)
    return shown


def lines(**more: Any) -> dict[str, Any]:
    return panel(1, "Panel", "timeseries", "a", **more)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (0.0421, "s", "42.1 ms"),
        (3e-7, "s", "0.3 µs"),
        (1.5, "s", "1.5 s"),
        (90, "s", "1.5 min"),
        (7200, "s", "2 h"),
        (250, "ms", "250 ms"),
        (2500, "ms", "2.5 s"),
        (0, "bytes", "0 B"),
        (512 * 1024**2, "bytes", "512 MiB"),
        (1.5e9, "decbytes", "1.5 GB"),
        (2048, "binBps", "2 KiB/s"),
        (1500, "Bps", "1.5 kB/s"),
        (84.26, "percent", "84.3 %"),
        (0.8426, "percentunit", "84.3 %"),
        (3.25, "reqps", "3.25 req/s"),
        (0.0004, "ops", "0.0004 ops/s"),
        (12345, "short", "12.3 k"),
        (12345, "", "12,345"),
        (-3, "none", "-3"),
        (4, "suffix: queries/s", "4 queries/s"),
        (4, "furlongs", "4 furlongs"),
        (None, "s", "no data now"),
    ],
)
def test_numbers_are_read_by_people(value: float | None, unit: str, text: str) -> None:
    assert number_text(value, unit) == text


@pytest.mark.parametrize(
    ("unit", "size", "scale"),
    [("s", 0.3, (1e-3, "ms")), ("bytes", 3e8, (1024**2, "MiB")), ("s", 0, (1, "s")), ("x", 9, (1, "x"))],
)
def test_an_axis_has_one_unit(unit: str, size: float, scale: tuple[float, str]) -> None:
    assert unit_scale(unit, size) == scale


@pytest.mark.parametrize(
    ("legend", "labels", "name"),
    [
        ("{{ task_name }} - {{status}}", {"task_name": "a", "status": "failure"}, "a - failure"),
        ("{{ missing }}", {"task_name": "a"}, "Panel"),
        ("__auto", {"__name__": "up", "job": "a", "host": "vm"}, "job=a"),
        ("", {"__name__": "up", "host": "vm"}, "up"),
        ("", {}, "Panel"),
        ("fixed", {"a": "b"}, "fixed"),
        ("{{ a }}", {"a": "<script>\x1b\n한국어"}, "<script>??한국어"),
    ],
)
def test_a_series_is_named_by_its_legend(legend: str, labels: dict[str, str], name: str) -> None:
    found = view(lines(legend=legend), answer((labels, "1 1 1 1 1 1")), hidden_labels=["host"])
    assert [entry["name"] for entry in found["series"]] == [name]


def test_missing_values_and_what_is_no_number_stay_missing() -> None:
    found = view(lines(), answer(({"a": "b"}, "1 - nan inf 1e301 2")))
    [entry] = found["series"]
    assert entry["values"] == [1, None, None, None, None, 2]
    assert (entry["last"], entry["peak"]) == (2, 2)
    assert found["notes"] == ["2 infinite values are not drawn"]


def test_a_series_that_ended_has_no_last_value() -> None:
    [entry] = view(lines(unit="s"), answer(({}, "1 1 5 1 - -")))["series"]
    assert (entry["last"], entry["last_text"], entry["peak_text"]) == (None, "no data now", "5 s")


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        (answer(), "", "the backend holds no such series of this deployment for this time"),
        (answer(), "no task has failed yet", "no task has failed yet"),
        (
            answer(({}, "nan nan")),
            "",
            "every value is NaN, as when nothing happened that could be divided by",
        ),
        (answer(({}, "nan nan")), "no task has run yet", "no task has run yet"),
        (answer(({}, "inf inf")), "", "no series has a finite value"),
        (answer(({}, "- -")), "", "no series has a finite value"),
        (answer(problem="HTTP 422: bad"), "no task yet", "the backend did not answer: HTTP 422: bad"),
    ],
)
def test_a_panel_without_data_says_why(found: dict[str, Any], reason: str, said: str) -> None:
    shown = view(lines(), found, questions=[{"title": "Panel", "empty_reason": reason}])
    assert shown["empty"] == said
    assert shown["series"] == []
    assert shown["alternative"] == f"Panel: no data, {said}"


def test_one_unanswered_question_is_a_note_beside_the_others() -> None:
    model = panel(1, "Panel", "timeseries", "a", "b")
    found = view(model, answer(({"a": "b"}, "1 1 1 1 1 1")), answer(problem="HTTP 500"))
    assert found["empty"] == ""
    assert found["notes"] == ["a question was not answered: HTTP 500"]


def test_the_largest_of_many_are_styled_and_the_rest_is_counted() -> None:
    many = [({"n": str(number)}, values([number] * 6)) for number in range(50)]
    found = view(lines(), answer(*many, omitted=3))
    assert [entry["name"] for entry in found["series"] if entry["style"] is not None] == [
        f"n={number}" for number in range(50 - STYLED, 50)
    ]
    assert found["notes"] == ["3 more series are not shown", "38 more, drawn thin and grey"]
    assert found["alternative"].endswith("; and 42 more")


def test_bars_come_by_size() -> None:
    model = panel(1, "Top", "bargauge", "a", unit="percent", legend="{{ n }}", steps=[("red", 80)])
    found = view(model, answer(({"n": "small"}, "1"), ({"n": "big"}, "90"), ({"n": "none"}, "nan")))
    assert [(entry["name"], entry["last_text"], entry["level"]) for entry in found["series"]] == [
        ("big", "90 %", "bad"),
        ("small", "1 %", ""),
    ]
    assert found["alternative"] == "Top, last values: big 90 %; small 1 %"


@pytest.mark.parametrize(
    ("last", "level"), [("4", ""), ("5", "warning"), ("9.99", "warning"), ("11", "bad"), ("-", "")]
)
def test_a_level_begins_at_its_threshold(last: str, level: str) -> None:
    model = panel(1, "Slow", "stat", "a", steps=[("yellow", 5), ("red", 10)])
    [entry] = view(model, answer(({}, f"20 20 20 20 20 {last}")))["series"]
    assert entry["level"] == level


@pytest.mark.parametrize(("last", "level"), [("99", "bad"), ("100", "ok"), ("-", "")])
def test_what_is_good_from_a_limit_on_is_bad_below_it(last: str, level: str) -> None:
    model = panel(1, "Targets up", "stat", "a", steps=[("green", 100)])
    model["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] = "red"
    [entry] = view(model, answer(({}, f"1 1 1 1 1 {last}")))["series"]
    assert entry["level"] == level


def test_the_alternative_tells_last_and_highest() -> None:
    found = view(lines(unit="s", legend="{{ v }}"), answer(({"v": "/a"}, "1 2 3 2 1 0.5")))
    assert found["alternative"] == "Panel, last values: /a 500 ms (highest 3 s)"


def test_charts_begin_where_the_data_begin() -> None:
    """A deployment of some minutes is not a speck at the end of an hour; all charts share the axis."""
    models = [panel(number, str(number), "timeseries", "a") for number in (1, 2)]
    panels = dashboard_panels([dashboard(*models)], {}, 3600, 15)
    answers = {
        "soundcheck-test/1/A": answer(({}, values(["-"] * 40 + [1] * 20))),
        "soundcheck-test/2/A": answer(({}, values(["-"] * 50 + [1] * 10))),
    }
    [found] = panel_views(panels, history(answers, points=60))
    assert [len(entry["series"][0]["values"]) for entry in found["panels"]] == [21, 21]
    assert {entry["start"] for entry in found["panels"]} == {1_790_000_000 + 39 * 60}
    assert {entry["end"] for entry in found["panels"]} == {1_790_000_000 + 59 * 60}


def test_a_chart_is_at_least_some_minutes_wide() -> None:
    found = view(lines(), answer(({}, "- - - - - 1")))
    assert found["end"] - found["start"] == 300
